"""What time it is: by the wall, by the log, or as a simulation says."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

HOUR = 3_600_000_000


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(time: int) -> str:
    """Return microseconds since 1970 as text, in UTC."""
    try:
        return (EPOCH + timedelta(microseconds=time)).isoformat()
    except OverflowError:
        return "a time after the year 9999" if time > 0 else "a time before the year 1"


class Clock(Protocol):
    """Tells the present, in microseconds since 1970.

    `follows_log`: the present is where the log stands, so `now` must be told the newest `available_at` in it.
    `takes_history`: events are sent again as they once were, and say themselves from when they were known; questions and
    events of a time to come are then no mistake. Otherwise they are refused. `step`: how far, in microseconds, one event
    sent to a service may move a present that follows the log.
    """

    @property
    def follows_log(self) -> bool: ...
    @property
    def takes_history(self) -> bool: ...
    @property
    def step(self) -> int: ...
    def now(self, newest: int | None = None) -> int: ...


@dataclass(frozen=True)
class WallClock:
    """This machine's clock: production."""

    follows_log = False
    takes_history = False
    step = 0

    def now(self, newest: int | None = None) -> int:
        """Return the machine's time."""
        return time.time_ns() // 1000


@dataclass(frozen=True)
class EventClock:
    """The time at which the log stands: replays of history."""

    step: int = 24 * HOUR
    follows_log = True
    takes_history = True

    def now(self, newest: int | None = None) -> int:
        """Return the newest `available_at` in the log, 0 where it is empty."""
        return newest or 0


@dataclass
class SetClock:
    """A clock that shows `time` until someone sets it: simulations and tests.

    >>> clock = SetClock(60_000_000)
    >>> clock.time += 1_000_000
    >>> clock.now()
    61000000
    """

    time: int = 0
    takes_history: bool = False
    follows_log = False
    step = 0

    def now(self, newest: int | None = None) -> int:
        """Return the time it was set to."""
        return self.time


WALL = WallClock()
CLOCKS: dict[str, Clock] = {"wall": WALL, "event": EventClock()}
