"""Reads the days of a store that are not remembered yet, each once, and remembers them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ringbound.errors import RecordError
from ringbound.models.bundle import Bundle
from ringbound.monitoring.days import DAY_US, Day, OutcomeDay, day_of, start_of
from ringbound.monitoring.merge import merged, merged_outcomes
from ringbound.monitoring.profile import ANSWERS, Profile
from ringbound.monitoring.read import known_of, seen_of
from ringbound.monitoring.seen import Known, Seen, days_of, outcome_days_of
from ringbound.monitoring.sketch import forget_day, sketch_day
from ringbound.monitoring.statistics import FEWEST_ROWS, WEEKS_DAYS
from ringbound.store import Remembered, Store

ASKED, CAME = "asked", "came"


def _fits(profile: Profile, day: Day) -> bool:
    """Return whether a day's counts are such as the profile's columns have."""
    sizes = {name: profile.bins(name).size for name in [*profile.columns, ANSWERS]}
    return all(
        len(counts.bins) == sizes.get(name) and min([*counts.bins, counts.missing, counts.strange]) >= 0
        for name, counts in day.columns.items()
    )


Kept = TypeVar("Kept", Day, OutcomeDay)


def _stretch_of(rows: Mapping[int, int], end: int) -> tuple[int, int]:
    """Return from when to when days are looked at, in microseconds since 1970, by how many answers there are a day.

    It begins with the first day of enough answers after the last long gap: one answer about long ago, or a trial, begins
    nothing. Where answers have stopped for long, it ends a while after the last.
    """
    days = sorted(rows)
    begin = 0
    for place in range(1, len(days)):
        if days[place] - days[place - 1] > WEEKS_DAYS:
            begin = place
    enough = [day for day in days[begin:] if rows[day] >= FEWEST_ROWS]
    first = enough[0] if enough else days[begin]
    return first * DAY_US, min(end, (days[-1] + WEEKS_DAYS) * DAY_US)


class Reader:
    """Reads the days of a store that are not remembered, or of which there is more than when they were."""

    def __init__(self, store: Store, bundle: Bundle, profile: Profile, through: int, sketches: Path | None):
        self.store, self.bundle, self.profile = store, bundle, profile
        self.through = through
        self.sketches = sketches
        self.final: set[str] = set()
        self.early: list[tuple[Seen, Known]] = []
        """The rows of the days that are not final, with what is known of them."""

    def read(self, start: int, end: int) -> tuple[dict[str, Day], dict[str, OutcomeDay]]:
        """Return what was asked, and what came of it, by day, in their order."""
        version = self.bundle.version
        before = {kind: self.store.remembered(version, kind) for kind in (ASKED, CAME)}
        asked: dict[str, Day] = {}
        came: dict[str, OutcomeDay] = {}
        sizes = self.store.days_asked(start, end, self.through)
        start, end = _stretch_of({number: rows for number, (rows, _) in sizes.items()}, end)
        guarded = ",".join(self.bundle.problem.guarded)
        for number in range(start // DAY_US, end // DAY_US):
            day, (rows, outcomes) = day_of(number * DAY_US), sizes.get(number, (0, 0))
            if not rows:
                asked[day] = Day(day, 0, 0, {}, {})
                continue
            stamps = {ASKED: f"{Day.format}: {rows}", CAME: f"{OutcomeDay.format}: {rows}/{outcomes} {guarded}"}
            is_final = (number + 1) * DAY_US + self.bundle.problem.mature_us <= self.through
            if is_final:
                self.final.add(day)
            known = {
                kind: one for kind in (ASKED, CAME) if (one := before[kind].get(day)) and one.stamp == stamps[kind]
            }
            if ASKED in known and (kept := self._remembered(Day, known[ASKED])):
                asked[day] = kept
            if CAME in known and is_final and (told := self._remembered(OutcomeDay, known[CAME])):
                came[day] = told
            if day not in asked or day not in came:
                new = day not in asked
                self._read_day(day, asked, came, is_final)
                if new:
                    self.store.remember(version, ASKED, [Remembered(day, stamps[ASKED], asked[day].to_text())])
                if is_final:
                    self.store.remember(version, CAME, [Remembered(day, stamps[CAME], came[day].to_text())])
        return asked, came

    def _remembered(self, kind: type[Kept], one: Remembered) -> Kept | None:
        """Return what a day is remembered by; None where that cannot be read or does not fit: its rows are read anew."""
        try:
            found = kind.from_text(one.content, one.day)
        except RecordError:
            return None
        whole = not isinstance(found, Day) or _fits(self.profile, found)
        return found if found.day == one.day and whole else None

    def _read_day(self, day: str, asked: dict[str, Day], came: dict[str, OutcomeDay], is_final: bool) -> None:
        parts: list[Day] = []
        outcomes: list[OutcomeDay] = []
        new = day not in asked
        if self.sketches and new:
            forget_day(self.sketches, day, "asked")
        if self.sketches and is_final:
            forget_day(self.sketches, day, "outcomes")
        start = start_of(day)
        others: dict[str, dict[str, int]] = {}
        for shard, rows in enumerate(self.store.asked(start, start + DAY_US)):
            mine = [row for row in rows if row.model_version == self.bundle.version]
            for row in rows if len(mine) < len(rows) else ():
                if row.model_version != self.bundle.version:
                    rungs = others.setdefault(row.model_version, {})
                    rungs[row.rung] = rungs.get(row.rung, 0) + 1
            if not mine:
                continue
            seen = seen_of(self.bundle, mine)
            known = known_of(self.store, self.bundle.task, seen, self.through)
            if new:
                parts += days_of(self.profile, seen)
            outcomes += outcome_days_of(self.bundle.problem, self.profile, seen, known)
            if not is_final:
                self.early.append((seen, known))
            if self.sketches and new:
                sketch_day(self.sketches, day, shard, seen)
            if self.sketches and is_final:
                sketch_day(self.sketches, day, shard, seen, known)
        if new:
            whole = merged(parts) if parts else Day(day, 0, 0, {}, {})
            asked[day] = replace(whole, answered=whole.answered | others)
        came[day] = merged_outcomes(outcomes) if outcomes else OutcomeDay(day, {})
