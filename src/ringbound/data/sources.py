"""What a source is: a declaration that reads typed rows, and puts aside those it cannot read, each with its reason.

What is wrong with a source as a whole raises `SourceError`. Its kinds: `Files`, `Sql`, `HttpJson`, a module each.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa

from ringbound.data.conversion import convert, listed
from ringbound.data.tables import to_pandas
from ringbound.data.values import Kind, shown
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
LONGEST = 2000
"""Characters of a rejected row that are kept."""


def rejected_rows(source: str, places: list, reasons: list, rows: list) -> pd.DataFrame:
    """Return the table of rejected rows; the three lists are aligned."""
    rows = [str(row).encode("utf-8", "backslashreplace").decode() for row in rows]  # also half a surrogate pair
    frame = pd.DataFrame({"source": source, "place": places, "reason": reasons, "row": rows})
    return frame.astype({"source": "str", "place": "str", "reason": "str", "row": "str"})


def check_declared(source: str, missing: Sequence[str], zone: str | None) -> None:
    """Refuse what is no list of texts that count as missing, and no name of a time zone."""
    if isinstance(missing, str) or not all(isinstance(text, str) for text in missing):
        raise SourceError(f'{source}: expected missing to be a list of texts, like ["", "NA"]; got {missing!r}')
    try:
        ZoneInfo(zone or "UTC")
    except (KeyError, ValueError, OSError):
        raise SourceError(f"{source}: expected a time zone like Europe/Berlin; got {zone!r}") from None


def typed(
    raw: Mapping[str, Any], columns: dict[str, str], source: str, *, missing: Sequence[str], zone: str | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Convert the columns of `raw`, arrays or lists of n values, to their declared kinds, by the one rule for values.

    Return the rows that fit and those that do not.
    """
    if unknown := sorted({kind for kind in columns.values() if kind not in KINDS}):
        raise SourceError(
            f"{source}: expected columns of kind {', '.join(KINDS)}; got {unknown}; correct the declaration"
        )
    absent = [name for name in columns if name not in raw]
    if absent:
        raise SourceError(
            f"{source}: expected columns {list(columns)}; missing {absent}; got {list(raw)}; "
            "correct the file or the declared columns"
        )
    converted: dict[str, pa.Array] = {}
    reasons: dict[int, list[str]] = {}
    for name, kind in columns.items():
        converted[name], refused = convert(raw[name], cast(Kind, kind), missing=missing, zone=zone)
        for row, why in refused.items():
            reasons.setdefault(row, []).append(f"{name}: {why}")
    frame = to_pandas(pa.table(converted))
    if not reasons:
        return frame, rejected_rows(source, [], [], [])
    bad = sorted(reasons)
    originals = {name: _some(raw[name], bad) for name in columns}
    rejected = rejected_rows(
        source,
        [f"row {row + 1}" for row in bad],
        ["; ".join(reasons[row]) for row in bad],
        [shown({name: values[i] for name, values in originals.items()}, LONGEST) for i in range(len(bad))],
    )
    return frame.drop(index=bad).reset_index(drop=True), rejected


def _some(values: Any, rows: list[int]) -> list[Any]:
    """Return the values of some rows, as they came."""
    if not isinstance(values, pa.Array | pa.ChunkedArray):
        return [values[row] for row in rows]
    return listed(values.take(pa.array(rows)))


def columns_of_records(records: Sequence[Mapping[str, Any]], names: Iterable[str]) -> dict[str, list[Any]]:
    """Return the named values of records as lists, None where a record has none; only names that some record has."""
    there = {name for record in records for name in record}
    return {name: [record.get(name) for record in records] for name in names if name in there or not records}


def content_digest(frame: pd.DataFrame) -> str:
    """Return a digest of the rows in their order, for sources that are not files."""
    hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return hashlib.sha256(hashes.tobytes()).hexdigest()
