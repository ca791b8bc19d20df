"""Rows as they were asked and answered, as columns, and the days that they make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ringbound.features.columns import Category, Column
from ringbound.monitoring.days import DAY_US, DELAYS, TOOK, Day, OutcomeDay, count_days, day_of, delay_bins
from ringbound.monitoring.profile import Profile, groups_of
from ringbound.monitoring.sums import Sums, sum_up
from ringbound.problem.declaration import Problem
from ringbound.problem.packed import readable, watched_outcomes

MOST_WORST = 5


@dataclass(frozen=True)
class Seen:
    """Rows that were answered, n of them: when they asked, in microseconds since 1970, their features, and the answers.

    Columns that look back on events miss every value where they were not looked up. `rows` tells equal questions apart,
    `watched` is what is counted of answers: see `ringbound.problem.packed`.
    """

    ids: Sequence[str]
    at: np.ndarray
    columns: Mapping[str, Column]
    answers: np.ndarray
    versions: np.ndarray
    rungs: np.ndarray
    reasons: np.ndarray
    rows: np.ndarray
    took_us: np.ndarray
    decisions: np.ndarray
    watched: Column

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True)
class Known:
    """What came of rows, n of them: the outcome, NaN where there is none, and how long it took to be known."""

    outcomes: np.ndarray
    delays_us: np.ndarray = field(default_factory=lambda: np.zeros(0))


def days_of(profile: Profile, seen: Seen) -> list[Day]:
    """Return what the days of some rows are remembered by, in order."""
    if not len(seen):
        return []
    keep = seen.reasons != "sure"
    columns = count_days(profile, seen.at, seen.columns, seen.watched, ids=seen.ids, keep=keep)
    table = pd.DataFrame(
        {
            "day": seen.at // DAY_US,
            "row": seen.rows,
            "version": seen.versions,
            "rung": seen.rungs,
            "reason": seen.reasons,
            "decided": seen.decisions,
            "took": np.minimum(np.log2(np.maximum(seen.took_us, 1)), TOOK - 1).astype(int),
        }
    )
    days = []
    for number in np.unique(seen.at // DAY_US).tolist():
        some = table[table["day"] == number]
        answered: dict[str, dict[str, int]] = {}
        for (version, rung), size in some.groupby(["version", "rung"]).size().items():
            answered.setdefault(version, {})[rung] = int(size)
        days.append(
            Day(
                day=day_of(number * DAY_US),
                rows=len(some),
                repeated=int(some["row"].duplicated().sum()),
                columns=columns[day_of(number * DAY_US)],
                answered=answered,
                reasons={str(reason): int(size) for reason, size in some["reason"].value_counts().items() if reason},
                decided=int(some["decided"].sum()),
                took=np.bincount(some["took"], minlength=TOOK).tolist(),
            )
        )
    return days


def outcome_days_of(problem: Problem, profile: Profile, seen: Seen, known: Known) -> list[OutcomeDay]:
    """Return what came of the rows of each day, in order."""
    task = problem.task
    expected = profile.expected_loss(task, seen.answers)
    days = []
    numbers = seen.at // DAY_US
    for number in np.unique(numbers):
        rows = np.flatnonzero(numbers == number)
        outcomes, answers = known.outcomes[rows], seen.answers[rows]

        def part(places: np.ndarray, of: np.ndarray = rows) -> Sums:
            chosen = of[places]
            return sum_up(task, seen.answers[chosen], known.outcomes[chosen], expected[chosen])

        parts = {"": part(np.arange(len(rows)))}
        which = pd.Series(seen.versions[rows]) + "/" + pd.Series(seen.rungs[rows])
        for name, places in which.groupby(which).indices.items():
            parts[str(name)] = part(np.asarray(places))
        for name in groups_of(problem.guarded, seen.columns):
            column = seen.columns[name]
            if isinstance(column, Category):
                texts = pd.Series(column[rows].texts())
                for text, places in texts.groupby(texts).indices.items():
                    parts[f"{name}={text}"] = part(np.asarray(places))
        there = np.flatnonzero(~np.isnan(outcomes) & readable(answers))
        worst = there[np.argsort(-task.losses(outcomes[there], answers[there]), kind="stable")[:MOST_WORST]]
        delays: list[list[int]] = []
        if len(known.delays_us):
            of_outcome, _ = profile.outcomes.places(watched_outcomes(task, outcomes[there]))
            wide = profile.outcomes.size
            counts = np.bincount(
                of_outcome * DELAYS + delay_bins(known.delays_us[rows][there]), minlength=wide * DELAYS
            )
            delays = counts.reshape(wide, DELAYS).tolist()
        ids = [seen.ids[row] for row in rows[worst].tolist()] if len(seen.ids) else []
        days.append(OutcomeDay(day_of(int(number) * DAY_US), parts, delays, ids))
    return days
