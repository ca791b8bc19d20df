"""The monitors: days go in, in order, and alarms come out, with what is known of each and what may be behind it."""

from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Literal

import numpy as np

from ringbound.monitoring.alarm import Alarm, Cause, Sign, about_columns, exceeds, most_of
from ringbound.monitoring.bets import LATELY_DAYS, bets_of_group, bets_of_loss, bets_of_outcome, usual_gap
from ringbound.monitoring.budget import AlarmBudget
from ringbound.monitoring.days import STEPS_AN_OCTAVE, Day, OutcomeDay
from ringbound.monitoring.detector import LEAST_HISTORY, Detector, by_rank, of_column, seldom
from ringbound.monitoring.profile import ANSWERS, REQUEST, History, Profile
from ringbound.monitoring.statistics import (
    DELAY,
    FEWEST_DAYS,
    FEWEST_ROWS,
    LOWER,
    OF_COLUMNS,
    REPEATED,
    UNLABELLED,
    VOLUME,
    Before,
    effect,
    mean_delay,
    of_day,
)
from ringbound.monitoring.sums import Sums

Versions = Callable[[str], Collection[str]]
"""`versions(day)` returns the models that are to answer on a day."""
OWN_DAYS = 365
"""Of days of its own, how many a monitor without another history is held against."""
NAMED = 0.5
"""The weight from which a column is named in an alarm that another of its source raised."""


class Watch:
    """All monitors of a profile. Days go in once, in order: what was asked, and, when it is final, what came of it.

    `versions` says which models are to answer on a day.
    """

    def __init__(self, profile: Profile, budget: AlarmBudget, versions: Versions):
        self.profile = profile
        self.budget = budget
        self.versions = versions
        self.before = Before(profile)
        self.detectors: dict[str, Detector] = {}
        self.statistics: dict[str, list[float]] = {}
        """Those of the days that went in, by name."""
        self._broken: set[str] = set()
        self._lately: dict[str, deque[Sums]] = {}
        self._strange_fields: dict[str, int] = {}

    def take(self, day: Day) -> list[Alarm]:
        """Take in what was asked and answered in a day, and return what is found."""
        found = of_day(day, self.before)
        alarms = [*self._of_service(day, found), *self._of_versions(day)]
        if day.rows >= FEWEST_ROWS:
            alarms = [*self._of_columns(day, found), *alarms]
            self.before.add(day.questions, day.columns)
        else:
            found = {name: found[name] for name in (VOLUME, REPEATED, LOWER)}
        self._note(found)
        return alarms

    def take_outcomes(self, day: OutcomeDay) -> list[Alarm]:
        """Take in what came of a day's questions, once that is final, and return what is found."""
        if day.all.rows < FEWEST_ROWS:
            return []
        return [*self._of_labels(day), *self._of_performance(day)]

    def weight(self, name: str) -> float:
        """Return a monitor's evidence as a share of what raises an alarm."""
        return self.detectors[name].weight if name in self.detectors else 0.0

    def settled(self, name: str) -> bool:
        """Return whether what raised an alarm of this name has been as usual of late."""
        if name == "code/model":
            return not self._broken
        kind, _, subject = name.partition("/")
        if kind != "data":
            return name not in self.detectors or self.detectors[name].settled
        mine = [one for one in [*self.profile.columns, ANSWERS] if self.profile.sources.get(one, ANSWERS) == subject]
        return all(self.detectors[f"column/{one}"].settled for one in mine if f"column/{one}" in self.detectors)

    def _step(self, name: str, evalue: np.ndarray | float, false_a_year: float) -> bool:
        return self.detectors.setdefault(name, Detector(false_a_year)).step(evalue)

    def _history(self, name: str) -> np.ndarray:
        """Return what a statistic is held against: the profile's history, or, where it has none, the days so far."""
        given = self.profile.statistics.get(name)
        return np.array(self.statistics.get(name, [])[-OWN_DAYS:] if given is None else given)

    def _note(self, found: Mapping[str, float]) -> None:
        for name, value in found.items():
            self.statistics.setdefault(name, []).append(value)

    def _evalue(self, name: str, value: float) -> float:
        history = self._history(name)
        return by_rank(value, history) if len(history) >= LEAST_HISTORY else 1.0

    def _is_more(self, name: str, value: float) -> bool:
        """Return whether a statistic is noticeably more than ever in the four weeks that ended a week ago.

        What is always so raises no alarm again and again; what has been so for days still counts.
        """
        past = self.statistics.get(name, [])
        before = past[-35:-7] if len(past) >= LEAST_HISTORY else []
        return effect(name, value - max(before, default=0.0)) > 0

    def _sign(self, name: str, value: float, history: np.ndarray, monitor: str) -> Sign:
        subject, _, kind = name.rpartition("/")
        usual, high = (float(np.quantile(history, q)) if len(history) else 0.0 for q in (0.5, 0.95))
        return Sign(subject, kind, value, usual, high, self.weight(monitor))

    def _of_columns(self, day: Day, found: Mapping[str, float]) -> list[Alarm]:
        """Return the alarms of a day's columns: one a source, which names its columns."""
        each = self.budget.data / (len(self.profile.columns) + 1)
        raised: dict[str, list[str]] = {}
        weights = {}
        for name in day.columns:
            before = self.weight(f"column/{name}")
            values = {kind: found.get(f"{name}/{kind}", 0.0) for kind in OF_COLUMNS}
            evalue = of_column(values, {kind: self._history(f"{name}/{kind}") for kind in OF_COLUMNS})
            if self._step(f"column/{name}", evalue, each):
                raised.setdefault(self.profile.sources.get(name, ANSWERS), []).append(name)
            weights[name] = max(before, self.weight(f"column/{name}"))
        alarms = []
        self._strange_fields = {field: left - 1 for field, left in self._strange_fields.items() if left > 1}
        self._strange_fields |= {
            field: LATELY_DAYS for name in raised.get(REQUEST, ()) for field in self.profile.takes[name]
        }
        for source, names in raised.items():
            if source != REQUEST and all(
                self._strange_fields.keys() & {*self.profile.takes.get(name, ())} for name in names
            ):
                continue  # they are looked up by what is wrong with the question: its alarm says so
            mine = [name for name in day.columns if self.profile.sources.get(name, ANSWERS) == source]
            names += [name for name in mine if name not in names and weights[name] > NAMED]
            alarms.append(self._of_source(source, names, len(mine), day, found))
        return alarms

    def _of_source(self, source: str, names: list[str], of: int, day: Day, found: Mapping[str, float]) -> Alarm:
        signs = []
        for name in names:
            for kind in OF_COLUMNS:
                value, history = found.get(f"{name}/{kind}", 0.0), self._history(f"{name}/{kind}")
                if value > (float(np.quantile(history, 0.95)) if len(history) else 0.0):
                    signs.append(self._sign(f"{name}/{kind}", value, history, f"column/{name}"))
        signs.sort(key=lambda one: -exceeds(one))
        names = list(dict.fromkeys([*(sign.subject for sign in signs), *names]))
        kinds = [sign.kind for sign in signs[:3]]
        examples = [one for name in names[:3] for one in day.columns[name].examples]
        cause, says, action = about_columns(self.profile, source, names, of, kinds, day)
        severity: Literal["critical", "warning"] = "critical" if cause == "feed" else "warning"
        return Alarm(f"data/{source}", day.day, severity, says, cause, action, signs[:8], examples[:5])

    def _of_service(self, day: Day, found: Mapping[str, float]) -> list[Alarm]:
        alarms = []
        about: dict[str, tuple[Cause, str, str]] = {
            VOLUME: (
                "load",
                f"{day.questions:,} questions a day, usual are {self.before.rows or 0:,.0f}",
                "see whether those who ask have changed, or ask twice",
            ),
            REPEATED: (
                "feed",
                f"{day.repeated:,} of {day.rows:,} questions are like another of the day",
                "see who asks the same again, and take repeated rows out where they count",
            ),
            LOWER: (
                "feed",
                f"{day.lower:,} of {day.rows:,} answers are of a lower rung: {most_of(day.reasons)}",
                "see ringbound ops status for sources that have had no news, and the service's log",
            ),
        }
        for name, (cause, says, action) in about.items():
            history = self._history(name)
            evalue = self._evalue(name, found[name]) if name == VOLUME else seldom(self._is_more(name, found[name]))
            if self._step(name, evalue, self.budget.service / 5):
                sign = self._sign(name, found[name], history, name)
                alarms.append(Alarm(name, day.day, "warning", says, cause, action, [sign]))
        return alarms

    def _of_versions(self, day: Day) -> list[Alarm]:
        """Return an alarm where a model has answered that was not to; that is seen, and no matter of evidence."""
        allowed = self.versions(day.day)
        others = {version: sum(rungs.values()) for version, rungs in day.answered.items() if version not in allowed}
        new = set(others) - self._broken
        self._broken = set(others)
        if not new:
            return []
        says = ", ".join(f"{number:,} by model {version}" for version, number in others.items())
        says = f"of {day.questions:,} answers, {says}; to answer is {', '.join(allowed)}"
        action = "see ringbound rollout history, and which service was started without --environment"
        return [Alarm("code/model", day.day, "critical", says, "code", action)]

    def _of_labels(self, day: OutcomeDay) -> list[Alarm]:
        """Return the alarms of outcomes that are missing or late."""
        found = {UNLABELLED: effect(UNLABELLED, 1 - day.all.known / day.all.rows)}
        delay = mean_delay(day)
        alarms = []
        about: dict[str, tuple[str, str]] = {
            UNLABELLED: (
                f"{day.all.rows - day.all.known:,} of {day.all.rows:,} questions have no outcome though it should be final",
                "see whether outcomes are still sent to POST /outcomes",
            )
        }
        if delay is not None:
            past = self.statistics.get("labels/bin", [])
            usual = float(np.median(past[-56:])) if len(past) >= FEWEST_DAYS else delay
            found[DELAY] = effect(DELAY, abs(delay - usual) / STEPS_AN_OCTAVE * float(np.log(2)))
            about[DELAY] = (
                f"outcomes take {2 ** ((delay - usual) / STEPS_AN_OCTAVE):.2g} times as long to be known as they did",
                "see what sends outcomes; until they come in time, performance is known later",
            )
            self._note({"labels/bin": delay})
        for name, (says, action) in about.items():
            history = self._history(name)
            if self._step(name, seldom(self._is_more(name, found[name])), self.budget.service / 5):
                sign = self._sign(name, found[name], history, name)
                alarms.append(Alarm(name, day.day, "warning", says, "labels", action, [sign]))
        self._note(found)
        return alarms

    def _of_performance(self, day: OutcomeDay) -> list[Alarm]:
        alarms = []
        whole = self.profile.judged.get("")
        if whole is None or day.all.known < FEWEST_ROWS:
            return []
        for name in self.profile.judged:
            self._lately.setdefault(name, deque(maxlen=LATELY_DAYS)).append(day.parts.get(name, Sums()))
        if self._step(
            "performance",
            bets_of_loss(whole, day.all.mean_loss, day.all.mean_gap, self.budget),
            self.budget.performance,
        ):
            alarms.append(self._about_loss("performance", "", day, whole))
        groups = [name for name in self.profile.judged if name]
        for name in groups:
            sums, history = day.parts.get(name), self.profile.judged[name]
            if sums is None or sums.known < FEWEST_ROWS or len(history.days) < LEAST_HISTORY:
                continue
            evalue = bets_of_group(whole, history, sums.mean_loss / max(1e-12, day.all.mean_loss), self.budget)
            if self._step(f"group/{name}", evalue, self.budget.groups / len(groups)):
                alarms.append(self._about_loss(f"group/{name}", name, day, history))
        if self._step("outcomes", bets_of_outcome(whole, day.all.mean_outcome, self.budget), self.budget.outcomes):
            alarms.append(self._about_outcomes(day, whole))
        return alarms

    def _about_loss(self, monitor: str, name: str, day: OutcomeDay, history: History) -> Alarm:
        sums = day.parts[name]
        signs = [
            self._sign("loss/mean", sums.mean_loss, np.array(history.loss), monitor),
            self._sign("loss/gap", sums.mean_gap, np.array(history.gap), monitor),
        ]
        lately = sum(self._lately[name], Sums())
        wrong = lately.mean_gap > usual_gap(history.gap)
        where = f" where {name.replace('=', ' is ')}" if name else ""
        says = (
            f"answers{where} lose more than promised: {lately.mean_loss:.3f} over {len(self._lately[name])} days, promised "
            f"{history.promise:.3f}; they themselves led to expect {lately.mean_loss - lately.mean_gap:.3f}"
        )
        cause: Cause = "concept" if wrong else "data"
        action = (
            "what is asked means other outcomes than it did: see data alarms of these days first; if there are none, retrain"
            if wrong
            else "questions are harder than those it was judged on, and it knows: see whether that lasts before retraining"
        )
        return Alarm(monitor, day.day, "critical", says, cause, action, signs, day.examples)

    def _about_outcomes(self, day: OutcomeDay, history: History) -> Alarm:
        past = np.array(history.outcome)
        signs = [self._sign("outcome/mean", day.all.mean_outcome, past, "outcomes")]
        says = (
            f"outcomes are not like those it was judged on: mean {day.all.mean_outcome:.3f}, judged {past.mean():.3f}"
        )
        known = abs(day.all.mean_gap) <= float(np.quantile(np.abs(history.gap), 0.9))
        cause: Cause = "data" if known else "concept"
        action = (
            "answers follow, so the model is not wrong: see whether what is decided by them still fits"
            if known
            else "answers do not follow: see data alarms of these days; if there are none, retrain"
        )
        return Alarm("outcomes", day.day, "warning", says, cause, action, signs, day.examples)
