"""What really came of what was asked about, as it comes in over HTTP."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pydantic

from ringbound.data.values import EXPECTED, shown, value_of
from ringbound.errors import InputError, NotAValueError
from ringbound.features.request import Field
from ringbound.problem.packed import kept_outcomes
from ringbound.problem.task import Task
from ringbound.serving.intake import check_times
from ringbound.serving.request import microseconds, row_model, validated
from ringbound.store import WALL, Clock, Outcome, Store

MOST_OUTCOMES = 1000
ID = Field("prediction_id", "category", "which prediction it is about", "0f8fad5bd9cb469fa16570867728950e")
TIME = Field("time", "timestamp", "when it was determined, with offset", "2025-06-01T12:00:00+00:00")


def outcome_model(task: Task) -> type[pydantic.BaseModel]:
    """Return the pydantic model of one outcome of a task's predictions.

    >>> from ringbound import Regression
    >>> outcome_model(Regression("minutes")).model_validate(
    ...     {"prediction_id": "a", "time": "2025-06-01T12:00:00Z", "outcome": 7.5}
    ... ).outcome
    7.5
    """

    def parse(value: Any) -> Any:
        found = value_of(task.outcome, value)
        if isinstance(found, float | int) and not task.admits(np.array([found], np.float64))[0]:
            raise NotAValueError(f"expected {task.says_outcome}; got {found:g}")
        if found is None:
            raise NotAValueError(f"expected {EXPECTED[task.outcome]}; got nothing; send outcomes when they are known")
        if task.classes and found not in task.classes:
            raise NotAValueError(f"expected {task.says_outcome}; got {shown(found)}")
        return found

    kind = {"boolean": bool, "number": float, "string": str}[task.outcome]
    described = pydantic.Field(
        description=task.says_outcome, examples=[_example(task)], json_schema_extra=_enumerated(task)
    )
    more: Any = {"outcome": (Annotated[kind, pydantic.BeforeValidator(parse)], described)}
    return pydantic.create_model("Outcome", __base__=row_model([ID, TIME], "Identified"), **more)


def _enumerated(task: Task) -> dict[str, Any]:
    return {"enum": list(task.classes)} if task.classes else {}


def _example(task: Task) -> Any:
    if task.classes:
        return task.classes[0]
    return True if task.outcome == "boolean" else 1 if task.whole else 1.5


def _number(task: Task, outcome: Any) -> float:
    """Return an outcome as the store keeps it."""
    if not task.classes:
        return float(outcome)
    return float(kept_outcomes(task, np.array([task.classes.index(outcome)], np.float64))[0])


class OutcomeIntake:
    """Takes batches of outcomes of a task's predictions into `store`.

    An outcome has `prediction_id`, `time`, when it was determined, and `outcome`. Sent again it changes nothing; sent with
    another time or value it is a correction, and what was determined last counts. On a clock that takes history it may be
    of any time.
    """

    def __init__(self, task: Task, store: Store, clock: Clock = WALL):
        self.task = task
        self.store = store
        self.clock = clock
        self.model = outcome_model(task)

    def take(self, outcomes: Sequence[Mapping[str, Any]], told_by: str = "") -> dict[str, Any]:
        """Keep a batch that somebody tells, durably and as a whole, and say what became of it.

        `InputError` says what does not fit.
        """
        if not 1 <= len(outcomes) <= MOST_OUTCOMES:
            raise InputError(f"outcomes: expected 1 to {MOST_OUTCOMES}; got {len(outcomes)}; send several batches")
        batch = []
        for row in validated(self.model, outcomes, "outcome"):
            given = dict(vars(row))
            batch.append(
                Outcome(given["prediction_id"], microseconds(given["time"]), _number(self.task, given["outcome"]))
            )
        check_times([outcome.time for outcome in batch], "outcome", self.clock)
        return vars(self.store.tell(batch, self.clock, told_by))
