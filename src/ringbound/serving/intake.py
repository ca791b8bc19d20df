"""Events that come in over HTTP: held to their source's fields, stamped, and put into the log."""

from collections.abc import Mapping, Sequence
from typing import Any

import pydantic

from ringbound.data.values import shown
from ringbound.errors import InputError
from ringbound.features.events import EventSource
from ringbound.features.request import Field
from ringbound.serving.request import microseconds, row_model, validated
from ringbound.store import WALL, Clock, Event, Store

MOST_EVENTS = 1000
ID = Field("id", "category", "which event it is, within its source", "e1")
TIME = Field("time", "timestamp", "when it happened, with offset", "2025-06-01T12:00:00+00:00")
KNOWN = Field("available_at", "timestamp", "from when it was known", "2025-06-01T12:05:00+00:00", required=False)
AHEAD_S = 60
"""How far the clock of who sends an event may be ahead of ours."""


class Intake:
    """Takes batches of events of the declared `sources` into `store`.

    An event has `id`, `time`, when it happened, and its source's fields. It is available from `time` or from
    now on, whichever is later. On a clock that takes history, an event may say itself from when it was known, as
    `available_at`; there it moves the present, so one that is more than the clock's step ahead of the newest is refused.
    """

    def __init__(self, sources: Mapping[str, EventSource], store: Store, clock: Clock = WALL):
        self.sources = sources
        self.store = store
        self.clock = clock
        self.models = {name: event_model(source, clock) for name, source in sources.items()}

    def take(self, source: str, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Log a batch, durably and as a whole, and say how many events were new; `InputError` says what does not fit."""
        if source not in self.models:
            raise InputError(f"source: expected one of {sorted(self.models)}; got {shown(source)}")
        if not 1 <= len(events) <= MOST_EVENTS:
            raise InputError(f"events: expected 1 to {MOST_EVENTS}; got {len(events)}; send several batches")
        batch = [_event(event) for event in validated(self.models[source], events, "event")]
        check_times([event.time for event in batch], "event", self.clock)
        return vars(self.store.append(source, batch, self.clock, lateness=self.sources[source].lateness_us))


def check_times(times: Sequence[int], what: str, clock: Clock) -> None:
    """Refuse what is said to happen later than now, on a clock that takes no history."""
    if clock.takes_history:
        return
    latest = clock.now() + AHEAD_S * 1_000_000
    for number, time in enumerate(times):
        if time > latest:
            raise InputError(f"{what} {number}: time: expected a time up to now; got one to come; check the clock")


def event_model(source: EventSource, clock: Clock) -> type[pydantic.BaseModel]:
    """Return the pydantic model of one event of a source, as it may be sent on this clock."""
    return row_model([ID, TIME, *([KNOWN] if clock.takes_history else []), *source.fields], source.name.capitalize())


def _event(event: pydantic.BaseModel) -> Event:
    fields = dict(vars(event))
    time, name, known = fields.pop("time"), fields.pop("id"), fields.pop("available_at", None)
    return Event(name, microseconds(time), fields, None if known is None else microseconds(known))
