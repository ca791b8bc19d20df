"""The events of a store's log, as columns and as a reader."""

import json
from collections.abc import Mapping, Sequence

import numpy as np

from ringbound.features.columns import Category, Column
from ringbound.features.events import Events, EventSource
from ringbound.store.clock import WALL
from ringbound.store.records import LoggedEvent
from ringbound.store.store import Store


class LoggedEvents:
    """The events of `sources` in a store's log up to `until` (default: now), read a stretch of time at once."""

    def __init__(self, store: Store, sources: Mapping[str, EventSource], *, until: int | None = None):
        self.store = store
        self.sources = sources
        self.until = WALL.now() if until is None else until
        self.identity = store.log

    def read(self, name: str, after: int, until: int) -> Events:
        """Return a source's events that became available in (after, until], in order."""
        return from_log(self.sources[name], self.store.since(name, after, until))

    def newest(self, name: str) -> int | None:
        """Return when the newest event of a source that counts became available; None where there is none."""
        return self.store.newest(name, self.sources[name].lateness_us)

    def lags(self, name: str) -> np.ndarray:
        """Return how long after it happened each event of a source became available, (n,) int64 microseconds."""
        return self.store.lags(name)


def from_log(source: EventSource, logged: Sequence[LoggedEvent]) -> Events:
    """Return events of the log that count, which are in order, as columns; what a source's fields do not name is left out."""
    logged = [event for event in logged if source.counts(event.time, event.available_at)]
    payloads = [json.loads(event.payload) for event in logged]
    fields: dict[str, Column] = {}
    for field in source.fields:
        values = [payload.get(field.name) for payload in payloads]
        if field.kind == "category":
            texts = Category.from_texts(values)
            places = {text: place for place, text in enumerate(dict.fromkeys(texts.values))}
            fields[field.name] = Category(np.where(texts.codes < 0, -1, texts.index(places)), list(places))
        else:
            fields[field.name] = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    fields = source.with_derived(fields, np.array([event.time for event in logged], dtype=np.int64))
    times = np.array([event.available_at for event in logged], dtype=np.int64)
    return Events.ordered(times, np.array([event.id for event in logged], dtype=object), fields)
