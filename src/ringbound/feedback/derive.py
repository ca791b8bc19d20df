"""Outcomes that events tell: an arrival says what came of every question about its parcel."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import orjson
import pandas as pd

from ringbound.errors import ProblemError, one_line
from ringbound.features.columns import Category
from ringbound.features.history import PAST
from ringbound.monitoring.read import columns_of_rows
from ringbound.problem.declaration import Problem
from ringbound.problem.outcome import EventOutcome
from ringbound.problem.packed import kept_outcomes
from ringbound.problem.task import Task
from ringbound.store import AskedRow, Outcome, Store

BATCH = 2000
EVENTS = "events"
"""By whom outcomes are told that events tell."""


@dataclass(frozen=True)
class Derived:
    """What came of a run: events that say something, questions that there were, outcomes that were new."""

    events: int
    questions: int
    outcomes: int


def derive_outcomes(store: Store, problem: Problem, *, since: int, through: int) -> Derived:
    """Tell the store what events tell that became known after `since`, up to `through`, in microseconds since 1970.

    It is of questions about the same stretch of time, and known when the event was. Done again, nothing is there twice; of
    several events about one question the last one counts. `ProblemError` where the problem does not say how, or cannot.

    >>> from ringbound.testing import examples
    >>> store = Store(examples.answered_store())
    >>> derive_outcomes(store, examples.later().problem, since=0, through=2**53)
    Derived(events=3900, questions=719, outcomes=0)
    """
    if problem.outcome is None:
        raise ProblemError(
            f"problem {problem.name}: expected an outcome=EventOutcome(…) that says how events tell outcomes; it has none; "
            "declare one, or send outcomes to /outcomes"
        )
    told = _told_by_events(store, problem.outcome, problem.task, since, through)
    questions = new = 0
    for rows in store.asked(since, through):
        questions += len(rows)
        keys = _by(problem.outcome.of_question, _frame(problem, rows), "of_question")
        outcomes = [
            Outcome(row.prediction_id, known, value)
            for row, key in zip(rows, keys, strict=True)
            for time, known, value in told.get(key, ())
            if time > row.at
        ]
        for start in range(0, len(outcomes), BATCH):
            new += store.tell(outcomes[start : start + BATCH], PAST, EVENTS).accepted
    return Derived(sum(map(len, told.values())), questions, new)


def _told_by_events(
    store: Store, outcome: EventOutcome, task: Task, since: int, through: int
) -> dict[object, list[tuple[int, int, float]]]:
    """Return what events say, by key: when it happened, when it was known, what came."""
    events = store.since(outcome.source, since, through)
    if not events:
        return {}
    frame = pd.DataFrame([orjson.loads(event.payload) for event in events])
    frame["id"] = [event.id for event in events]
    frame["time"] = pd.to_datetime([event.time for event in events], unit="us", utc=True)
    keys = _by(outcome.of_event, frame, "of_event")
    told = pd.Series(_by(outcome.value, frame, "value"), dtype=object if task.classes else "float64")
    if task.classes:  # what is no class is nobody's outcome, as what is no number
        told = told.where(told.isin(task.classes))
    y = task.encode(told)
    values = kept_outcomes(task, np.where(task.admits(y), y, np.nan))
    found: dict[object, list[tuple[int, int, float]]] = {}
    for event, key, value in zip(events, keys, values.tolist(), strict=True):
        if isinstance(key, str) and np.isfinite(value):
            found.setdefault(key, []).append((event.time, event.available_at, value))
    return found


def _by(call: Callable[[pd.DataFrame], pd.Series], frame: pd.DataFrame, name: str) -> list:
    """Return what a problem's own function says of n rows; `ProblemError` where it fails, or says it of others."""
    try:
        found = list(call(frame))
    except Exception as error:  # whatever a problem's own code does
        raise ProblemError(f"outcome: {name} failed on columns {list(frame)}: {one_line(error, 200)}") from error
    if len(found) != len(frame):
        raise ProblemError(f"outcome: expected of {name} one value a row, {len(frame)}; got {len(found)}")
    return found


def _frame(problem: Problem, rows: list[AskedRow]) -> pd.DataFrame:
    """Return the questions behind answers, request fields alone: texts, numbers, times in UTC."""
    columns = columns_of_rows(problem.features.request, [row.row for row in rows])
    return pd.DataFrame(
        {
            name: pd.Series(column.texts(), dtype="str")
            if isinstance(column, Category)
            else pd.DatetimeIndex(column).tz_localize("UTC")
            if column.dtype.kind == "M"
            else column
            for name, column in columns.items()
        }
    )
