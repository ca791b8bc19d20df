"""Features kept up with a store: restored from a snapshot and the log's tail, refreshed before every answer."""

import logging
import os
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ringbound.errors import InputError, one_line
from ringbound.features.asof import LATEST
from ringbound.features.columns import Category, Column
from ringbound.features.definition import FeatureSet
from ringbound.features.events import Events, EventSource, stale
from ringbound.features.logged import from_log
from ringbound.features.online import RETAINED, OnlineFeatures
from ringbound.store.clock import WALL, Clock
from ringbound.store.records import LoggedEvent
from ringbound.store.store import Store

LOG = logging.getLogger(__name__)
SNAPSHOT_EVERY = 100_000
"""Events after which a new snapshot is worth its writing."""


class LiveFeatures:
    """Windowed features as of now, by a store's log.

    `clock` gives the present where a question names none; the wall clock refuses questions about the future, whose
    events are still to come. With a `snapshot` file, starting again reads only what the log has had since. `newest` is
    the newest `available_at` in the log. Who looks something up takes `turn`, where several threads do.
    """

    def __init__(
        self,
        features: FeatureSet,
        store: Store,
        *,
        clock: Clock = WALL,
        snapshot: Path | None = None,
        retained: int = RETAINED,
    ):
        self.features = features
        self.store = store
        self.clock = clock
        self.snapshot = snapshot
        self.online = OnlineFeatures(features, retained)
        self.newest: int | None = None
        self.turn = threading.RLock()
        self._whole = False
        self._saved = self._restore()

    def present(self) -> int:
        """Return the present, in microseconds since 1970."""
        return self.clock.now(self.newest)

    def refresh(self) -> None:
        """Take in what the log has got since the last time."""
        if not self._whole:  # the last time it could not be read
            self._saved = self._restore()
        while rows := self.store.tail(self.online.position):
            before, void = self.present(), any(event.voids for event in rows)
            if void:
                self.newest = self.store.end().newest
            else:
                self.newest = max(self.newest or 0, max(event.available_at for event in rows))
            self.online.apply(rows, self.present())
            if void and self.present() < before:  # what was forgotten since may be asked about again
                self._whole = False
                self._restore()
            elif void:
                for name, source in self.features.sources.items():
                    self.online.newest[name] = self.store.newest(name, source.lateness_us)
        if self.online.position - self._saved > SNAPSHOT_EVERY:
            self.online.forget()
            self._saved = self.save()

    def values(
        self, rows: Sequence[Mapping[str, Any]], ats: Sequence[int | None]
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return every windowed feature, (n,) float64 each, of n rows with the fields that entities name, and their times.

        `ats` are the times asked about, None for the present. `InputError` where one cannot be answered rightly.
        """
        self.refresh()
        present = self.present()
        times = [present if at is None else at for at in ats]
        for number, at in enumerate(times):
            if why := self.refusal(at):
                raise InputError(f"row {number}: {why}")
        keyed = self.features.keyed(rows)
        vectors = [self.online.values(at, row) for at, row in zip(times, keyed, strict=True)]
        by_feature = vectors[0][:, None] if len(rows) == 1 else np.array(vectors).T
        return dict(zip(self.features.windowed, by_feature, strict=True)), np.array(times, np.int64)

    def refusal(self, at: int) -> str | None:
        """Return why a question as of `at` has no answer, None where it has one."""
        if not self.clock.takes_history and at > self.present():
            return "at: expected a time up to now; got one to come; leave it out to ask as of now"
        return self.online.refusal(at)

    def stale(self, times: np.ndarray) -> list[str | None]:
        """Return, for questions asked at these times, the sources that have had no news for too long; None for none."""
        return stale(self.features.sources, self.online.newest, times)

    def _restore(self) -> int:
        """Load what matters from the snapshot and the log; return the position that is saved."""
        log = self.store.end()
        self.newest, end, present = log.newest, log.position, self.clock.now(log.newest)
        snapshot = self._read_snapshot(present)
        events, saved = snapshot if snapshot and snapshot[1] <= end else ({}, 0)
        tail = list(self._tail(saved, end)) if saved else []
        for name, source in self.features.sources.items():
            after = self.online.needs(name, present)
            if saved:
                void = self.store.voided(name, end)
                more = from_log(
                    source,
                    [e for e in tail if e.source == name and e.available_at > after and e.id not in void],
                )
                events[name] = Events.joined(events[name].between(after, LATEST).without(void), more)
            else:
                events[name] = from_log(source, self.store.since(name, after, LATEST, end))
        self.online.load(events, end, present)
        self._whole = True
        return saved if end - saved < SNAPSHOT_EVERY else self.save(events)

    def _tail(self, after: int, until: int) -> Iterator[LoggedEvent]:
        while rows := self.store.tail(after):
            yield from (event for event in rows if event.seq <= until)
            after = rows[-1].seq

    def save(self, events: Mapping[str, Events] | None = None) -> int:
        """Write the snapshot and return its position."""
        position = self.online.position
        if self.snapshot is None:
            return position
        present = self.present()
        if events is None:
            events = {
                name: from_log(source, self.store.since(name, self.online.needs(name, present), LATEST, position))
                for name, source in self.features.sources.items()
            }
        arrays: dict[str, np.ndarray] = {
            "about": np.array([self.store.log, self.features.hash, str(position), str(present)])
        }
        for name, happened in events.items():
            arrays |= {f"{name}/available_at": happened.available_at, f"{name}/ids": happened.ids.astype(str)}
            for field, column in happened.fields.items():
                if isinstance(column, Category):
                    arrays[f"{name}/{field}/values"] = np.array([*column.values, ""])
                    column = column.codes
                arrays[f"{name}/{field}"] = column
        self.snapshot.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.snapshot.with_name(f"{self.snapshot.name}.{os.getpid()}")
        with unfinished.open("wb") as out:
            np.savez(out, **arrays)  # type: ignore[arg-type]
        unfinished.replace(self.snapshot)
        return position

    def _read_snapshot(self, present: int) -> tuple[dict[str, Events], int] | None:
        """Return the snapshot's events and position, if there is one of this log and these features that goes back enough."""
        if self.snapshot is None or not self.snapshot.is_file():
            return None
        try:
            with np.load(self.snapshot, allow_pickle=False) as arrays:
                log, definition, position, made_at = arrays["about"].tolist()
                if (log, definition) != (self.store.log, self.features.hash) or int(made_at) > present:
                    LOG.warning("snapshot: of another log, other features or a later time; the log is read instead")
                    return None
                return {n: _from_snapshot(s, arrays) for n, s in self.features.sources.items()}, int(position)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            LOG.warning("snapshot: cannot be read (%s); the log is read instead", one_line(error, 200))
            return None  # it only saves time: the log has everything


def _from_snapshot(source: EventSource, arrays: Mapping[str, np.ndarray]) -> Events:
    fields: dict[str, Column] = {}
    for name in [*(field.name for field in source.fields), *source.derived]:
        column = arrays[f"{source.name}/{name}"]
        values = f"{source.name}/{name}/values"
        fields[name] = Category(column, arrays[values].tolist()) if values in arrays else column
    return Events(arrays[f"{source.name}/available_at"], arrays[f"{source.name}/ids"].astype(object), fields)
