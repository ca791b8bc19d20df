"""The offline side of features: events in tables, and the as-of join of a training table, shard by shard."""

import hashlib
import json
import os
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ringbound import workspace
from ringbound.compute.engines import Engine, local_engine, open_engine
from ringbound.data.provenance import Provenance
from ringbound.errors import FeatureError
from ringbound.features.asof import LATEST
from ringbound.features.columns import Category, Column, Reference
from ringbound.features.definition import AT, FeatureSet
from ringbound.features.events import Events, EventSource
from ringbound.features.frames import columns_of, instants
from ringbound.features.join import windowed_values
from ringbound.features.lookup import known_events
from ringbound.workspace import layout


class EventTables:
    """The events of `sources` in month-partitioned Parquet below `folder`, read a stretch of time at once.

    A partition holds the events that became available in its month (UTC), as `ringbound.data` writes them, with a
    provenance.json that says how far they go. `months` of a source stay in memory.
    """

    def __init__(self, folder: Path, sources: Mapping[str, EventSource], *, months: int = 4):
        self.folder = folder
        self.sources = sources
        self.months = months
        about = folder / layout.PROVENANCE
        self.until = Provenance.read(about).until if about.is_file() else LATEST
        files = sorted(file for name in sources for file in (folder / name).glob("*.parquet"))
        self.identity = json.dumps([[f.parent.name, f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in files])
        self._read: OrderedDict[Path, pa.Table] = OrderedDict()

    def read(self, name: str, after: int, until: int, *, ids: bool = False) -> Events:
        """Return a source's events that became available in (after, until] and count, in order; ids only if asked for."""
        table, source = self.table(name, after, until), self.sources[name]
        counts = source.counts(_microseconds(table, source.time), _microseconds(table))
        return events_of(table if counts.all() else table.filter(pa.array(counts)), source, ids=ids)

    def newest(self, name: str) -> int | None:
        """Return when the newest event of a source that counts became available; None where there is none."""
        for file in sorted((self.folder / name).glob("*.parquet"), reverse=True):
            table, source = self._table(file, self.sources[name]), self.sources[name]
            available = _microseconds(table)
            counting = available[source.counts(_microseconds(table, source.time), available)]
            if len(counting):
                return int(counting.max())
        return None

    def lags(self, name: str) -> np.ndarray:
        """Return how long after it happened each event of a source became available, (n,) int64 microseconds."""
        source = self.sources[name]
        tables = [
            pq.read_table(file, columns=[source.time, "available_at"])
            for file in sorted((self.folder / name).glob("*.parquet"))
        ]
        return np.concatenate([_microseconds(table) - _microseconds(table, source.time) for table in tables])

    def table(self, name: str, after: int, until: int) -> pa.Table:
        """Return the rows of a source that became available in (after, until], in order, as they lie on disk."""
        source = self.sources[name]
        first, end = (np.datetime64(time, "us").astype("datetime64[M]") for time in (after, until))
        files = sorted((self.folder / name).glob("*.parquet"))
        if not files:
            there = sorted(folder.name for folder in self.folder.iterdir() if folder.is_dir())
            raise FeatureError(f"events: expected partitions in {name}/; found none; there are the tables {there}")
        tables = [
            _between(self._table(f, source), after, until) for f in files if first <= np.datetime64(f.stem, "M") <= end
        ]
        return _in_order(pa.concat_tables(tables or [self._table(files[0], source).slice(0, 0)]), source)

    def _table(self, file: Path, source: EventSource) -> pa.Table:
        if file not in self._read:
            try:
                table = pq.read_table(file, columns=source.columns)
            except (pa.ArrowInvalid, KeyError) as error:
                has = pq.read_schema(file).names
                raise FeatureError(
                    f"{source.name}/{file.name}: expected columns {source.columns}; got {has}"
                ) from error
            if early := int(pc.sum(pc.less(table["available_at"], table[source.time])).as_py() or 0):
                raise FeatureError(
                    f"{source.name}/{file.name}: expected events to be known when they happen or later; {early:,} of "
                    f"{table.num_rows:,} have an available_at before their {source.time}; correct what sets it"
                )
            if missing := table[source.time].null_count + table["available_at"].null_count:
                raise FeatureError(
                    f"{source.name}/{file.name}: expected {source.time} and available_at of every event; {missing:,} are "
                    "missing; hold the table to a contract"
                )
            self._read[file] = table
            while len(self._read) > self.months * len(self.sources):
                self._read.popitem(last=False)
        return self._read[file]


def _microseconds(table: pa.Table, column: str = "available_at") -> np.ndarray:
    instants = table[column].cast(pa.timestamp("us", "UTC")).combine_chunks()
    return instants.cast(pa.int64()).to_numpy(zero_copy_only=False)


def _between(table: pa.Table, after: int, until: int) -> pa.Table:
    available_at = _microseconds(table)
    inside = (available_at > after) & (available_at <= until)
    return table if inside.all() else table.filter(pa.array(inside))


def _in_order(table: pa.Table, source: EventSource) -> pa.Table:
    """Return the rows by (available_at, id); rows that are in order already are not sorted again."""
    available_at, ids = _microseconds(table), table[source.id].combine_chunks()
    ties = available_at[1:] == available_at[:-1]
    falls = np.asarray(pc.greater(ids[:-1], ids[1:])) if len(ids) > 1 else np.zeros(0, bool)
    if (available_at[1:] >= available_at[:-1]).all() and not (ties & falls).any():
        return table
    return table.take(pc.sort_indices(table, [("available_at", "ascending"), (source.id, "ascending")]))


def events_of(table: pa.Table, source: EventSource, *, ids: bool = True) -> Events:
    """Return an Arrow table's rows, which are in order, as events."""
    fields = {field.name: _from_arrow(table[field.name].combine_chunks(), field.kind) for field in source.fields}
    if source.derived:
        fields = source.with_derived(fields, _microseconds(table, source.time))
    names = table[source.id].to_numpy() if ids else np.empty(0, dtype=object)
    return Events(_microseconds(table), names, fields)


def _from_arrow(values: pa.Array, kind: str) -> Column:
    if kind == "number":
        return values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    encoded = values.cast(pa.string()).dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return Category(codes.astype(np.int64), encoded.dictionary.to_pylist())


def asof_join(
    features: FeatureSet,
    events: EventTables,
    requests: Iterable[pd.DataFrame],
    *,
    engine: Engine = local_engine,
    cache: Path | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """Yield, for each shard of requests, every windowed feature, (n,) float64 each.

    A shard is a frame of requests of some stretch of time: `at` (UTC) and the columns that entities name. With it go the
    events of that stretch and of the longest window before it, and nothing else, so memory is bounded by the largest
    shard, and any engine gives the same bytes. With a `cache` folder, shards that an earlier run had with the same
    definitions and the same rows are taken from there; what no shard of this run used is removed from it at the end.
    """
    shards = (_shard(features, events, frame) for frame in requests)
    if cache is None:
        yield from (_named(features, values) for values in engine(compute_shard, shards))
        return
    cache.mkdir(parents=True, exist_ok=True)
    used = []
    for file, values in _cached(features, shards, engine, cache):
        used.append(file)
        yield _named(features, values)
    for file in set(cache.glob("*.npy")) - set(used):
        file.unlink()


Shard = tuple[list, dict[str, EventSource], dict[str, Events], np.ndarray, dict[str, Column]]


def _shard(features: FeatureSet, events: EventTables, frame: pd.DataFrame) -> Shard:
    at = instants(frame[AT.name])
    return (
        features.views,
        features.sources,
        known_events(features, events, at),
        at,
        features.keys(columns_of(frame[features.key_fields])),
    )


def compute_shard(shard: Shard) -> np.ndarray:
    """Return the windowed features of a shard, (features, n) float64."""
    values = windowed_values(*shard)
    return np.array(list(values.values())) if values else np.empty((0, len(shard[3])))


def _named(features: FeatureSet, values: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(features.windowed, values, strict=True))


def _cached(
    features: FeatureSet, shards: Iterable[Shard], engine: Engine, cache: Path
) -> Iterator[tuple[Path, np.ndarray]]:
    """Compute the shards that the cache does not have, in order."""
    definition = " ".join(features.hash_of(name) for name in features.windowed)
    waiting: deque[tuple[Path, bool]] = deque()

    def missing() -> Iterator[Shard]:
        for shard in shards:
            file = cache / f"{_fingerprint(definition, shard)}.npy"
            waiting.append((file, file.is_file()))
            if not waiting[-1][1]:
                yield shard

    for values in engine(compute_shard, missing()):
        while waiting[0][1]:
            yield waiting[0][0], np.load(waiting.popleft()[0])
        file, _ = waiting.popleft()
        unfinished = file.with_suffix(f".{os.getpid()}")
        with unfinished.open("wb") as out:
            np.save(out, values)
        unfinished.replace(file)
        yield file, values
    for file, _ in waiting:
        yield file, np.load(file)


def _fingerprint(definition: str, shard: Shard) -> str:
    """Return a digest of all that a shard's values depend on."""
    _, _, events, at, keys = shard
    digest = hashlib.blake2b(definition.encode(), digest_size=16)
    digest.update(at.tobytes())
    for name, happened in sorted(events.items()):
        digest.update(name.encode())
        digest.update(happened.available_at.tobytes())
        _digest_columns(digest, happened.fields)
    _digest_columns(digest, keys)
    return digest.hexdigest()


def _digest_columns(digest: hashlib.blake2b, columns: Mapping[str, Column]) -> None:
    for name, column in sorted(columns.items()):
        if isinstance(column, Category):
            digest.update("\0".join([name, *map(str, column.values)]).encode())
            column = column.codes
        digest.update(np.asarray(column).tobytes())


def by_month(requests: pd.DataFrame, time: str) -> list[pd.DataFrame]:
    """Return the requests in shards, one per month (UTC) of the column `time`."""
    return [part for _, part in requests.groupby(requests[time].dt.strftime("%Y-%m"))]


def compute_features(
    features: FeatureSet,
    events: EventTables,
    requests: pd.DataFrame,
    references: Mapping[str, Reference],
    *,
    engine: str = "local",
    scheduler: str = "",
) -> dict[str, Column]:
    """Return every feature of `requests`, which have the request's fields and `at`; a column of n rows each.

    Windowed values are joined month by month, so that a year takes no more memory than a month, and months that have not
    changed are taken from the workspace's cache. `engine` changes where that is done, never the result.

    >>> from ringbound.testing import examples
    >>> from ringbound.testing.parcels import FEATURES
    >>> parcels = examples.town().parcels.tail(3)
    >>> values = compute_features(FEATURES, examples.events(), parcels, examples.town().references)
    >>> values["depot_arrivals_1h"].shape
    (3,)
    """
    shards = by_month(requests, AT.name)
    with open_engine(engine, scheduler) as opened:
        cache = workspace.root() / layout.SHARDS
        parts = list(asof_join(features, events, shards, engine=opened, cache=cache))
    tables = [pd.DataFrame(values, index=shard.index) for values, shard in zip(parts, shards, strict=True)]
    joined = pd.concat(tables).loc[requests.index] if tables else pd.DataFrame(columns=list(features.windowed))
    windowed = {name: joined[name].to_numpy("float64") for name in features.windowed}
    return features.compute(columns_of(requests), references, windowed)
