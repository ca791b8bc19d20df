"""The training table: what was known of each row when it was asked, what came of it, and what it is for.

table/      a Parquet file a month: id, as-of time, block, month, split, label and every feature
requests/   the questions behind the rows, in the same order, so that every value can be recomputed
features.json   the definition the values were computed by, and its reference tables
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ringbound.display.tables import Shown
from ringbound.errors import FeatureError, ProblemError, one_line
from ringbound.features.columns import Category, Column, Reference
from ringbound.features.definition import FeatureSet
from ringbound.features.frames import columns_of
from ringbound.problem.declaration import SPLIT, Problem
from ringbound.workspace.records import Record

MADE_WITH = "features.json"


@dataclass(frozen=True)
class MadeWith(Record):
    """The definition that a training table was computed by: its hash, the features in order, its reference tables."""

    made_by: ClassVar[str] = "dvc repro features"

    hash: str
    names: list[str]
    references: dict[str, dict[str, Any]]


MOST_APART = 0.05
"""The share of groups that may reach over blocks, as searches do that last over midnight."""


@dataclass(frozen=True)
class Rows(Shown):
    """Rows of a training table, with the questions behind them."""

    problem: Problem
    table: pd.DataFrame
    requests: pd.DataFrame
    references: Mapping[str, Reference]

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def ids(self) -> np.ndarray:
        """Which rows they are, (n,)."""
        return self.table[self.problem.id].to_numpy()

    @cached_property
    def y(self) -> np.ndarray:
        """What came out, (n,) float64; of classes their places."""
        return self.problem.task.encode(self.table[self.problem.label])

    @cached_property
    def blocks(self) -> np.ndarray:
        """What rows are resampled by, (n,)."""
        return self.table[self.problem.block].to_numpy()

    @cached_property
    def groups(self) -> np.ndarray | None:
        """What rows are put in order within, (n,); None where nothing is put in order."""
        return self.table[self.problem.group].to_numpy() if self.problem.group else None

    @cached_property
    def months(self) -> np.ndarray:
        """The month of each row, (n,) of texts like 2013-07, which sort by time."""
        return self.table[self.problem.month].to_numpy(dtype=str)

    @cached_property
    def features(self) -> dict[str, Column]:
        """The features, a column each, as models take them."""
        return columns_of(self.table[self.problem.features.names])

    def lacking(self, field: str) -> dict[str, Column]:
        """Return the features as they would be if every request lacked a field."""
        features = self.problem.features
        requests = columns_of(self.requests.assign(**{field: None}).astype({field: object}))
        windowed = {}
        for name, (view, feature) in features.windowed.items():
            known = self.table[name].to_numpy("float64")
            empty = 0.0 if feature.aggregate == "count" else np.nan
            windowed[name] = np.full(len(self), empty) if field in features.taken_by(view) else known
        return features.compute(requests, self.references, windowed)

    def to_learn(self, seed: int) -> dict[str, Column]:
        """Return the features as a model should learn them: without each field of `may_lack` in its share of the rows."""
        table = self.table[self.problem.features.names]
        chance = np.random.default_rng(seed).random(len(self))
        start = 0.0
        for field, share in self.problem.may_lack.items():
            taken = self.problem.features.taking(field)
            without = with_features(pd.DataFrame(index=table.index), self.lacking(field))[taken]
            dropped = (chance >= start) & (chance < start + share)
            table = table.assign(**{name: table[name].where(~dropped, without[name]) for name in taken})
            start += share
        return columns_of(table)

    @property
    def period(self) -> tuple[str, str]:
        """The first and the last month."""
        return str(min(self.months)), str(max(self.months))

    def of(self, *splits: str) -> "Rows":
        """Return the rows of some splits."""
        return self.where(self.table[SPLIT].isin(splits).to_numpy())

    def where(self, chosen: np.ndarray) -> "Rows":
        """Return the rows that a mask or positions choose."""
        table, requests = (
            frame[chosen] if chosen.dtype == bool else frame.iloc[chosen] for frame in (self.table, self.requests)
        )
        return Rows(self.problem, table, requests, self.references)

    @property
    def caption(self) -> str:
        """How many, from when to when."""
        return f"{len(self):,} labelled {self.problem.rows}, {self.period[0]} to {self.period[1]}"

    @property
    def frame(self) -> pd.DataFrame:
        """Rows and mean outcome by split and month."""
        by = [SPLIT, self.problem.month]
        if self.problem.task.classes:
            counts = self.table.groupby([*by, self.problem.label], sort=False).size().unstack(fill_value=0)
            return counts[[name for name in self.problem.task.classes if name in counts]]
        by_month = self.table.groupby(by, sort=False)[self.problem.label].agg(["size", "mean"])
        return by_month.rename(columns={"size": self.problem.rows, "mean": f"mean {self.problem.label}"})


@dataclass(frozen=True)
class TrainingTable:
    """A training table read back: `table` has every row, `requests` its question, `sha256` is the digest of its files."""

    problem: Problem
    table: pd.DataFrame
    requests: pd.DataFrame
    references: dict[str, Reference]
    sha256: str

    def labelled(self, *splits: str) -> Rows:
        """Return the rows of some splits (of all, if none is named) whose outcome is known."""
        rows = self._rows(self.table[self.problem.label].notna(), splits)
        if not len(rows):
            raise ProblemError(f"training table: expected labelled rows of {splits or 'any split'}; there are none")
        return rows

    def unlabelled(self, *splits: str) -> Rows:
        """Return the rows whose outcome is not known: not yet, or because there is none."""
        return self._rows(self.table[self.problem.label].isna(), splits)

    def _rows(self, chosen: pd.Series, splits: Sequence[str]) -> Rows:
        if splits:
            chosen = chosen & self.table[SPLIT].isin(splits)
        table, requests = (frame[chosen.to_numpy()].reset_index(drop=True) for frame in (self.table, self.requests))
        return Rows(self.problem, table, requests, self.references)


def split_by_month(month: pd.Series, *, valid_months: int, test_months: int) -> pd.Series:
    """Return train, valid or test for each row's month; the last months are test, those before them valid.

    Splits follow time, never chance: a model is chosen on months after those it learnt from, and measured on later ones.

    >>> split_by_month(pd.Series(["2013-01", "2013-02", "2013-03"]), valid_months=1, test_months=1).tolist()
    ['train', 'valid', 'test']
    """
    wrong = [m for m in month.unique() if not (isinstance(m, str) and re.fullmatch(r"\d{4}-W?\d{2}", m))]
    if wrong:
        raise ProblemError(f"splits: expected months like 2013-07, which sort by time; got {wrong[:3]}")
    months = sorted(month.unique())
    held_out = valid_months + test_months
    if len(months) <= held_out or min(valid_months, test_months) < 1:
        raise ProblemError(
            f"splits: expected more than {held_out} months, and at least one of each kind; got {months}, "
            f"valid_months={valid_months}, test_months={test_months}; lower them or ingest more"
        )
    names = ["train"] * (len(months) - held_out) + ["valid"] * valid_months + ["test"] * test_months
    return month.map(dict(zip(months, names, strict=True)))


def with_features(table: pd.DataFrame, features: Mapping[str, Column]) -> pd.DataFrame:
    """Return the table with every feature as a column, in model order.

    >>> list(with_features(pd.DataFrame({"id": ["a"]}), {"size": np.array([1.0])}))
    ['id', 'size']
    """
    plain = {name: c.texts() if isinstance(c, Category) else np.asarray(c) for name, c in features.items()}
    return pd.concat([table, pd.DataFrame(plain, index=table.index)], axis=1)


def write_training_table(
    table: pd.DataFrame,
    *,
    month: str,
    requests: pd.DataFrame,
    features: FeatureSet,
    references: Mapping[str, Reference],
    out: Path,
) -> None:
    """Write `table` (id, time, label, … and every feature) as one Parquet file a month, which its column `month` names.

    `requests` are the questions behind the rows, in the same order.

    >>> from ringbound.testing import examples
    >>> from ringbound.testing.parcels import FEATURES
    >>> parcels = examples.town().parcels
    >>> table = with_features(parcels[["parcel_id", "month", "late"]], examples.features())
    >>> some = {"requests": parcels[["depot"]], "references": examples.town().references}
    >>> write_training_table(table, month="month", features=FEATURES, out=examples.folder() / "table", **some)
    >>> len(list((examples.folder() / "table/table").iterdir()))
    6
    """
    if missing := [name for name in features.names if name not in table]:
        raise FeatureError(f"training table: missing features {missing}; got {list(table.columns)}")
    if not table.index.equals(requests.index):
        raise ProblemError(
            f"training table: expected the questions behind its {len(table)} rows, with the same index; got {len(requests)}"
        )
    if unknown := int(table[month].isna().sum()):
        raise ProblemError(f"training table: expected a month for every row; {unknown} have none in {month}")
    for folder, frame in {"table": table, "requests": requests}.items():
        (out / folder).mkdir(parents=True, exist_ok=True)
        for name, part in frame.groupby(table[month], sort=True):
            rows = pa.Table.from_pandas(part, preserve_index=False).replace_schema_metadata(None)
            pq.write_table(rows, out / folder / f"{name}.parquet")
    used = {name: references[name].to_json() for name in features.references}
    MadeWith(features.hash, features.names, used).write(out / MADE_WITH)


def _check_groups(table: pd.DataFrame, problem: Problem) -> None:
    if unknown := int(table[problem.group].isna().sum()):
        raise ProblemError(
            f"problem {problem.name}: expected a {problem.group} for every row, to put it in order in; {unknown} have none"
        )
    apart = float((table.groupby(problem.group)[problem.block].nunique() > 1).mean())
    if apart > MOST_APART:
        raise ProblemError(
            f"problem {problem.name}: expected the rows of one {problem.group} to be of one {problem.block}; "
            f"{apart:.0%} are of several; declare another group, like a search, or another block"
        )


def read_training_table(folder: Path, problem: Problem) -> TrainingTable:
    """Read a training table; an error says where it does not fit the declaration of the problem.

    >>> from ringbound.testing import examples
    >>> from ringbound.testing.parcels import PROBLEM
    >>> rows = len(examples.training().table)  # it is written here
    >>> len(read_training_table(examples.folder() / "features", PROBLEM).table) == rows
    True
    """
    made_with = MadeWith.read(folder / MADE_WITH)
    if made_with.hash != problem.features.hash:
        raise FeatureError(
            f"training table: made with features {made_with.hash}; defined are {problem.features.hash}; "
            'run "dvc repro features"'
        )
    files = sorted((folder / "table").glob("*.parquet"))
    digest = hashlib.sha256((folder / MADE_WITH).read_bytes())
    for file in [*files, *sorted((folder / "requests").glob("*.parquet"))]:
        digest.update(file.read_bytes())
    table = pd.concat([pd.read_parquet(f) for f in files], ignore_index=True)
    if missing := [name for name in problem.columns if name not in table]:
        raise ProblemError(
            f"problem {problem.name}: expected columns {problem.columns} in the training table; missing {missing}; "
            "correct the declaration or the features notebook"
        )
    if repeated := int(table[problem.id].duplicated().sum()):
        raise ProblemError(f"problem {problem.name}: expected {problem.id} to be unique; {repeated} come again")
    if problem.group:
        _check_groups(table, problem)
    try:
        outcomes = problem.task.encode(table[problem.label].dropna())
    except (ValueError, TypeError) as error:
        raise ProblemError(
            f"problem {problem.name}: expected numbers in {problem.label}; {one_line(error)}; "
            "turn outcomes into numbers in the features notebook"
        ) from error
    problem.task.check_labels(outcomes)
    references = {name: Reference.from_json(plain) for name, plain in made_with.references.items()}
    return TrainingTable(problem, table, read_requests(folder), references, digest.hexdigest())


def read_requests(folder: Path) -> pd.DataFrame:
    """Read the questions behind a training table's rows, in the same order."""
    return pd.concat([pd.read_parquet(f) for f in sorted((folder / "requests").glob("*.parquet"))], ignore_index=True)
