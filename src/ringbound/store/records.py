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


VOID = "!"
"""What stands behind a source's name in the log where one of its events is voided."""


class LoggedEvent(NamedTuple):
    """An event as the log has it: `seq` is its position, `available_at` when it was known, `payload` its fields as JSON.

    Where an event is voided, the log goes on with another: the same but for its position and the `VOID` behind its source.
    """

    seq: int
    source: str
    id: str
    time: int
    available_at: int
    payload: str

    @property
    def voids(self) -> bool:
        """Whether this takes back an event instead of being one."""
        return self.source.endswith(VOID)


@dataclass(frozen=True)
class Appended:
    """What became of a batch: events new to the log, events it had, and ids of those it had with other content.

    `late` is how many of the batch became known too late to count in any window.
    """

    accepted: int
    duplicates: int
    conflicting: list[str]
    late: int = 0


@dataclass(frozen=True)
class LogEnd:
    """Where the log ends: its last position (0: it is empty), and the newest `available_at` of events that stand."""

    position: int
    newest: int | None


@dataclass(frozen=True)
class Prediction:
    """A prediction as it is kept: when it was made, as of when, from which position of the log, by what, from what.

    `row` is the request as JSON, `vector` the model's input as float64 bytes; times are microseconds since 1970. `rung` of
    the ladder answered, for the `reason` why no better one did; `decision` is what the answer means where something is
    decided. `code` is the version of what served, `took_us` the microseconds from coming in to being recorded.
    `answer` is one number; of several classes it is the probability of the likeliest, and `answers` are all of them as
    float64 bytes. `propensity` is how likely the question was to be decided, or left undecided, as it was: 1 where chance
    has no part.
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
    rung: str = "full"
    reason: str | None = None
    decision: bool | None = None
    code: str = ""
    took_us: int = 0
    propensity: float = 1.0
    answers: bytes | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of what a prediction was about: `value`, determined at `time`, is 1 or 0, a number or a class's place."""

    prediction_id: str
    time: int
    value: float


class LoggedOutcome(NamedTuple):
    """An outcome as the store has it: `seq` is its position, `available_at` when it was known here, `told_by` by whom."""

    seq: int
    prediction_id: str
    time: int
    value: float
    available_at: int
    told_by: str = ""

    @property
    def outcome(self) -> Outcome:
        """What was told."""
        return Outcome(self.prediction_id, self.time, self.value)


@dataclass(frozen=True)
class Told:
    """What became of a batch of outcomes: new ones, those that were there, and what is notable about them.

    `corrections` of the new ones are about predictions that had an outcome; `superseded` are those of the batch that do not
    stand, as another was determined later, or said later with the same time; `unknown` predictions are not there (yet).
    """

    accepted: int
    duplicates: int
    corrections: int
    superseded: int
    unknown: int


class Judged(NamedTuple):
    """A prediction with its outcome as it stands; `outcome` and `known` (when it was determined) are None without one."""

    prediction_id: str
    at: int
    model_version: str
    rung: str
    answer: float
    outcome: float | None
    known: int | None
    answers: bytes | None = None


class Answered(NamedTuple):
    """How often a rung of a model has answered for one reason, how many of these have an outcome, and how long they took."""

    model_version: str
    rung: str
    reason: str | None
    answers: int
    outcomes: int
    mean_us: float
    longest_us: int
    last: int
