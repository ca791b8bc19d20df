"""The operational store: the log of events and the predictions made, in SQLite (one host) or PostgreSQL (several)."""

from ringbound.store.clock import CLOCKS, HOUR, WALL, Clock, EventClock, SetClock, WallClock, instant
from ringbound.store.log import Store
from ringbound.store.records import Appended, Event, LogEnd, LoggedEvent, Prediction

__all__ = [
    "CLOCKS",
    "HOUR",
    "WALL",
    "Appended",
    "Clock",
    "Event",
    "EventClock",
    "LogEnd",
    "LoggedEvent",
    "Prediction",
    "SetClock",
    "Store",
    "WallClock",
    "instant",
]
