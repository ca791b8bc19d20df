"""The columns that features are computed on: NumPy arrays, and text as codes into a vocabulary.

The same types come out of a JSON request of one row and a Parquet file of millions, so one function serves both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from ringbound.errors import FeatureError

if TYPE_CHECKING:
    import pandas as pd


EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
NOT_A_TIME = int(np.datetime64("NaT").astype(np.int64))


@dataclass(frozen=True)
class Category:
    """A text column: `codes` (n,) int64 into `values`; -1 is missing. Values may repeat."""

    codes: np.ndarray
    values: Sequence[str]

    @classmethod
    def from_texts(cls, texts: Sequence[str | None]) -> "Category":
        """Return the texts as a column, None as missing."""
        codes = np.array([-1 if t is None else i for i, t in enumerate(texts)], dtype=np.int64)
        return cls(codes, ["" if t is None else t for t in texts])

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: slice | np.ndarray) -> "Category":
        """Return some of the rows."""
        return Category(self.codes[rows], self.values)

    def take(self, table: np.ndarray, missing: object) -> np.ndarray:
        """Return `table[code]` a row, `missing` where there is no code; `table` has one entry a value."""
        return np.append(table, np.asarray([missing], dtype=table.dtype))[self.codes]

    def index(self, positions: Mapping[str, int]) -> np.ndarray:
        """Return the position of each row's text, (n,) int64, -1 where it is missing or unknown."""
        return np.array([*[positions.get(v, -1) for v in self.values], -1], dtype=np.int64)[self.codes]

    def map(self, function: Callable[[str], str]) -> "Category":
        """Return the column with `function` applied to each text."""
        return Category(self.codes, [function(v) for v in self.values])

    def texts(self) -> np.ndarray:
        """Return the texts, (n,) of objects, None where missing."""
        return self.take(np.asarray(self.values, dtype=object), None)


Column = np.ndarray | Category


def column_of(kind: str, values: Sequence[Any]) -> Column:
    """Return plain values, None for missing, as a column: texts, numbers, or times with offset."""
    if kind == "category":
        return Category.from_texts(values)
    if kind == "number":
        return np.array([np.nan if value is None else value for value in values], np.float64)
    since = [NOT_A_TIME if value is None else (value - EPOCH) // MICROSECOND for value in values]
    return np.array(since, np.int64).view("datetime64[us]")


class Reference:
    """A small table that travels with the model: texts as keys, numbers as columns."""

    def __init__(self, keys: Sequence[str], columns: Mapping[str, Sequence[float | None]]):
        self.keys = list(keys)
        self.columns = {
            name: np.asarray([np.nan if v is None else v for v in values], dtype=np.float64)
            for name, values in columns.items()
        }
        self._padded = {name: np.append(values, np.nan) for name, values in self.columns.items()}  # -1 finds NaN
        self._positions = {key: position for position, key in enumerate(self.keys)}
        lengths = {name: len(values) for name, values in self.columns.items()}
        if len(self._positions) != len(self.keys) or set(lengths.values()) - {len(self.keys)}:
            raise FeatureError(f"reference: expected unique keys and columns of {len(self.keys)} values; got {lengths}")

    @classmethod
    def from_table(cls, table: "pd.DataFrame", key: str, columns: Sequence[str]) -> "Reference":
        """Take columns of numbers from a table, in order of its key."""
        ordered = table.sort_values(key)
        numbers = {name: ordered[name].astype("float64").tolist() for name in columns}
        return cls(ordered[key].tolist(), {n: [None if np.isnan(v) else v for v in vs] for n, vs in numbers.items()})

    def lookup(self, keys: Category, column: str) -> np.ndarray:
        """Return the number of each row's key, (n,) float64, NaN where the key is missing or unknown."""
        return self._padded[column][keys.index(self._positions)]

    def to_json(self) -> dict:
        """Return plain lists; NaN becomes None."""
        columns = {n: [None if np.isnan(v) else float(v) for v in values] for n, values in self.columns.items()}
        return {"keys": self.keys, "columns": columns}

    @classmethod
    def from_json(cls, plain: Mapping) -> "Reference":
        """Undo `to_json`."""
        return cls(plain["keys"], plain["columns"])


def differs(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Say where float64 values are not the same bits; all missing values are one."""
    bits = [np.ascontiguousarray(values).view(np.int64) for values in (some, others)]
    return (bits[0] != bits[1]) & ~(np.isnan(some) & np.isnan(others))
