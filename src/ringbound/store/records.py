"""What goes into the store and what comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Event:
    """An event as it is sent: times in microseconds since 1970, `fields` as JSON types.

    `known_at` says when it could be known, where that was later than when it happened.
    """

    id: str
    time: int
    fields: Mapping[str, Any]
    known_at: int | None = None


class LoggedEvent(NamedTuple):
    """An event as the log has it: `seq` is its position, `available_at` when it was known, `payload` its fields as JSON."""

    seq: int
    source: str
    id: str
    available_at: int
    payload: str


@dataclass(frozen=True)
class Appended:
    """What became of a batch: events new to the log, events it had, and ids of those it had with other content."""

    accepted: int
    duplicates: int
    conflicting: list[str]


@dataclass(frozen=True)
class LogEnd:
    """Where the log ends: its last position (0: it is empty) and its newest `available_at`."""

    position: int
    newest: int | None


@dataclass(frozen=True)
class Prediction:
    """A prediction as it is kept: when it was made, as of when, from which position of the log, by what, from what.

    `row` is the request as JSON, `vector` the model's input as float64 bytes; times are microseconds since 1970.
    """

    prediction_id: str
    made_at: int
    at: int
    position: int
    model_version: str
    features: str
    answer: float
    row: str
    vector: bytes
