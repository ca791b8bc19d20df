"""What happens and when it is known: the sources of events that views look back on, and their events as columns."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from ringbound.errors import FeatureError
from ringbound.features import asof
from ringbound.features.columns import Category, Column
from ringbound.features.request import Field
from ringbound.features.view import microseconds


@dataclass(frozen=True)
class EventSource:
    """A kind of event: its fields, and the scale at which each of its numbers is kept as a whole number.

    `id` and `time` name the columns of a table that say which event it is and when it happened. In such a table, and in
    the log, every event has `available_at` too: when it could be known and had been ingested, whichever was later.
    `scale` gives units to 1 for numbers that views aggregate: 100 keeps two decimals. The declared bounds (`ge`, `le`)
    times the scale must stay below 2**41, so that sums are exact; other numbers, such as that of a room, only name entities.

    Windows go by `available_at`. So `lateness`, like `6h`, says how long after it happened an event may become available and
    still count: one that comes later, as in a backlog after an outage, is kept and counts in no window, on no path. `stale`
    says after how long without news a service must not go by this source any more, by default never.

    `derived` are names that views may look events up by, each with a function and what it takes of an event, its fields or
    `time`, when it happened: `{"hour": (hour_of, "time")}`. A function of that name says the same of a request.
    """

    name: str
    fields: Sequence[Field]
    scale: Mapping[str, int] = field(default_factory=dict)
    id: str = "id"
    time: str = "time"
    lateness: str | None = None
    stale: str | None = None
    derived: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def __post_init__(self):
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.name):
            raise FeatureError(f"source: expected a name of letters, digits, - and _; got {self.name!r}")
        _ = self.lateness_us, self.stale_us  # refuses what is no length of time
        by_name = {f.name: f for f in self.fields}
        for name, (function, *takes) in self.derived.items():
            if name in by_name or not callable(function) or not set(takes) <= {*by_name, "time"}:
                raise FeatureError(
                    f"{self.name}: derived {name}: expected another name than a field's, with a function and what it takes, "
                    f"of {sorted({*by_name, 'time'})}; got {takes}"
                )
        if wrong := [f.name for f in self.fields if f.kind == "timestamp" or f.name in ("id", "time", "available_at")]:
            raise FeatureError(
                f"{self.name}: expected categories or numbers, none called id, time or available_at; got {wrong}"
            )
        for name, scale in self.scale.items():
            field = by_name.get(name)
            if field is None or field.kind != "number" or field.ge is None or field.le is None:
                raise FeatureError(
                    f"{self.name}: scale of {name}: expected a number with bounds ge and le among {sorted(by_name)}"
                )
            if max(abs(field.ge), abs(field.le)) * scale >= asof.LIMIT:
                raise FeatureError(
                    f"{self.name}: {name}: bounds times scale {scale} must stay below {asof.LIMIT}; lower the scale"
                )

    @cached_property
    def texts(self) -> frozenset[str]:
        """The fields that are categories."""
        return frozenset(field.name for field in self.fields if field.kind == "category")

    @cached_property
    def lateness_us(self) -> int:
        """How long after it happened an event may become available and still count, in microseconds."""
        return asof.LATEST if self.lateness is None else microseconds(self.lateness)

    @cached_property
    def stale_us(self) -> int:
        """How long after its newest event a service goes by this source, in microseconds."""
        return asof.LATEST if self.stale is None else microseconds(self.stale)

    def counts(self, time: Any, available_at: Any) -> Any:
        """Say whether events count in windows, by when they happened and became available: int64 microseconds, any shape."""
        return available_at - time <= self.lateness_us

    def with_derived(self, fields: Mapping[str, Column], times: np.ndarray) -> dict[str, Column]:
        """Return the fields of n events with what is derived of them and of when they happened, int64 microseconds."""
        given = {**fields, "time": times.view("datetime64[us]")} if self.derived else {}
        made = {name: function(*map(given.__getitem__, takes)) for name, (function, *takes) in self.derived.items()}
        plain = {n: c if isinstance(c, Category) else np.asarray(c, np.float64) for n, c in made.items()}
        return {**fields, **plain}

    @property
    def columns(self) -> list[str]:
        """The columns that a table of these events has."""
        return list(dict.fromkeys([self.id, self.time, "available_at", *(f.name for f in self.fields)]))


@dataclass(frozen=True)
class Events:
    """Events of one source, ordered by (available_at, id), as columns of n rows.

    `available_at` is int64 microseconds since 1970; `ids` are texts; `fields` are float64 or `Category`.
    """

    available_at: np.ndarray
    ids: np.ndarray
    fields: Mapping[str, Column]

    @classmethod
    def ordered(cls, available_at: np.ndarray, ids: np.ndarray, fields: Mapping[str, Column]) -> "Events":
        """Return the events in order; sorts only what is not sorted yet."""
        rising = available_at[1:] > available_at[:-1]
        ties = np.flatnonzero(~rising)
        if (available_at[ties + 1] == available_at[ties]).all() and np.all(ids[ties + 1] >= ids[ties]):
            return cls(available_at, ids, fields)
        order = np.lexsort((ids.astype(str), available_at))
        return cls(available_at, ids, fields)[order]

    @classmethod
    def joined(cls, some: "Events", others: "Events") -> "Events":
        """Return the events of both, in order."""
        fields: dict[str, Column] = {}
        for name, column in some.fields.items():
            more = others.fields[name]
            if isinstance(column, Category) and isinstance(more, Category):
                places = {text: place for place, text in enumerate(dict.fromkeys([*column.values, *more.values]))}
                fields[name] = Category(np.concatenate([column.index(places), more.index(places)]), list(places))
            else:
                fields[name] = np.concatenate([np.asarray(column), np.asarray(more)])
        times = np.concatenate([some.available_at, others.available_at])
        return cls.ordered(times, np.concatenate([some.ids, others.ids]), fields)

    def __len__(self) -> int:
        return len(self.available_at)

    def __getitem__(self, rows: slice | np.ndarray) -> "Events":
        """Return some of the events, in the order asked for."""
        taken = {name: column[rows] for name, column in self.fields.items()}
        return Events(self.available_at[rows], self.ids[rows], taken)

    def without(self, ids: Collection[str]) -> "Events":
        """Return the events whose id is none of these."""
        return self[np.array([name not in ids for name in self.ids.tolist()], bool)] if ids else self

    def between(self, after: int, until: int) -> "Events":
        """Return the events that became available in (after, until]."""
        first, end = np.searchsorted(self.available_at, [after, until], "right")
        return self[slice(int(first), int(end))]


@dataclass(frozen=True)
class Stretch:
    """Events held in memory, by source, as a reader."""

    events: Mapping[str, Events]
    until: int = asof.LATEST
    identity: str = ""

    def read(self, name: str, after: int, until: int) -> Events:
        """Return a source's events that became available in (after, until], in order."""
        return self.events[name].between(after, until)

    def newest(self, name: str) -> int | None:
        """Return when the newest event of a source became available; None where there is none."""
        times = self.events[name].available_at
        return int(times[-1]) if len(times) else None


class EventReader(Protocol):
    """Where events can be read from, a stretch of time at once.

    What became available after `until` is not known there; another `identity` says that other events may be.
    """

    @property
    def until(self) -> int: ...
    @property
    def identity(self) -> str: ...
    def read(self, name: str, after: int, until: int) -> Events:
        """Return a source's events that became available in (after, until] and count in windows, in order."""
        ...

    def newest(self, name: str) -> int | None:
        """Return when the newest event of a source that counts became available; None where there is none."""
        ...


def stale(sources: Mapping[str, EventSource], newest: Mapping[str, int | None], times: np.ndarray) -> list[str | None]:
    """Return, for questions asked at `times` (n,), the sources that have had no news for too long; None for none.

    >>> hourly = EventSource("news", [], stale="1h")
    >>> stale({"news": hourly}, {"news": 0}, np.array([3_600_000_000, 3_600_000_001]))
    [None, 'stale: news']
    """
    gone = {}
    for name, source in sources.items():
        last = newest.get(name)
        if source.stale is not None:
            gone[name] = times > (-asof.LATEST if last is None else last) + source.stale_us
    if not any(late.any() for late in gone.values()):
        return [None] * len(times)
    named = [[name for name, late in gone.items() if late[row]] for row in range(len(times))]
    return [f"stale: {', '.join(names)}" if names else None for names in named]
