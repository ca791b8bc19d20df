"""From declared tables to month-partitioned Parquet, with provenance; running again changes nothing."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from ringbound.data.provenance import Provenance, TableFacts
from ringbound.data.sources import Reading, Source, rejected_rows
from ringbound.data.tables import read_table, write_partition
from ringbound.errors import SourceError
from ringbound.workspace import layout

WHOLE = "all"


def _check_some_fit(source: Source, reading: Reading) -> None:
    """Refuse a source of which no row could be read: its declaration is wrong, not its rows."""
    if len(reading.rejected) and not len(reading.rows):
        raise SourceError(
            f"{source.describe()}: expected rows that can be read; all {len(reading.rejected):,} were rejected, "
            f"the first because of {reading.rejected['reason'].iloc[0]}; correct the declared columns"
        )


def _as_is(rows: pd.DataFrame) -> pd.DataFrame:
    return rows


@dataclass(frozen=True)
class Table:
    """One table of the workspace: a source, the function that shapes its rows, and the columns that come out.

    `key` identifies a row and gives the order on disk. `time` is the UTC column by which rows are partitioned into
    months and cut at `through`; a table without one is reference data, kept whole.
    """

    name: str
    source: Source
    columns: dict[str, str]
    key: tuple[str, ...]
    time: str | None = None
    shape: Callable[[pd.DataFrame], pd.DataFrame] = _as_is


def ingest(tables: list[Table], *, through: pd.Timestamp, previous: Path, out: Path) -> Provenance:
    """Read every table up to `through` into `out/TABLE/YYYY-MM.parquet`; return where each came from.

    `previous` is the folder an earlier run published, or one that does not exist. From it, months that were complete
    then are taken over for incremental sources; the month that was still open is read again whole, so the result never
    depends on how often ingest was run. Rows that cannot be read go to `out/rejected.parquet`, with
    the source, the place where it has one, and the reason.

    >>> from ringbound import Files
    >>> from ringbound.testing import examples
    >>> folder, columns = examples.folder(), {"id": "string", "at": "timestamp"}
    >>> _ = (folder / "boxes.csv").write_text("id,at\\na,2020-01-01T00:00:00Z\\nb,soon\\n")
    >>> boxes = Table("boxes", Files(folder / "boxes.csv", columns), columns, key=("id",), time="at")
    >>> through = pd.Timestamp("2020-02-01T00:00Z")
    >>> (folder / "raw").mkdir()
    >>> ingest([boxes], through=through, previous=folder / "none", out=folder / "raw").frame["rows"].item()
    1
    >>> pd.read_parquet(folder / "raw/rejected.parquet")["reason"].item()
    "at: expected a time with offset, like 2013-11-27T17:15:00-05:00; got 'soon'"
    """
    done = _previous_through(previous, through)
    whole = {id(table.source) for table in tables if not _resumable(table, previous)}
    readings: dict[int, Reading] = {}
    made, rejects = [], []
    for table in tables:
        since = done.normalize().replace(day=1) if done is not None and id(table.source) not in whole else None
        if id(table.source) not in readings:
            readings[id(table.source)] = table.source.read(since, through)
            _check_some_fit(table.source, readings[id(table.source)])
            rejects.append(_rejected(table.source, readings[id(table.source)], previous if since is not None else None))
        reading = readings[id(table.source)]
        shaped = table.shape(reading.rows)
        rows, lost = _cut(table, shaped, through)
        rejects.append(lost)
        taken_over = _take_over(table, previous, out, since)
        written = _write(table, rows if since is None or not table.time else rows[rows[table.time] >= since], out)
        made.append(_facts(table, out, reading, taken_over + written))
        if not table.source.incremental:  # what is asked for newer rows only had others before
            made[-1] = _accounted(made[-1], reading, shaped=len(shaped), timely=len(rows), timeless=len(lost))
    rejected = pd.concat(rejects, ignore_index=True).drop_duplicates()
    write_partition(rejected.sort_values(["source", "reason", "row"], kind="stable"), None, out / layout.REJECTED)
    counts = rejected["source"].value_counts()
    tables_of = {facts.table: replace(facts, rejected=int(counts.get(facts.source, 0))) for facts in made}
    provenance = Provenance(through.isoformat(), tables_of)
    provenance.write(out / layout.PROVENANCE)
    return provenance


def _previous_through(previous: Path, through: pd.Timestamp) -> pd.Timestamp | None:
    file = previous / layout.PROVENANCE
    if not file.is_file():
        return None
    earlier = Provenance.read(file).known_until
    return earlier if earlier <= through else None


def _resumable(table: Table, previous: Path) -> bool:
    """Say whether earlier partitions of the table can stand: same columns, from a source that can be asked for less."""
    files = sorted((previous / table.name).glob("*.parquet"))
    return bool(
        table.source.incremental and table.time and files and pq.read_schema(files[0]).names == list(table.columns)
    )


def _cut(table: Table, rows: pd.DataFrame, through: pd.Timestamp) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows known at `through`, and those that have no usable time."""
    if table.time is None:
        return rows, rejected_rows("", [], [], [])
    timeless = rows[table.time].isna()
    lost = rows[timeless].astype("str").to_dict("records")
    reason = f"{table.name}, {table.time}: missing, or a time that does not exist"
    places = ["" if table.source.incremental else f"row {number + 1}" for number in rows.index[timeless]]
    aside = rejected_rows(table.source.describe(), places, [reason] * len(lost), [str(row) for row in lost])
    return rows[(rows[table.time] <= through).fillna(False)], aside


def _rejected(source: Source, reading: Reading, previous: Path | None) -> pd.DataFrame:
    """Return what the source could not read, now and, where it was asked for newer rows only, before."""
    rejected = reading.rejected.assign(source=source.describe())
    if source.incremental:  # a query's answer has no fixed places
        rejected["place"] = ""
    if previous is None:
        return rejected
    before = pd.read_parquet(previous / layout.REJECTED)
    return pd.concat([before[before["source"] == source.describe()], rejected], ignore_index=True)


def _take_over(table: Table, previous: Path, out: Path, since: pd.Timestamp | None) -> list[Path]:
    if since is None:
        return []
    taken = []
    for file in sorted((previous / table.name).glob("*.parquet")):
        if file.stem < since.strftime("%Y-%m"):
            (out / table.name).mkdir(parents=True, exist_ok=True)
            taken.append(Path(shutil.copyfile(file, out / table.name / file.name)))
    return taken


def _write(table: Table, rows: pd.DataFrame, out: Path) -> list[Path]:
    ordered = rows.sort_values(list(table.key), kind="stable")
    months = ordered[table.time].dt.strftime("%Y-%m") if table.time else pd.Series(WHOLE, index=ordered.index)
    files = []
    for month, part in ordered.groupby(months, sort=True):
        files.append(out / table.name / f"{month}.parquet")
        write_partition(part, table.columns, files[-1])
    return files


def _facts(table: Table, out: Path, reading: Reading, files: list[Path]) -> TableFacts:
    rows = read_table(out, table.name) if files else pd.DataFrame(columns=list(table.columns))
    times = rows[table.time] if table.time and len(rows) else None
    return TableFacts(
        table=table.name,
        source=table.source.describe(),
        rows=len(rows),
        first=None if times is None else times.min().isoformat(),
        last=None if times is None else times.max().isoformat(),
        partitions=len(files),
        sha256=reading.sha256 if not table.source.incremental else _digest(files),
    )


def _accounted(facts: TableFacts, reading: Reading, *, shaped: int, timely: int, timeless: int) -> TableFacts:
    """Return the facts with what became of the rows that the source had; refuse where not all that should be are written.

    Which rows a table leaves out or adds is its `shape`'s own affair.
    """
    unread = len(reading.rejected)
    read, left_out, later = len(reading.rows) + unread, len(reading.rows) - shaped, shaped - timely - timeless
    if read - unread - left_out - later - timeless != facts.rows:
        raise SourceError(
            f"{facts.table}: of {read} rows read, {unread} are unreadable, {left_out} not of this table, {later} later and "
            f"{timeless} without a time; expected that the others are written; {facts.rows} are; a mistake of ours"
        )
    return replace(facts, read=read, left_out=left_out, later=later)


def _digest(files: list[Path]) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()
