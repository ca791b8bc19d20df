"""The operational store: the log of events, predictions and their outcomes, and who may ask; in SQLite or PostgreSQL."""

from ringbound.store.clock import CLOCKS, HOUR, WALL, Clock, EventClock, SetClock, WallClock, instant
from ringbound.store.deployments import Arm, Fact, Matured, Pair
from ringbound.store.keys import ROLES, Key
from ringbound.store.records import (
    Answered,
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
from ringbound.store.watched import AlertFact, AlertKind, AskedRow, KeptReport, Remembered

__all__ = [
    "CLOCKS",
    "HOUR",
    "ROLES",
    "WALL",
    "AlertFact",
    "AlertKind",
    "Answered",
    "Appended",
    "Arm",
    "AskedRow",
    "Clock",
    "Event",
    "EventClock",
    "Fact",
    "Judged",
    "KeptReport",
    "Key",
    "LogEnd",
    "LoggedEvent",
    "LoggedOutcome",
    "Matured",
    "Outcome",
    "Pair",
    "Prediction",
    "Remembered",
    "SetClock",
    "Store",
    "Told",
    "WallClock",
    "instant",
]
