"""Events that come in over HTTP: held to their source's fields, stamped, and put into the log."""

from collections.abc import Mapping, Sequence
from typing import Any

import pydantic

from ringbound.errors import InputError
from ringbound.features.events import EventSource
from ringbound.serving.request import instant, microseconds, row_model, validated
from ringbound.store import HOUR, WALL, Clock, Event, Store

MOST_EVENTS = 1000
NO_NUL = r"^[^\x00]*$"
"""PostgreSQL keeps no text with that character."""
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
        self.models = {name: _event_model(source, clock) for name, source in sources.items()}

    def take(self, source: str, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Log a batch, durably and as a whole, and say how many events were new; `InputError` says what does not fit."""
        if source not in self.models:
            raise InputError(f"source: expected one of {sorted(self.models)}; got {source!r}")
        if not 1 <= len(events) <= MOST_EVENTS:
            raise InputError(f"events: expected 1 to {MOST_EVENTS}; got {len(events)}; send several batches")
        batch = [_event(event) for event in validated(self.models[source], events, "event")]
        if self.clock.follows_log:
            self._check_steps(batch, self.store.end().newest)
        elif not self.clock.takes_history:
            latest = self.clock.now() + AHEAD_S * 1_000_000
            for number, event in enumerate(batch):
                if event.time > latest:
                    raise InputError(
                        f"event {number}: time: expected a time up to now; got one to come; check the clock"
                    )
        return vars(self.store.append(source, batch, self.clock, lateness=self.sources[source].latest))

    def _check_steps(self, batch: Sequence[Event], newest: int | None) -> None:
        """Refuse a batch that would move the present further than history goes on: the log only grows."""
        step = self.clock.step
        known = sorted((max(event.time, event.known_at or event.time), n) for n, event in enumerate(batch))
        for time, number in known:
            if newest is not None and time > newest + step:
                raise InputError(
                    f"event {number}: expected a time up to {instant(newest + step)}, {step / HOUR:g} h after the newest "
                    f"event before it; got {instant(time)}; correct it, send first what happened in between, or serve with "
                    "a longer --step-h"
                )
            newest = time if newest is None else max(newest, time)


def _event_model(source: EventSource, clock: Clock) -> type[pydantic.BaseModel]:
    fields = row_model(source.fields, source.name.capitalize())
    more: dict[str, Any] = {
        "id": (
            str,
            pydantic.Field(
                min_length=1, max_length=200, pattern=NO_NUL, description="which event it is, within its source"
            ),
        ),
        "time": (pydantic.AwareDatetime, pydantic.Field(description="when it happened, with offset")),
    }
    if clock.takes_history:
        described = pydantic.Field(default=None, description="from when it was known")
        more["available_at"] = (pydantic.AwareDatetime | None, described)
    return pydantic.create_model(source.name.capitalize(), __base__=fields, **more)


def _event(event: pydantic.BaseModel) -> Event:
    fields = dict(vars(event))
    time, name, known = fields.pop("time"), fields.pop("id"), fields.pop("available_at", None)
    return Event(name, microseconds(time), fields, None if known is None else microseconds(known))
