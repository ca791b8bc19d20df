"""Proof by replay: history goes through the store and the online path, and every value must equal the offline table's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ringbound.errors import FeatureError
from ringbound.features.asof import LATEST, MINUTE
from ringbound.features.definition import AT, FeatureSet
from ringbound.features.frames import columns_of
from ringbound.features.join import windowed_values
from ringbound.features.live import LiveFeatures, from_log
from ringbound.features.offline import EventTables
from ringbound.store import Event, Store


@dataclass(frozen=True)
class Delivery:
    """How events come in: the share that is late, by how many minutes, and the share that comes twice."""

    late: float = 0.0
    late_min: tuple[int, int] = (30, 360)
    twice: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Replayed:
    """What a replay compared: rows asked, values compared, those that differed, and the first of them in words."""

    events: int
    rows: int
    values: int
    mismatches: int
    first: str | None


def replay(
    features: FeatureSet,
    tables: EventTables,
    requests: pd.DataFrame,
    table: pd.DataFrame,
    store: Store,
    *,
    delivery: Delivery | None = None,
    snapshot: Path | None = None,
) -> Replayed:
    """Send every event through `store` and ask every request, in order of time, and compare with `table`, bit for bit.

    `table` has the offline value of every windowed feature, a row a request. With a `delivery`, events are delayed and
    repeated first, and the offline values are computed anew from what then lies in the log.
    """
    if store.newest()[0]:
        raise FeatureError("replay: expected an empty store; this one has events; name another with --store")
    at = requests[AT.name].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]").astype(np.int64)
    order = np.argsort(at, kind="stable")
    longest = max(view.longest for view in features.views)
    sent = {
        name: deliveries(tables, name, int(at.min()) - longest, int(at.max()), delivery or Delivery())
        for name in features.sources
    }
    live = LiveFeatures(features, store, clock=lambda newest: newest or 0, snapshot=snapshot)
    entities = list(dict.fromkeys(part for view in features.views for part in view.entity))
    asked = plain_rows(requests[entities])
    online = np.empty((len(requests), len(features.windowed)))
    waiting = dict.fromkeys(sent, 0)
    accepted = 0
    for row in order:
        now = int(at[row])
        for name, (times, events) in sent.items():
            end = int(np.searchsorted(times, now, "right"))
            for start in range(waiting[name], end, 1000):
                batch = events[start : min(start + 1000, end)]
                accepted += store.append(name, batch, clock=lambda newest: 0).accepted
            waiting[name] = end
        values, _ = live.values([asked[row]], [now])
        online[row] = [column[0] for column in values.values()]
    if delivery is None:
        offline = table[list(features.windowed)].to_numpy(np.float64)
    else:
        logged = {name: from_log(s, store.since(name, -LATEST, LATEST)) for name, s in features.sources.items()}
        found = windowed_values(features.views, features.sources, logged, at, columns_of(requests[entities]))
        offline = np.array(list(found.values())).T
    wrong = np.argwhere(differs(online, offline))
    return Replayed(
        events=accepted,
        rows=len(requests),
        values=online.size,
        mismatches=len(wrong),
        first=None if not len(wrong) else _described(features, requests, online, offline, wrong[0]),
    )


def plain_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame's rows as a request has them: missing is None."""
    columns = {str(name): values.astype(object).where(values.notna(), None).tolist() for name, values in frame.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def differs(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Say where float64 values are not the same bits; all missing values are one."""
    bits = [np.ascontiguousarray(values).view(np.int64) for values in (some, others)]
    return (bits[0] != bits[1]) & ~(np.isnan(some) & np.isnan(others))


def _described(
    features: FeatureSet, requests: pd.DataFrame, online: np.ndarray, offline: np.ndarray, place: np.ndarray
) -> str:
    row, column = place
    name = list(features.windowed)[column]
    values = f"online {online[row, column]!r}, offline {offline[row, column]!r}"
    return f"{name}, row {row} ({requests.iloc[row].to_dict()}): {values}"


def deliveries(
    tables: EventTables, name: str, after: int, until: int, delivery: Delivery
) -> tuple[np.ndarray, list[Event]]:
    """Return when each event of a source comes in, in order, and the events; each knows when it could be known."""
    table = tables.table(name, after, until)
    source = tables.sources[name]
    times = table[source.time].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    known = table["available_at"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    random = np.random.default_rng(delivery.seed)
    late = random.random(len(known)) < delivery.late
    known = known + np.where(late, random.integers(*delivery.late_min, len(known), endpoint=True), 0) * MINUTE
    fields = table.select([field.name for field in source.fields]).to_pylist()
    ids = table[source.id].to_pylist()
    events = [
        Event(i, t, fields_of, k)
        for i, t, fields_of, k in zip(ids, times.tolist(), fields, known.tolist(), strict=True)
    ]
    again = np.flatnonzero(random.random(len(known)) < delivery.twice)
    comes = np.concatenate([known, known[again] + random.integers(0, 600, len(again)) * MINUTE])
    order = np.argsort(comes, kind="stable")
    return comes[order], [events[i] for i in np.concatenate([np.arange(len(known)), again])[order]]
