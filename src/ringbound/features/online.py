"""The online side of features: each entity's events in memory, kept up with the log, asked one row at a time.

The log is the truth, this a view of it: it can be thrown away and made again. It forgets what no question may ask
about any more, and refuses questions that would need it.
"""

import itertools
import json
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ringbound.errors import InputError
from ringbound.features import asof
from ringbound.features.columns import column_of
from ringbound.features.definition import FeatureSet
from ringbound.features.events import Events, EventSource
from ringbound.features.join import entity_codes, numbers_of
from ringbound.features.view import View, arguments_of
from ringbound.store.records import VOID, LoggedEvent

RETAINED = 24 * 60 * asof.MINUTE
"""How old a question may be: by so much more than the longest window the memory reaches back."""
NAN = float("nan")
HALVINGS = range(asof.HALVINGS + 1)
SMALL = 64
"""Events of one entity up to which nothing is forgotten: tidying up would cost more than it frees."""


@dataclass
class Entity:
    """What is remembered of one entity: its run of events, their ids, and the size at which to forget next.

    `waiting` are events (time, id, numbers) that belong among the others: they are put in order together, when asked for.
    """

    run: asof.Run
    ids: list[str]
    limit: int = SMALL
    waiting: list[tuple[int, str, Mapping[str, int]]] = field(default_factory=list)


@dataclass
class Memory:
    """One view's entities, and its features as they are asked for: aggregate, track, window, how long ago, and scale."""

    view: View
    program: list[tuple[Callable[..., tuple], str | None, int, int, int]]
    nothing: list[float]
    entities: dict[Any, Entity] = field(default_factory=dict)


class OnlineFeatures:
    """The windowed features of a set, online. `apply` takes events in from the log, `values` answers.

    `position` is the log's position up to which events are taken in, `newest` each source's newest `available_at` that
    counts, `oldest` the earliest time that can be asked about; all times are int64 microseconds since 1970.
    """

    def __init__(self, features: FeatureSet, retained: int = RETAINED):
        self.features = features
        self.retained = retained
        self.position = 0
        self.oldest = asof.MISSING
        self.newest: dict[str, int | None] = dict.fromkeys(features.sources)
        self.memories = [_memory(view, features.sources[view.events]) for view in features.views]
        self._of_source = {name: [m for m in self.memories if m.view.events == name] for name in features.sources}
        self._tracks = {name: _tracks(source, self._of_source[name]) for name, source in features.sources.items()}

    def needs(self, source: str, present: int) -> int:
        """Return the time after which events of a source matter to questions that may be asked at `present`."""
        return present - self.retained - self.features.lookback[source]

    def load(self, events: Mapping[str, Events], position: int, present: int) -> None:
        """Take the events of every source, in order, as all that matters up to `position`."""
        self.position = position
        self.oldest = present - self.retained
        for name, happened in events.items():
            self.newest[name] = int(happened.available_at[-1]) if len(happened) else None
            for memory in self._of_source[name]:
                memory.entities = _entities(memory.view, self.features.sources[name], happened)

    def apply(self, rows: Iterable[LoggedEvent], present: int) -> int:
        """Take in events as the log has them and return how many there were."""
        count = 0
        for event in rows:
            count += 1
            self.position = event.seq
            source = self.features.sources.get(event.source.removesuffix(VOID))
            if source is None or not source.counts(event.time, event.available_at):
                continue
            if event.voids:
                fields = _with_derived(source, json.loads(event.payload)["fields"], event.time)
                self.remove(source.name, event.id, event.available_at, fields)
            else:
                self.add(source.name, event.id, event.available_at, json.loads(event.payload), event.time)
        self.oldest = max(self.oldest, present - self.retained)
        return count

    def add(self, source: str, name: str, available_at: int, fields: Mapping[str, Any], time: int) -> None:
        """Take in one event, of id `name`, that happened at `time`."""
        fields = _with_derived(self.features.sources[source], fields, time)
        newest = self.newest[source]
        self.newest[source] = available_at if newest is None or available_at > newest else newest
        numbers = {track: number(fields) for track, number in self._tracks[source].items()}
        for memory in self._of_source[source]:
            key = _key(memory.view.entity, fields)
            if key is None:
                continue
            entity = memory.entities.get(key)
            if entity is None:
                entity = memory.entities[key] = Entity(_run([], {track: [] for track in memory.view.tracks}), [])
            times, ids = entity.run.times, entity.ids
            if available_at > times[-1] or (available_at == times[-1] and name > ids[-1]):
                _append(entity.run, available_at, numbers)
                ids.append(name)
            else:
                entity.waiting.append((available_at, name, numbers))
            if len(times) + len(entity.waiting) > entity.limit:
                _put_in_order(entity)
                _forget(entity, self.oldest - memory.view.longest)

    def remove(self, source: str, name: str, available_at: int, fields: Mapping[str, Any]) -> None:
        """Take an event out again, if it is remembered; `newest` is for the caller to correct, out of the log."""
        for memory in self._of_source[source]:
            key = _key(memory.view.entity, fields)
            entity = memory.entities.get(key)
            if entity is None:
                continue
            _put_in_order(entity)
            events = zip(entity.run.times[1:], entity.ids, strict=True)
            rows = np.array([event != (available_at, name) for event in events], bool)
            numbers = {track: np.array(t.values[1:], np.int64)[rows] for track, t in entity.run.tracks.items()}
            entity.ids = [i for i, stays in zip(entity.ids, rows.tolist(), strict=True) if stays]
            entity.run = _run(np.array(entity.run.times[1:], np.int64)[rows], numbers)
            if not entity.ids:
                del memory.entities[key]

    def refusal(self, at: int) -> str | None:
        """Return why values as of `at` are not known here, None where they are."""
        if at >= self.oldest:
            return None
        known = f"{_text(self.oldest)} or later, as far as events are remembered"
        return f"at: expected {known}; got {_text(at)}; ask offline: ringbound score"

    def values(self, at: int, row: Mapping[str, Any]) -> np.ndarray:
        """Return every windowed feature as of `at`, (features,) float64, of a row with the fields that entities name."""
        if why := self.refusal(at):
            raise InputError(why)
        values: list[float] = []
        for memory in self.memories:
            entity = memory.entities.get(_key(memory.view.entity, row))
            if entity is None:
                values += memory.nothing
                continue
            if entity.waiting:
                _put_in_order(entity)
            run = entity.run
            times = run.times
            tracks: Mapping[Any, asof.Track] = run.tracks  # None, of the events themselves, has none
            end, hi = at, bisect_right(times, at) - 1
            lo = window = 0
            for aggregate, track, length, ago, scale in memory.program:
                if aggregate is asof.decayed:
                    edges = [bisect_right(times, at - ago - number * length) - 1 for number in HALVINGS]
                    over, under = aggregate(
                        tracks[track], [(far, near) for near, far in itertools.pairwise(edges)], scale
                    )
                    values.append(1.0 * over / under if under else NAN)
                    continue
                if at - ago != end:
                    end, window, hi = at - ago, 0, bisect_right(times, at - ago) - 1
                if length != window:
                    window, lo = length, bisect_right(times, end - length, 0, hi + 1) - 1
                over, under = aggregate(run, tracks.get(track), lo, hi, end, scale)
                # Floats before they are divided, as in `asof.ratio`.
                values.append(1.0 * over / under if under else NAN)
        return np.array(values)

    def forget(self) -> None:
        """Drop entities of which nothing is left to ask."""
        for memory in self.memories:
            horizon = self.oldest - memory.view.longest
            memory.entities = {k: e for k, e in memory.entities.items() if e.run.times[-1] > horizon}


def _memory(view: View, source: EventSource) -> Memory:
    program = [
        (
            asof.decayed if feature.aggregate == asof.DECAYED else asof.AGGREGATES[feature.aggregate],
            feature.track,
            feature.window,
            feature.ago,
            source.scale.get(feature.track or "", 1) if feature.track not in view.conditions else 1,
        )
        for feature in view.features
    ]
    nothing = [0.0 if feature.aggregate == "count" else NAN for feature in view.features]
    return Memory(view, program, nothing)


def _tracks(source: EventSource, memories: Sequence[Memory]) -> dict[str, Callable[[Mapping[str, Any]], int]]:
    """Return, for each track that views of a source need, the function that takes it from an event's fields."""
    tracks: dict[str, Callable[[Mapping[str, Any]], int]] = {}
    for memory in memories:
        for track in memory.view.tracks:
            condition = memory.view.conditions.get(track)
            if condition is None and track in source.texts:
                tracks[track] = _coded(track)
            elif condition is None:
                tracks[track] = _fixed(track, source.scale[track])
            else:
                tracks[track] = _held(condition, arguments_of(condition))
    return tracks


def _fixed(track: str, scale: int) -> Callable[[Mapping[str, Any]], int]:
    def number(fields: Mapping[str, Any]) -> int:
        value = fields.get(track)
        return asof.MISSING if value is None else round(float(value) * scale)

    return number


def _coded(track: str) -> Callable[[Mapping[str, Any]], int]:
    def number(fields: Mapping[str, Any]) -> int:
        value = fields.get(track)
        return asof.MISSING if value is None else asof.code(value)

    return number


def _held(condition: Callable, names: Sequence[str]) -> Callable[[Mapping[str, Any]], int]:
    def number(fields: Mapping[str, Any]) -> int:
        values = [fields.get(name) for name in names]
        return asof.MISSING if None in values else int(condition(*map(float, values)))  # type: ignore[arg-type]

    return number


def _with_derived(source: EventSource, fields: Mapping[str, Any], time: int) -> Mapping[str, Any]:
    """Return an event's fields with what is derived of them."""
    if not source.derived:
        return fields
    columns = {field.name: column_of(field.kind, [fields.get(field.name)]) for field in source.fields}
    made = source.with_derived(columns, np.array([time], np.int64))
    values = {name: _plain(made[name], np.zeros(1, np.intp))[0] for name in source.derived}
    return {**fields, **{name: None if value != value else value for name, value in values.items()}}


def _key(entity: tuple[str, ...], fields: Mapping[str, Any]) -> Any:
    """Return an entity's key, None where a part of it is missing."""
    if len(entity) == 1:
        return fields.get(entity[0])
    key = tuple([fields.get(part) for part in entity])
    return None if None in key else key


def _run(times: asof.Sequence64, numbers: Mapping[str, asof.Sequence64]) -> asof.Run:
    """Return the run of an entity's events, which are in order, as sequences that grow."""
    run = asof.Run.from_times(
        np.array(times, np.int64), {n: np.array(column, np.int64) for n, column in numbers.items()}
    )
    grow = lambda values: array("q", values.tobytes())  # noqa: E731
    return asof.Run(grow(run.times), {n: asof.Track(*map(grow, vars(t).values())) for n, t in run.tracks.items()})


def _append(run: asof.Run, time: int, numbers: Mapping[str, int]) -> None:
    """Add the event that comes last."""
    run.times.append(time)
    for name, track in run.tracks.items():
        number = numbers[name]
        known = number != asof.MISSING
        track.values.append(number)
        track.sums.append(track.sums[-1] + number if known else track.sums[-1])
        track.known.append(track.known[-1] + known)
        track.latest.append(len(track.latest) if known else track.latest[-1])


def _put_in_order(entity: Entity) -> None:
    """Put the waiting events where they belong among the others."""
    if not entity.waiting:
        return
    tracks = list(entity.run.tracks)
    columns = [track.values[1:] for track in entity.run.tracks.values()]
    events = list(zip(entity.run.times[1:], entity.ids, *columns, strict=True))
    events += [(time, name, *(numbers[track] for track in tracks)) for time, name, numbers in entity.waiting]
    events.sort(key=lambda event: event[:2])
    times, entity.ids, *ordered = map(list, zip(*events, strict=True))
    entity.run = _run(times, dict(zip(tracks, ordered, strict=True)))
    entity.waiting = []


def _forget(entity: Entity, horizon: int) -> None:
    """Drop the events up to `horizon`, and set when to try again."""
    run = entity.run
    old = bisect_right(run.times, horizon)
    if old > 1:
        entity.run = _run(run.times[old:], {name: track.values[old:] for name, track in run.tracks.items()})
        del entity.ids[: old - 1]
    entity.limit = max(SMALL, 2 * len(entity.run.times))


def _entities(view: View, source: EventSource, events: Events) -> dict[Any, Entity]:
    """Return the entities of a view that have events, which are in order."""
    columns = [events.fields[part] for part in view.entity]
    codes, _ = entity_codes(columns, [column[:0] for column in columns], len(events), 0)
    order = np.argsort(codes, kind="stable")
    order = order[np.searchsorted(codes[order], 0) :]
    if not len(order):
        return {}
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    parts = np.split(order, starts[1:])
    tracks = {track: numbers_of(track, view, source, events) for track in view.tracks}
    keys = list(zip(*(_plain(column, order[starts]) for column in columns), strict=True)) if columns else [()]
    return {
        key[0] if len(key) == 1 else key: Entity(
            _run(events.available_at[rows], {track: numbers[rows] for track, numbers in tracks.items()}),
            events.ids[rows].tolist(),
            limit=max(SMALL, 2 * len(rows)),
        )
        for key, rows in zip(keys, parts, strict=True)
    }


def _plain(column: Any, rows: np.ndarray) -> list[Any]:
    return column[rows].texts().tolist() if hasattr(column, "texts") else column[rows].tolist()


def _text(time: int) -> str:
    return f"{np.datetime64(time, 'us').astype('datetime64[s]')}Z"
