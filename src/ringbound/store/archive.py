"""The archive of a store: answers older than it keeps, their outcomes and seals, in Parquet by month.

    archive/LOG/predictions/month=2013-12/0f3c….parquet  the same columns as the store's table
    archive/LOG/outcomes/…, archive/LOG/seals/…

Nothing is taken out of the store before it has been read back from here. A run that was killed may leave a row in both, or
twice here: rows are told apart by their keys wherever they are read.
"""

import hashlib
import os
from collections import namedtuple
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ringbound.errors import StoreError, one_line
from ringbound.store.schema import OUTCOMES, PREDICTIONS, SEALS

IDENTITY = {
    "predictions": ("prediction_id",),
    "outcomes": ("prediction_id", "time", "value"),
    "seals": ("chain", "number"),
}
"""What tells rows apart, also after a backup was put back, when the store gives the same numbers to other rows."""
DELETED_BY = {"predictions": "prediction_id", "outcomes": "seq", "seals": "seal"}
"""By what a store deletes rows."""
TABLES = {"predictions": PREDICTIONS, "outcomes": OUTCOMES, "seals": SEALS}
TIMES = {"predictions": "made_at", "outcomes": "available_at", "seals": "made_at"}
"""By when each is put into its month."""
PART_ROWS, GROUP_ROWS = 20_000, 2_000


@dataclass(frozen=True)
class Archived:
    """What one run has moved."""

    predictions: int
    outcomes: int
    seals: int


class Archive:
    """The archive of the store whose log is `log`, below a folder that others may share; `StoreError` where it is damaged."""

    def __init__(self, folder: Path, log: str):
        self.shared = folder
        self.folder = folder / log
        self._sound: dict[str, tuple[int, int]] = {}

    def add(self, kind: str, rows: Sequence[Any]) -> None:
        """Put rows of a table, columns by name, into their months for good: each part is read back before this returns."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = _schema(TABLES[kind])
        when, identity = attrgetter(TIMES[kind]), attrgetter(*IDENTITY[kind])
        by_month: dict[str, list[Any]] = {}
        for row in rows:
            by_month.setdefault(f"{datetime.fromtimestamp(when(row) / 1e6, UTC):%Y-%m}", []).append(row)
        for month, some in by_month.items():
            some.sort(key=identity)
            columns = [
                pa.array(column, field.type) for column, field in zip(zip(*some, strict=True), schema, strict=True)
            ]
            part = pa.Table.from_arrays(columns, schema=schema)
            out = pa.BufferOutputStream()
            pq.write_table(part, out, row_group_size=GROUP_ROWS, compression="zstd")
            content = out.getvalue()
            file = self.folder / kind / f"month={month}" / f"{_digest(content)}.parquet"
            _durably(file, content)
            if not pq.read_table(file, partitioning=None).equals(part):
                raise StoreError(f"archive: {file.name} is not what was written; nothing is taken out of the store")

    def rows(
        self, kind: str, column: str = "", values: Collection[Any] | None = None, *, names: Sequence[str] = ()
    ) -> list[Any]:
        """Return rows of a table as the store has them, each once: all, or those whose `column` is one of `values`.

        Their columns, all or those of `names`, go by name.
        """
        if values is not None and not values:
            return []
        import pyarrow.dataset as ds

        return self._found(kind, names, None if values is None else ds.field(column).isin(list(values)))

    def between(self, kind: str, column: str, start: int, end: int, names: Sequence[str]) -> list[Any]:
        """Return rows of a table whose `column` is from `start` on and below `end`, each once."""
        import pyarrow.dataset as ds

        return self._found(kind, names, (ds.field(column) >= start) & (ds.field(column) < end))

    def _found(self, kind: str, names: Sequence[str], asked: Any) -> list[Any]:
        parts = sorted(str(part) for part in (self.folder / kind).glob("month=*/[!.]*.parquet"))
        if not parts:
            return []
        import pyarrow as pa
        import pyarrow.dataset as ds

        wanted = names or [found.name for found in TABLES[kind].c]
        read = list(dict.fromkeys([*wanted, *IDENTITY[kind]]))
        try:
            for part in parts:
                self._check(part)
            found = ds.dataset(parts, schema=_schema(TABLES[kind]), format="parquet").to_table(read, filter=asked)
        except (pa.ArrowException, OSError) as error:
            raise StoreError(
                f"archive: {kind} cannot be read: {one_line(error, 200)}; restore what is damaged"
            ) from error
        columns = [
            _filled(TABLES[kind].c[name], column) for name, column in zip(read, found.itercolumns(), strict=True)
        ]
        rows = map(row_of(tuple(read))._make, zip(*(column.to_pylist() for column in columns), strict=True))
        identity = attrgetter(*IDENTITY[kind])
        once = {identity(row): row for row in rows}
        return list(map(row_of(tuple(wanted))._make, (row[: len(wanted)] for row in once.values())))

    def _check(self, part: str) -> None:
        """Hold a part against the digest that it is called by, once; `StoreError` where a bit of it is another."""
        file, about = Path(part), os.stat(part)  # noqa: PTH116
        if self._sound.get(part) != (about.st_mtime_ns, about.st_size):
            if _digest(file.read_bytes()) != file.stem:
                raise StoreError(
                    f"archive: {file.parent.name}/{file.name} is not what was written; restore it from a backup"
                )
            self._sound[part] = (about.st_mtime_ns, about.st_size)

    def has(self, ids: Collection[str]) -> set[str]:
        """Return those of some predictions that are here."""
        return {row.prediction_id for row in self.rows("predictions", "prediction_id", ids, names=["prediction_id"])}


def move(
    archive: Archive,
    read: Callable[[sa.Select], Iterable[sa.Row]],
    drop: Callable[[str, Sequence[Any]], None],
    before: int,
) -> Archived:
    """Move what a store has from before a time, in microseconds since 1970: predictions with their outcomes, and seals.

    `read` runs a query on the store, `drop` deletes rows of a kind by their keys. The newest seal of each chain stays: what
    comes after it holds its root. An outcome that comes for a prediction that is here follows when it is as old itself.
    """
    moved = {"predictions": 0, "outcomes": 0, "seals": 0}

    def take(kind: str, query: sa.Select) -> list[sa.Row]:
        rows = list(read(query))
        if rows:
            archive.add(kind, rows)
            moved[kind] += len(rows)
        return rows

    def delete(kind: str, rows: Sequence[sa.Row]) -> None:
        drop(kind, [getattr(row, DELETED_BY[kind]) for row in rows])

    old = sa.select(PREDICTIONS).where(PREDICTIONS.c.made_at < before)
    old = old.order_by(PREDICTIONS.c.made_at, PREDICTIONS.c.prediction_id).limit(PART_ROWS)
    while rows := take("predictions", old):
        ids = [row.prediction_id for row in rows]
        outcomes: list[sa.Row] = []
        for start in range(0, len(ids), 500):
            some = OUTCOMES.c.prediction_id.in_(ids[start : start + 500])
            outcomes += read(sa.select(OUTCOMES).where(some))
        if outcomes:
            archive.add("outcomes", outcomes)
            moved["outcomes"] += len(outcomes)
        delete("predictions", rows)
        delete("outcomes", outcomes)  # after: a prediction in the store has its outcomes there
    there = sa.exists().where(PREDICTIONS.c.prediction_id == OUTCOMES.c.prediction_id)
    strays = list(read(sa.select(OUTCOMES).where(OUTCOMES.c.available_at < before, ~there)))
    known = archive.has({row.prediction_id for row in strays})
    if late := [row for row in strays if row.prediction_id in known]:
        archive.add("outcomes", late)
        moved["outcomes"] += len(late)
        delete("outcomes", late)
    later = SEALS.alias()
    followed = sa.exists().where(later.c.chain == SEALS.c.chain, later.c.number > SEALS.c.number)
    seals = sa.select(SEALS).where(SEALS.c.made_at < before, followed).order_by(SEALS.c.seal).limit(1000)
    while rows := take("seals", seals):
        delete("seals", rows)
    return Archived(**moved)


@lru_cache
def row_of(names: tuple[str, ...]) -> Any:
    """Return the type of rows that have these columns."""
    return namedtuple("Row", names)


def _schema(table: sa.Table) -> Any:
    import pyarrow as pa

    return pa.schema([(column.name, _arrow(column.type)) for column in table.c])


def _filled(column: sa.Column, values: Any) -> Any:
    """Return a column's values, with its default where they were put away before there was the column."""
    if column.nullable or not values.null_count or column.server_default is None:
        return values
    import pyarrow as pa

    return values.fill_null(pa.scalar(str(column.server_default.arg)).cast(values.type))  # type: ignore[attr-defined]


def _arrow(kind: Any) -> Any:
    import pyarrow as pa

    if isinstance(kind, sa.Boolean):
        return pa.bool_()
    if isinstance(kind, sa.LargeBinary):
        return pa.binary()
    if isinstance(kind, sa.Float):
        return pa.float64()
    return pa.int64() if isinstance(kind, sa.Integer) else pa.string()


def _digest(content: Any) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _durably(file: Path, content: Any) -> None:
    """Write a file so that it survives a loss of power, whole or not at all; for its owner's eyes."""
    new = [folder for folder in (file.parent, *file.parent.parents) if not folder.exists()]
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    with open(os.open(unfinished, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as out:  # noqa: PTH123
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    unfinished.replace(file)
    for folder in (file.parent, *(folder.parent for folder in new)):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
