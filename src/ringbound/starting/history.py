"""The history of outcomes, as code: what events carry, the views on them, and what a person would guess by."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ringbound.errors import ProblemError
from ringbound.features.asof import LIMIT
from ringbound.starting.code import WIDER, bounds, by_week, field_of, literal, quoted
from ringbound.starting.look import Column, identifier
from ringbound.starting.outcomes import number_task
from ringbound.starting.roles import BY_CLASS, YES_NO, Roles, classes_of

SPANS = ("1d", "7d", "28d", "90d", "365d")
"""Windows of history, as far as a table goes back three times."""
SIGNIFICANT = 6
"""Digits of a usual outcome that its history keeps."""
REMEMBERED = 5
"""Classes of which it is remembered how often they came."""


def views_of(roles: Roles, known_h: float) -> tuple[str, str]:
    """Return the declarations of views, and the name of a feature that most rows have.

    An outcome is known `known_h` hours after its question.
    """
    times = roles.time.values.dropna()
    days = max(1, (times.max() - times.min()).days)
    counts = times.dt.floor("D").value_counts()
    a_day = float(counts.mean())
    spans = _spans(days)
    recent = spans[: SPANS.index("28d") + 1]
    classes = roles.task in BY_CLASS
    parts = [f"{key}=({what}, {quoted([*(['3h'] if a_day >= 12 else []), *recent])})" for key, what in _measures(roles)]
    if not classes:
        parts.append(f'last=("last", "outcome", {quoted([recent[-1]])})')
        parts += _same_hour(_same_hours(times, days, 1, known_h))
    if counts.min() < counts.max() and len(counts) > 2:
        parts.append(f'number=("count", "{recent[0]}")')
    views = [_view("all", "[]", parts)]
    if by_week(roles):
        parts = [f'{key}=({what}, ["28d"])' for key, what in _measures(roles)]
        views.append(_view("this_hour", '"hour_of_week"', parts))
    for column in roles.entities:
        some = _spans_of(column, len(times), days)
        parts = [f"{key}=({what}, {quoted(some)})" for key, what in _measures(roles)]
        parts.append(f'number=("count", "{some[-1]}")')
        parts += [] if classes else [f'last=("last", "outcome", "{some[-1]}")']
        parts += _same_hour(_same_hours(times, days, column.distinct, known_h)) if column is roles.panel else []
        views.append(_view(f"by_{column.name}", f'"{column.name}"', parts))
    return "\n".join(views), f"all_{_measures(roles)[0][0]}_{recent[-1]}"


def _same_hour(hours: Sequence[float]) -> list[str]:
    return [f'same_hour=("mean", "outcome", {quoted([f"1h, {hour:g}h ago" for hour in hours])})'] if hours else []


def _spans(days: int) -> list[str]:
    """Return the windows that a table of so many days goes back three times."""
    return [span for span in SPANS if 3 * int(span[:-1]) <= days] or ["1d"]


def _spans_of(column: Column, rows: int, days: int) -> list[str]:
    """Return the windows in which there usually is a row of one of a column's values."""
    spans = _spans(days)
    a_day = rows / column.distinct / days
    return [span for span in spans if a_day * int(span[:-1]) >= 0.3][:3] or [spans[-1]]


def _same_hours(times: pd.Series, days: int, series: int, known_h: float) -> list[float]:
    """Return how many hours ago the hours ended, for a question, that are like the one asked about: of a day, of a week.

    Nothing where a table of so many `series` has fewer than twelve rows a day of each.
    """
    if float(times.dt.floor("D").value_counts().mean()) / series < 12:
        return []
    back = [24 * n - known_h for n in (1, 7) if 24 * n > known_h and 3 * n <= days]
    return [hour for hour in back if hour == round(hour)]


def guesses_of(roles: Roles, known_h: float) -> dict[str, float]:
    """Return the features of series that guess their outcome as they are, each with how many hours before it was."""
    every, panel = roles.time.values.dropna(), roles.panel
    one = panel.values if panel else pd.Series(0, roles.time.values.index)
    times = pd.DataFrame({"time": roles.time.values, "one": one}).dropna().drop_duplicates().sort_values("time")
    step_h = float(times.groupby("one")["time"].diff().dt.total_seconds().median()) / 3600
    days = max(1, (every.max() - every.min()).days)
    last = math.ceil(round(known_h / step_h, 6)) * step_h if step_h else known_h
    view = f"by_{panel.name}" if panel else "all"
    spans = _spans_of(panel, len(every), days) if panel else [span for span in _spans(days) if span in SPANS[:3]]
    hours = _same_hours(every, days, panel.distinct if panel else 1, known_h)
    return {
        f"{view}_last_{spans[-1]}": last,
        **{f"{view}_same_hour_1h_{hour:g}h_ago": hour + known_h for hour in hours},
    }


def _view(name: str, entity: str, features: Sequence[str]) -> str:
    parts = [f'"{name}"', f"entity={entity}", 'events="outcomes"', *features]
    return "    view(\n        " + ",\n        ".join(parts) + ",\n    ),"


def _measures(roles: Roles) -> list[tuple[str, str]]:
    """Return what is remembered of outcomes: the name of each feature, and what it takes of which number."""
    if roles.task == "multiclass":
        return [(f"rate_{name}", f'"rate", is_{name}') for name in _remembered(roles)]
    return [("mean", '"rate", is_yes' if roles.task in YES_NO else '"mean", "outcome"')]


def _remembered(roles: Roles) -> dict[str, tuple[str, int]]:
    """Return the classes of which it is remembered how often they came, the most frequent, by a name that code can have."""
    counts = classes_of(roles.label)
    places = {name: place for place, name in enumerate(counts)}
    found: dict[str, tuple[str, int]] = {}
    for name in sorted(counts, key=lambda name: -counts[name])[:REMEMBERED]:
        found[identifier(name, set(found))] = (name, places[name])
    return found


def conditions_of(roles: Roles) -> str:
    """Return the functions that say of an outcome whether it is the one that is asked about, or a class."""
    if roles.task in YES_NO:
        return '\n\ndef is_yes(outcome):\n    """Whether it came."""\n    return outcome >= 1\n\n\n'
    if roles.task != "multiclass":
        return ""
    return (
        "\n"
        + "".join(
            f'\n\ndef is_{called}(outcome):\n    """Whether it was {_said(name)}."""\n    return outcome == {place}\n'
            for called, (name, place) in _remembered(roles).items()
        )
        + "\n\n"
    )


def _said(name: str) -> str:
    return "".join(c for c in name if c.isprintable() and c not in '"\\')


def event_fields_of(roles: Roles, y: np.ndarray) -> str:
    """Return the fields of what comes in as an outcome: what it is looked up by, and its value."""
    low, high = bounds(y)
    if roles.task == "regression" and number_task(roles).least is not None:
        low = 0.0  # as the service holds outcomes to
    fields = [field_of(column, roles) for column in roles.entities]
    value = float(y[~np.isnan(y)][-1])
    words = literal(f"what came: {roles.label.original}")
    fields.append(f'Field("outcome", "number", {words}, {value}, ge={low!r}, le={high!r})')
    return "\n".join(f"        {text}," for text in fields)


def scale_of(y: np.ndarray) -> int:
    """Return how many units to 1 outcomes are kept with, so that their sums are exact."""
    known = np.abs(y[~np.isnan(y)])
    far = bounds(known)[1]
    if far >= LIMIT / 2:
        raise ProblemError(
            f"--label: expected outcomes up to {LIMIT / 2 / WIDER:.0e}; got {known.max():.3g}; use another unit"
        )
    if (known % 1 == 0).all():
        return 1
    digits = SIGNIFICANT - math.floor(math.log10(float(np.median(known[known > 0]))))
    return int(10 ** max(0, min(digits, math.floor(math.log10(LIMIT / 2 / far)))))
