"""What a day is remembered by: counts that add up. Rows are read once, and all that is said later is made of these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar

import numpy as np

from ringbound.features.columns import Column
from ringbound.monitoring.bins import Counts, count
from ringbound.monitoring.profile import ANSWERS, Profile
from ringbound.monitoring.sums import Sums
from ringbound.workspace.records import Record

DAY_US = 86_400_000_000
STEPS_AN_OCTAVE = 4
TOOK = 32
"""Bins of how long an answer took: one to a doubling, from a microsecond on."""
DELAYS = 160
"""Bins of the time that an outcome takes to be known: four to a doubling, from a second to 30,000 years."""


@dataclass(frozen=True)
class Day(Record):
    """What a model was asked and answered in one day of event time, UTC.

    `repeated` of the rows are like another within the same minute; `answered` counts by model version and rung, and has those
    of others that answered on the day; `reasons` says why a lower rung answered; `took` counts by doublings of microseconds.
    """

    format: ClassVar[int] = 1
    made_by: ClassVar[str] = "ringbound monitor"

    day: str
    rows: int
    repeated: int
    columns: dict[str, Counts]
    answered: dict[str, dict[str, int]]
    reasons: dict[str, int] = field(default_factory=dict)
    decided: int = 0
    took: list[int] = field(default_factory=lambda: [0] * TOOK)

    @property
    def questions(self) -> int:
        """The questions of the day, whichever model answered."""
        return sum(sum(rungs.values()) for rungs in self.answered.values())

    @property
    def lower(self) -> int:
        """Rows that a lower rung answered, for want of a better one."""
        return sum(number for reason, number in self.reasons.items() if reason != "sure")


@dataclass(frozen=True)
class OutcomeDay(Record):
    """What came of one day's questions, by part: "" is all of them, others are a model's rung or a guarded group.

    `delays` counts, by the bin of the outcome, how long it took to be known; `examples` are the answers that lost most.
    """

    format: ClassVar[int] = 1
    made_by: ClassVar[str] = "ringbound monitor"

    day: str
    parts: dict[str, Sums]
    delays: list[list[int]] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    @property
    def all(self) -> Sums:
        """All of them."""
        return self.parts.get("", Sums())


def day_of(time: int) -> str:
    """Return the day, UTC, of a time in microseconds since 1970.

    >>> day_of(0)
    '1970-01-01'
    """
    return datetime.fromtimestamp(time // 1_000_000, UTC).strftime("%Y-%m-%d")


def start_of(day: str) -> int:
    """Return when a day begins, in microseconds since 1970."""
    return round(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000


def delay_bins(delays_us: np.ndarray) -> np.ndarray:
    """Return the bin of each delay, (n,): a quarter of a doubling wide."""
    seconds = np.maximum(delays_us / 1e6, 1.0)
    return np.minimum(np.log2(seconds) * STEPS_AN_OCTAVE, DELAYS - 1).astype(int)


def count_days(
    profile: Profile,
    times: np.ndarray,
    columns: Mapping[str, Column],
    answers: Column | None = None,
    *,
    ids: Sequence[str] = (),
    keep: np.ndarray | None = None,
) -> dict[str, dict[str, Counts]]:
    """Count columns, (n,) each, and answers by day; `times` (n,) are microseconds since 1970.

    `keep` (n,) says which rows count for the columns that look back on events.
    """
    numbers = times // DAY_US
    days, groups = np.unique(numbers, return_inverse=True)
    found: dict[str, dict[str, Counts]] = {day_of(int(number) * DAY_US): {} for number in days}
    given: dict[str, Column] = {name: columns[name] for name in profile.columns}
    if answers is not None:
        given[ANSWERS] = answers
    there = None if keep is None else np.flatnonzero(keep)
    ids_there = [ids[row] for row in there.tolist()] if there is not None and len(ids) else ()
    for name, column in given.items():
        if there is not None and profile.looks_back(name):
            parts = count(profile.bins(name), column[there], groups[there], len(days), ids_there)
        else:
            parts = count(profile.bins(name), column, groups, len(days), ids)
        for day, counts in zip(found.values(), parts, strict=True):
            day[name] = counts
    return found
