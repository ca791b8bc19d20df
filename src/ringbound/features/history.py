"""History as it came in: the events of tables as the log would have got them, also late and more than once."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ringbound.features.asof import MINUTE
from ringbound.features.offline import EventTables
from ringbound.store.clock import SetClock
from ringbound.store.records import Event
from ringbound.store.store import Store

PAST = SetClock(0, takes_history=True)
"""For history: every event is stamped by when it was known alone."""
BATCH = 10_000


@dataclass(frozen=True)
class Delivery:
    """How events come in: the share that is late, by how many minutes, and the share that comes twice."""

    late: float = 0.0
    late_min: tuple[int, int] = (30, 360)
    twice: float = 0.0
    seed: int = 0


PUNCTUAL = Delivery()


class Deliveries(NamedTuple):
    """When each event comes in, (n,) int64 microseconds in order, and the events."""

    times: np.ndarray
    events: list[Event]


def deliveries(tables: EventTables, name: str, after: int, until: int, delivery: Delivery = PUNCTUAL) -> Deliveries:
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
    return Deliveries(comes[order], [events[i] for i in np.concatenate([np.arange(len(known)), again])[order]])


def load_history(tables: EventTables, store: Store, name: str, after: int) -> tuple[int, int]:
    """Put a source's events that became available after `after` into the log; return how many, and how many were new."""
    events = deliveries(tables, name, after, tables.until).events
    accepted = sum(
        store.append(name, events[start : start + BATCH], PAST).accepted for start in range(0, len(events), BATCH)
    )
    return len(events), accepted
