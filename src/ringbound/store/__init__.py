"""The operational store: the log of events, the predictions made and their outcomes, in SQLite or PostgreSQL."""

from ringbound.store.clock import CLOCKS, HOUR, WALL, Clock, EventClock, SetClock, WallClock, instant
from ringbound.store.records import (
    Appended,
    Event,
    Judged,
    LogEnd,
    LoggedEvent,
    LoggedOutcome,
    Outcome,
    Prediction,
    Told,
)
from ringbound.store.store import Store

__all__ = [
    "CLOCKS",
    "HOUR",
    "WALL",
    "Appended",
    "Clock",
    "Event",
    "EventClock",
    "Judged",
    "LogEnd",
    "LoggedEvent",
    "LoggedOutcome",
    "Outcome",
    "Prediction",
    "SetClock",
    "Store",
    "Told",
    "WallClock",
    "instant",
]
