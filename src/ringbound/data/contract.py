"""Hold every row of a table against its contract; part the good from the bad, each bad row with its reasons."""

import json
from pathlib import Path

import pandas as pd
import pandera.errors
import pandera.pandas as pa

from ringbound.errors import ContractError


def apply_contract(rows: pd.DataFrame, schema: pa.DataFrameSchema, *, table: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return `(good, bad)`: rows that keep the contract, and rows that break it with a column `reason`.

    Of duplicate rows the first is good. A missing column breaks the contract for the table as a whole and raises
    `ContractError`.
    """
    numbered = rows.reset_index(drop=True)
    try:
        schema.validate(numbered, lazy=True)
    except pandera.errors.SchemaErrors as broken:
        cases = broken.failure_cases
    else:
        return numbered, numbered.iloc[:0].assign(reason=pd.Series(dtype="str"))
    whole = cases[cases["index"].isna()]
    if len(whole):
        first = whole.iloc[0]
        raise ContractError(
            f"{table}: expected {list(schema.columns)}; {first['check']}: {first['failure_case']}; "
            f"got {list(rows.columns)}; correct the source or the contract"
        )
    cases = cases.assign(index=cases["index"].astype("int64")).sort_values("index", kind="stable")
    texts = cases.apply(_reason, axis=1).groupby(cases["index"]).agg(lambda reasons: "; ".join(dict.fromkeys(reasons)))
    bad = numbered.loc[texts.index].assign(reason=texts)
    return numbered.drop(index=texts.index).reset_index(drop=True), bad.reset_index(drop=True)


def _reason(case: pd.Series) -> str:
    """Say in words why a row failed one check."""
    if case["check"] == "multiple_fields_uniqueness":
        return "a duplicate of an earlier row"
    if case["schema_context"] == "DataFrameSchema":  # a check across columns has no one value to show
        return str(case["check"])
    check = {"not_nullable": "expected a value", "field_uniqueness": "expected unique values"}.get(
        case["check"], case["check"]
    )
    return f"{case['column']}: {check}, got {case['failure_case'] if pd.notna(case['failure_case']) else 'nothing'}"


def unreadable(raw: Path) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    """Return, by source, the rows that ingest could not read and how many rows there were with them."""
    rejected = pd.read_parquet(raw / "rejected.parquet")
    tables = json.loads((raw / "provenance.json").read_text("utf-8"))["tables"].values()
    sources = {facts["source"] for facts in tables}
    rows = {source: max(facts["rows"] for facts in tables if facts["source"] == source) for source in sources}
    bad = {source: rejected[rejected["source"] == source] for source in sorted(sources)}
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
