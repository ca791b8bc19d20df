"""The as-of join: windowed values of many requests at once, from events as columns. NumPy only."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from ringbound.features import asof
from ringbound.features.columns import Category, Column
from ringbound.features.events import Events, EventSource
from ringbound.features.view import View, arguments_of


def windowed_values(
    views: Sequence[View],
    sources: Mapping[str, EventSource],
    events: Mapping[str, Events],
    at: np.ndarray,
    keys: Mapping[str, Column],
) -> dict[str, np.ndarray]:
    """Return every windowed feature, (n,) float64 each, of n requests asked at `at` (n,) int64 microseconds.

    `keys` are the requests' columns; those that entities name are used. A value counts the events with
    `at - ago - window < available_at <= at - ago`; a request that misses a part of an entity's key has no events.
    """
    order = np.argsort(at, kind="stable")
    asked = at[order]
    taken = {name: keys[name][order] for name in {name for view in views for name in view.entity}}
    result: dict[str, np.ndarray] = {}
    numbers: dict[tuple[str, str], np.ndarray] = {}
    for name in dict.fromkeys(view.events for view in views):
        happened = events[name]
        edges: dict[
            int, np.ndarray
        ] = {}  # a window's beginning as a rank among the source's events, shared by its views
        for view in (view for view in views if view.events == name):
            for track in view.tracks:
                if (name, track) not in numbers:
                    numbers[name, track] = numbers_of(track, view, sources[name], happened)
            tracks = {track: numbers[name, track] for track in view.tracks}
            _join(view, sources[name], happened, tracks, asked, taken, order, edges, result)
    return {feature.name: result[feature.name] for view in views for feature in view.features}


def numbers_of(track: str, view: View, source: EventSource, events: Events) -> np.ndarray:
    """Return a track's numbers in fixed point, (n,) int64: a field's, a text's code, or 1 and 0 for a condition."""
    column = events.fields.get(track)
    if isinstance(column, Category):
        codes = np.array([*map(asof.code, column.values), asof.MISSING], np.int64)
        return codes[column.codes]
    if track not in view.conditions:
        return asof.fixed(np.asarray(events.fields[track]), source.scale[track])
    condition = view.conditions[track]
    inputs = [np.asarray(events.fields[name]) for name in arguments_of(condition)]
    missing = np.any([np.isnan(values) for values in inputs], axis=0)
    return np.where(missing, asof.MISSING, np.asarray(condition(*inputs)).astype(np.int64))


def _join(
    view: View,
    source: EventSource,
    events: Events,
    numbers: Mapping[str, np.ndarray],
    at: np.ndarray,
    keys: Mapping[str, Column],
    order: np.ndarray,
    edges: dict[int, np.ndarray],
    result: dict[str, np.ndarray],
) -> None:
    """Put the values of one view into `result`; `at` and `keys` are in order of time, `order` says whose they are."""
    n = len(events)
    first = int(np.searchsorted(events.available_at, at[:1].min(initial=asof.LATEST) - view.longest, "right"))
    theirs, ours = [events.fields[e][first:] for e in view.entity], [keys[e] for e in view.entity]
    had, asked = entity_codes(theirs, ours, n - first, len(at))
    grouped = _sorted_by(had)
    grouped = grouped[np.searchsorted(had[grouped], 0) :]  # events without an entity are nobody's
    by_entity = grouped + first
    run = asof.Run.from_times(
        events.available_at[by_entity], {track: column[by_entity] for track, column in numbers.items()}
    )
    # An event's place is its entity, then its rank in the source's order, which has all ties resolved: one integer. A
    # position is how many places come before the query's. Queries in the same order make the search run through memory once.
    places = had[grouped] * (n + 1) + by_entity
    rows = _sorted_by(asked)
    known = rows[np.searchsorted(asked[rows], 0) :]
    target = order[known]

    def position(back: int) -> np.ndarray:
        if back not in positions:
            if back not in edges:
                edges[back] = np.searchsorted(events.available_at, at - back, "right")
            positions[back] = np.searchsorted(places, asked[known] * (n + 1) + edges[back][known])
        return positions[back]

    instants = at[known]
    positions: dict[int, np.ndarray] = {}
    for feature in view.features:
        track = run.tracks[feature.track] if feature.track is not None else None
        scale = 1 if feature.track in view.conditions else source.scale.get(feature.track or "", 1)
        if feature.aggregate == asof.DECAYED:
            backs = [feature.ago + number * feature.window for number in range(asof.HALVINGS + 1)]
            edges_of = [(position(far), position(near)) for near, far in itertools.pairwise(backs)]
            numerator, denominator = asof.decayed(run.tracks[feature.track or ""], edges_of, scale)
        else:
            lo, hi = position(feature.ago + feature.window), position(feature.ago)
            aggregate = asof.AGGREGATES[feature.aggregate]
            numerator, denominator = aggregate(run, track, lo, hi, instants - feature.ago, scale)
        values = np.full(len(at), 0.0 if feature.aggregate == "count" else np.nan)
        values[target] = asof.ratio(numerator, np.broadcast_to(denominator, numerator.shape))
        result[feature.name] = values


def _sorted_by(codes: np.ndarray) -> np.ndarray:
    """Return the stable order by code; a radix sort where 16 bits hold the codes."""
    narrow = codes.astype(np.int16) if len(codes) == 0 or codes.max() < 2**15 else codes
    return np.argsort(narrow, kind="stable")


def entity_codes(events: Sequence[Column], requests: Sequence[Column], m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a number for each entity, the same for events (m,) and requests (n,); -1 where a part of the key is missing."""
    had, asked = np.zeros(m, dtype=np.int64), np.zeros(n, dtype=np.int64)
    for theirs, ours in zip(events, requests, strict=True):
        part_had, part_asked, size = _part(theirs, ours)
        had = np.where((had < 0) | (part_had < 0), -1, had * size + part_had)
        asked = np.where((asked < 0) | (part_asked < 0), -1, asked * size + part_asked)
        if max(had.max(initial=0), asked.max(initial=0)) >= 2**15:  # close up: places stay small, whatever the entities
            codes, places = np.unique(np.concatenate([had, asked]), return_inverse=True)
            places = places - np.searchsorted(codes, 0)
            places = np.where(places < 0, -1, places)
            had, asked = places[: len(had)], places[len(had) :]
    return had, asked


def _part(events: Column, requests: Column) -> tuple[np.ndarray, np.ndarray, int]:
    if isinstance(events, Category) and isinstance(requests, Category):
        positions: dict[str, int] = {}
        for value in (*events.values, *requests.values):
            positions.setdefault(value, len(positions))
        return events.index(positions), requests.index(positions), max(len(positions), 1)
    both = np.concatenate([np.asarray(events), np.asarray(requests)])
    values, places = np.unique(both[~np.isnan(both)], return_inverse=True)
    codes = np.full(len(both), -1, dtype=np.int64)
    codes[~np.isnan(both)] = places
    return codes[: len(events)], codes[len(events) :], max(len(values), 1)
