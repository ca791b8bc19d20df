"""Hold every row of a table against its contract; part the good from the bad, each bad row with its reasons.

Tables are checked in the order in which contracts are declared, so that one can refer to the good rows of those before it.
"""

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pandera.errors
import pandera.pandas as pa

from ringbound.data.provenance import Provenance
from ringbound.data.tables import PARTITION, read_partitions, write_partition
from ringbound.display.tables import Shown
from ringbound.errors import ContractError, one_line
from ringbound.workspace import layout

Contract = Callable[[Mapping[str, pd.DataFrame]], pa.DataFrameSchema]
"""The contract of a table, given all tables."""


def part_rows(rows: pd.DataFrame, schema: pa.DataFrameSchema, *, table: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return `(good, bad)`: rows that keep the contract, and rows that break it with a column `reason`.

    Of duplicate rows the first that is good otherwise is good, and good rows are as the schema's `coerce` and parsers make
    them. A missing column breaks the contract for the table as a whole and raises `ContractError`.

    >>> import pandas as pd, pandera.pandas as pa
    >>> schema = pa.DataFrameSchema({"size": pa.Column(float, pa.Check.in_range(0, 10), coerce=True)})
    >>> good, bad = part_rows(pd.DataFrame({"size": ["1", "11"]}), schema, table="boxes")
    >>> good["size"].tolist(), bad["reason"].tolist()
    ([1.0], ['size: in_range(0, 10), got 11.0'])
    """
    good, reasons = _part(rows.reset_index(drop=True), schema, table)
    bad = rows.reset_index(drop=True).loc[reasons.index].assign(reason=reasons)
    return good.reset_index(drop=True), bad.reset_index(drop=True)


APART = 10**9
"""Added to the numbers of rows while a contract has them: one that numbers rows anew is found out."""
MOVES = (
    "{table}: expected a contract that says what is bad; this one drops or moves rows by itself, as with drop_invalid_rows "
    "or a parser that sorts; leave that out"
)


def _part(numbered: pd.DataFrame, schema: pa.DataFrameSchema, table: str) -> tuple[pd.DataFrame, pd.Series]:
    """Return the good rows and the reasons of the others, each under its number in `numbered`.

    What cannot be coerced is put aside first, since it hides what else is wrong, and duplicates last, one rule of uniqueness
    after the other, since a row that is bad is nobody's first.
    """
    schema = copy.deepcopy(schema)
    numbered = numbered.set_axis(numbered.index + APART)
    for part in (schema, *schema.columns.values()):
        part.report_duplicates = "exclude_first"
    left, reasons = numbered, [pd.Series(dtype="str")]
    while True:
        try:
            good = schema.validate(left, lazy=True)
        except pandera.errors.SchemaErrors as broken:
            cases, says = broken.failure_cases, one_line(broken, 200)
        except Exception as error:  # of a parser or a check: they are whoever's who wrote the contract
            raise ContractError(f"{table}: its contract fails: {one_line(error, 200)}; correct it") from error
        else:
            if not good.index.equals(left.index):
                raise ContractError(MOVES.format(table=table))
            found = pd.concat(reasons).sort_index()
            return good.set_axis(good.index - APART), found.set_axis(found.index.astype("int64") - APART)
        checks, whole = cases["check"].astype(str), cases[cases["index"].isna()]
        uncoerced = checks.str.startswith("coerce_dtype") & cases["index"].notna()
        double = checks.str.endswith("_uniqueness")
        if not len(cases):
            raise ContractError(
                f"{table}: its contract is broken and names no row: {says}; so it is with a column that must be unique and "
                "may be missing; drop one of the two"
            )
        if uncoerced.any():
            cases = cases[uncoerced]
        elif len(whole):
            first = whole.iloc[0]
            raise ContractError(
                f"{table}: expected {list(schema.columns)}; {first['check']}: {first['failure_case']}; "
                f"got {list(numbered.columns)}; correct the source or the contract"
            )
        elif not double.all():
            cases = cases[~double]
        else:
            first = cases.iloc[0]
            cases = cases[checks == first["check"]]
            if first["check"] == "field_uniqueness":
                cases = cases[cases["column"] == first["column"]]
        cases = cases.assign(index=cases["index"].astype("int64")).sort_values("index", kind="stable")
        texts = cases.apply(_reason, axis=1).groupby(cases["index"])
        reasons.append(texts.agg(lambda several: "; ".join(dict.fromkeys(several))))
        if not reasons[-1].index.isin(left.index).all():
            raise ContractError(MOVES.format(table=table))
        left = left.drop(index=reasons[-1].index)


def _reason(case: pd.Series) -> str:
    """Say in words why a row failed one check."""
    if case["check"] == "multiple_fields_uniqueness":
        return "a duplicate of an earlier row"
    if case["schema_context"] == "DataFrameSchema":  # a check across columns has no one value to show
        return one_line(Exception(str(case["check"])), 300)
    check = {"not_nullable": "expected a value", "field_uniqueness": "expected unique values"}.get(
        case["check"], case["check"]
    )
    check = re.sub(r"^coerce_dtype\((.*)\)$", lambda match: f"expected {match[1]}", str(check))
    value = case["failure_case"]
    nothing = value is None or (pd.api.types.is_scalar(value) and pd.isna(value))
    return one_line(Exception(f"{case['column']}: {check}, got {'nothing' if nothing else value}"), 300)


@dataclass(frozen=True)
class CleanTables(Shown):
    """The rows that keep their contracts, those that do not, each with its reason, and those that could not be read.

    `partitions` says, for each good row of a table, which partition of the raw table it came from.
    """

    good: dict[str, pd.DataFrame]
    bad: dict[str, pd.DataFrame]
    unread: dict[str, pd.DataFrame]
    partitions: dict[str, pd.Series]
    report: pd.DataFrame

    @property
    def frame(self) -> pd.DataFrame:
        """Rows and bad rows of each table, and of each source that had rows which could not be read."""
        return self.report

    @property
    def reasons(self) -> pd.DataFrame:
        """How many rows of each table are bad for which reason."""
        reasons = [rows.assign(table=name)[["table", "reason"]] for name, rows in self.bad.items()]
        return pd.concat(reasons).groupby(["table", "reason"]).size().rename("rows").reset_index()


def clean_tables(raw: Path, contracts: Mapping[str, Contract], *, limit: float) -> CleanTables:
    """Hold every raw table to its contract; `ContractError` where more than the share `limit` of one is bad.

    `contracts` gives each table's contract as a function of the tables: those before it have only their good rows left.

    >>> import pandera.pandas as pa
    >>> from ringbound.testing import examples
    >>> contract = lambda tables: pa.DataFrameSchema({"depot": pa.Column(str, pa.Check.ne("hill"))})
    >>> clean_tables(examples.events().folder, {"arrivals": contract}, limit=0.5).frame["bad"].item() > 500
    True
    >>> clean_tables(examples.events().folder, {"arrivals": contract}, limit=0.01)
    Traceback (most recent call last):
    ringbound.errors.ContractError: arrivals: expected at most 1.00% bad rows; got ...
    """
    tables = {name: read_partitions(raw, name) for name in contracts}
    partitions = {name: rows.pop(PARTITION) for name, rows in tables.items()}
    good, bad = dict(tables), {}
    for name, contract in contracts.items():
        kept, reasons = _part(tables[name], contract(good), name)
        partitions[name] = partitions[name].loc[kept.index].reset_index(drop=True)
        good[name] = kept.reset_index(drop=True)
        bad[name] = tables[name].loc[reasons.index].assign(reason=reasons).reset_index(drop=True)
    unread, read_or_not = unreadable(raw)
    totals = {name: len(rows) for name, rows in tables.items()} | read_or_not
    report = refuse_too_many(bad | unread, totals, limit=limit)
    return CleanTables(good, bad, unread, partitions, report)


def write_clean(tables: CleanTables, provenance: Provenance, clean: Path, quarantine: Path) -> None:
    """Write the good rows in the partitions they came from, with their provenance, and the bad ones with their reasons.

    >>> import pandera.pandas as pa
    >>> from ringbound.testing import examples
    >>> raw, folder = examples.events().folder, examples.folder()
    >>> tables = clean_tables(raw, {"arrivals": lambda tables: pa.DataFrameSchema()}, limit=0.0)
    >>> write_clean(tables, Provenance.read(raw / "provenance.json"), folder / "good", folder / "bad")
    >>> sorted(file.name for file in (folder / "good/arrivals").iterdir())
    ['2020-02.parquet', '2020-03.parquet']
    """
    provenance.write(clean / layout.PROVENANCE)
    quarantine.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.good.items():
        for partition, part in rows.groupby(tables.partitions[name], sort=True):
            write_partition(part, None, clean / name / f"{partition}.parquet")
        tables.bad[name].to_parquet(quarantine / f"{name}.parquet", index=False)


def unreadable(raw: Path) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    """Return, by source, the rows that ingest could not read and how many rows there were with them."""
    rejected = pd.read_parquet(raw / layout.REJECTED)
    tables = Provenance.read(raw / layout.PROVENANCE).tables.values()
    rows: dict[str, int] = {}
    for facts in tables:
        rows[facts.source] = max(facts.rows, rows.get(facts.source, 0))
    bad = {source: rejected[rejected["source"] == source] for source in sorted(rows)}
    return bad, {source: rows[source] + len(bad[source]) for source in bad}


def refuse_too_many(bad: dict[str, pd.DataFrame], totals: dict[str, int], *, limit: float) -> pd.DataFrame:
    """Return one row a table (rows, bad, share); raise `ContractError` where the share of bad rows exceeds `limit`."""
    report = (
        pd.DataFrame({"rows": totals, "bad": {name: len(rows) for name, rows in bad.items()}}).fillna(0).astype(int)
    )
    report["share"] = report["bad"] / report["rows"].clip(lower=1)
    for name, row in report[report["share"] > limit].iterrows():
        common = bad[str(name)]["reason"].str.replace(r", got .*", "", regex=True).value_counts().head(3).to_dict()
        raise ContractError(
            f"{name}: expected at most {limit:.2%} bad rows; got {row['bad']:.0f} of {row['rows']:.0f} ({row['share']:.2%}); "
            f"most common: {common}; correct the source or the contract"
        )
    return report
