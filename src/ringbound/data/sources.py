"""What a source is: a declaration that reads typed rows, and puts aside those it cannot read, each with its reason.

What is wrong with a source as a whole raises `SourceError`. Its kinds: `Files`, `Sql`, `HttpJson`, a module each.
"""

import hashlib
from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from ringbound.errors import SourceError


@dataclass
class Reading:
    """What one read gave: typed `rows`, the `rejected` ones (columns source, place, reason, row) and a digest."""

    rows: pd.DataFrame
    rejected: pd.DataFrame
    sha256: str


class Source(Protocol):
    """What `ingest` needs of a source. `incremental` sources honour `since`; others read all there is."""

    columns: dict[str, str]
    incremental: bool

    def describe(self) -> str: ...
    def read(self, since: pd.Timestamp | None, through: pd.Timestamp) -> Reading: ...


KINDS = ("string", "integer", "number", "boolean", "timestamp")
"""What a source's column may be declared as."""


def rejected_rows(source: str, places: list, reasons: list, rows: list) -> pd.DataFrame:
    """Return the table of rejected rows; the three lists are aligned."""
    frame = pd.DataFrame({"source": source, "place": places, "reason": reasons, "row": rows})
    return frame.astype({"source": "str", "place": "str", "reason": "str", "row": "str"})


def typed(raw: pd.DataFrame, columns: dict[str, str], source: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Convert the columns of `raw` to their declared types; return the rows that fit and those that do not."""
    if unknown := sorted({kind for kind in columns.values() if kind not in KINDS}):
        raise SourceError(
            f"{source}: expected columns of kind {', '.join(KINDS)}; got {unknown}; correct the declaration"
        )
    absent = [name for name in columns if name not in raw]
    if absent:
        raise SourceError(
            f"{source}: expected columns {list(columns)}; missing {absent}; got {list(raw.columns)}; "
            "correct the file or the declared columns"
        )
    converted, reasons = {}, pd.Series("", index=raw.index, dtype="str")
    for name, kind in columns.items():
        values = raw[name]
        converted[name], bad = _convert(values, kind)
        if bad.any():
            reasons[bad] += name + ": expected " + kind + ", got " + values[bad].astype("str") + "; "
    frame = pd.DataFrame(converted, index=raw.index)
    bad = reasons != ""
    if not bad.any():
        return frame, rejected_rows(source, [], [], [])
    originals = raw.loc[bad, list(columns)].astype("str").to_dict("records")
    places = [f"row {number + 1}" for number in raw.index[bad]]
    rejected = rejected_rows(source, places, reasons[bad].str.rstrip("; ").tolist(), [str(row) for row in originals])
    return frame[~bad].reset_index(drop=True), rejected


def _convert(values: pd.Series, kind: str) -> tuple[pd.Series, pd.Series]:
    """Return the values as `kind` and a mask of those that are present and do not fit."""
    present = values.notna()
    if kind == "string":
        return values.astype("str").where(present), ~present & False
    if kind == "timestamp":
        instants = pd.to_datetime(values, utc=True, errors="coerce", format="ISO8601").dt.as_unit("us")
        return instants, present & instants.isna()
    if kind == "boolean":
        words = {"true": True, "1": True, "false": False, "0": False}
        truths = values.astype("str").str.lower().map(words).astype("boolean")
        return truths, present & truths.isna()
    numbers = pd.to_numeric(values, errors="coerce").astype("Float64")
    if kind == "number":
        return numbers.astype("float64"), present & numbers.isna()
    whole = numbers.where((numbers % 1 == 0).fillna(False))
    return whole.astype("Int64"), present & whole.isna()


def content_digest(frame: pd.DataFrame) -> str:
    """Return a digest of the rows in their order, for sources that are not files."""
    hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return hashlib.sha256(hashes.tobytes()).hexdigest()
