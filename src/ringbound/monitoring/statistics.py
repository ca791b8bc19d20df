"""What is looked at each day: for every column how far it moved, how much is missing and how much is strange, and the like.

All are at least 0, and large is bad. Less than what is `NOTICEABLE` counts as nothing: of many rows, chance alone moves every
column by something that nobody would act on.
"""

from collections import deque
from collections.abc import Iterable, Mapping

import numpy as np

from ringbound.monitoring.bins import Counts, chance, distance
from ringbound.monitoring.days import Day, OutcomeDay
from ringbound.monitoring.profile import ANSWERS, Profile

WEEKS_DAYS = 28
"""Days that a day is held against: seasons move slower, what breaks does not."""
FEWEST_DAYS, FEWEST_ROWS = 7, 10
"""Days before, and rows in a day, fewer of which say nothing."""
NOTICEABLE = {
    "moved": 0.005,
    "missing": 0.02,
    "strange": 0.005,
    "volume": 0.25,
    "repeated": 0.02,
    "lower": 0.02,
    "unlabelled": 0.3,
    "delay": 0.3,
}
"""By kind: squared Hellinger distance beyond that of chance, shares of rows, and logarithms of how many times as much."""
OF_COLUMNS = ("moved", "missing", "strange")
VOLUME, REPEATED, LOWER = "requests/volume", "requests/repeated", "rungs/lower"
UNLABELLED, DELAY = "labels/unlabelled", "labels/delay"


def effect(name: str, value: float) -> float:
    """Return a statistic, 0 where it is too small to be noticed; `name` ends in its kind."""
    return value if value >= NOTICEABLE[name.rpartition("/")[2]] else 0.0


class Before:
    """The last four weeks, from what is told of each day; those of the profile where there are none yet."""

    def __init__(self, profile: Profile):
        self.profile = profile
        self._days: deque[tuple[int, dict[str, np.ndarray]]] = deque(maxlen=WEEKS_DAYS)

    def add(self, rows: int, columns: Mapping[str, Counts]) -> None:
        """Take a day in."""
        self._days.append((rows, {name: np.array(counts.bins) for name, counts in columns.items()}))

    def counts(self, name: str) -> np.ndarray | None:
        """Return a column's counts; None where nothing is known."""
        found = [columns[name] for _, columns in self._days if name in columns]
        recent = self.profile.recent.get(name)
        if len(found) < WEEKS_DAYS and recent is not None:
            found.append(np.array(recent) * (WEEKS_DAYS - len(found)) / WEEKS_DAYS)
        return np.sum(found, axis=0) if found else None

    @property
    def rows(self) -> float | None:
        """The usual number of rows a day; None where too few days are known."""
        if len(self._days) >= FEWEST_DAYS:
            return float(np.median([rows for rows, _ in self._days]))
        return self.profile.rows_a_day or None


def of_columns(columns: Mapping[str, Counts], before: Before) -> dict[str, float]:
    """Return the statistics of a day's columns, by `column/kind`."""
    found = {}
    for name, counts in columns.items():
        there = sum(counts.bins)
        past = before.counts(name)
        moved = 0.0
        if past is not None and there >= FEWEST_ROWS:
            moved = max(0.0, distance(counts.bins, past) - chance(counts.bins, past))
        found[f"{name}/moved"] = moved
        if name != ANSWERS:
            found[f"{name}/missing"] = counts.missing / max(1, counts.rows)
            found[f"{name}/strange"] = counts.strange / max(1, there)
    return {name: effect(name, value) for name, value in found.items()}


def of_day(day: Day, before: Before) -> dict[str, float]:
    """Return all statistics of what was asked and answered in a day, by `subject/kind`."""
    usual = before.rows
    found = {
        VOLUME: abs(float(np.log(max(day.questions, 0.5) / usual))) if usual else 0.0,
        REPEATED: day.repeated / max(1, day.rows),
        LOWER: day.lower / max(1, day.rows),
    }
    return of_columns(day.columns, before) | {name: effect(name, value) for name, value in found.items()}


def of_history(days: Iterable[tuple[int, Mapping[str, Counts]]], before: Before) -> dict[str, list[float]]:
    """Return the statistics of each day of a history but the first week, in order."""
    found: dict[str, list[float]] = {}
    for number, (rows, columns) in enumerate(days):
        if number >= FEWEST_DAYS and rows >= FEWEST_ROWS:
            of_this = of_columns(columns, before)
            usual = before.rows
            of_this[VOLUME] = effect(VOLUME, abs(float(np.log(rows / usual))) if usual else 0.0)
            for name, value in of_this.items():
                found.setdefault(name, []).append(value)
        before.add(rows, columns)
    return found


def mean_delay(day: OutcomeDay) -> float | None:
    """Return the mean of the logarithms of what a day's outcomes took to be known, as bins; None where few are known."""
    total = np.sum(day.delays, axis=0) if day.delays else np.zeros(1)
    if total.sum() < FEWEST_ROWS:
        return None
    return float((total * np.arange(len(total))).sum() / total.sum())
