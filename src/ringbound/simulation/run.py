"""One policy, lived through: who served when, what was found, what was learnt, and what it cost."""

import tempfile
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ringbound.evaluation.by_slice import too_few
from ringbound.evaluation.comparison import changed_slices
from ringbound.evaluation.slices import slices_of
from ringbound.features.frames import plain_rows
from ringbound.monitoring.alerts import alerts_of, note_alarms, standing
from ringbound.monitoring.answers import put_into
from ringbound.monitoring.budget import AlarmBudget
from ringbound.monitoring.days import DAY_US
from ringbound.monitoring.report import Report
from ringbound.monitoring.run import run_monitors
from ringbound.release import gates as gate
from ringbound.release.causes import OF, alert_cause, forecast_cause
from ringbound.release.gates import Gates
from ringbound.release.judgement import calibration_of
from ringbound.rollout.judge import Evidence
from ringbound.rollout.plan import Plan
from ringbound.simulation.money import Prices, mistakes
from ringbound.simulation.policy import WATCHED, Policy
from ringbound.simulation.record import Event, PolicyRun, name_of, result_of
from ringbound.simulation.world import World
from ringbound.store import Matured, Store

AHEAD = 14
"""How many days on a loss is forecast."""
WORTH_DAYS = 28
"""How long after a cause it is seen whether a model that had learnt up to it would have cost less."""


@dataclass(frozen=True)
class Rules:
    """What holds for every policy: prices, the gates with the days they look at, the monitors' budget."""

    prices: Prices
    gates: Gates
    held_out: int
    budget: AlarmBudget


def cuts_of(world: World, policy: Policy, rules: Rules) -> list[int]:
    """Return up to when a model may have learnt that a policy lets serve, look by look."""
    held = rules.held_out * policy.gates
    return [day - held for day in world.looks if policy.when != "never" and day - held > world.start]


def run_policy(world: World, policy: Policy, rules: Rules) -> PolicyRun:
    """Live through the history under one policy."""
    with tempfile.TemporaryDirectory() as folder:
        return _Life(world, policy, rules, folder).run()


class _Life:
    """A policy's way through the days: its champion, its challenger, its store, its purse."""

    def __init__(self, world: World, policy: Policy, rules: Rules, folder: str):
        self.world, self.policy, self.rules = world, policy, rules
        self.task = world.rows.problem.task
        self.champion = (world.start, 0)
        self.challenger: tuple[int, int] | None = None
        self.since = self.attempt = world.start
        self.looks: list[int] = []
        self.events: list[Event] = []
        self.retrainings: list[int] = []
        self.causes = self.paid = self.refused = self.stopped = 0
        self.bought = np.zeros(len(world.rows), bool)
        self.answered = np.full(len(world.rows), np.nan)
        self.by = np.zeros(len(world.rows), np.int64)
        self.report: Report | None = None
        self.store = Store(f"sqlite:///{folder}/store.db") if policy.when in WATCHED else None

    def run(self) -> PolicyRun:
        """Go from look to look."""
        for day in self.world.looks:
            if self.store and day > self.world.start:
                self._watch(day)
            if self.challenger:
                self._promote(day)
            elif self._newest(day)[0] > self.champion[0] and (why := self._cause(day)):
                self._learn(day, why)
            self._serve(day, min(day + self.world.step, self.world.end))
        alerts = alerts_of(self.store.alert_facts()) if self.store else []
        if self.store:
            self.store.close()
        return self._result(len([one for one in alerts if one.name.startswith(OF.get(self.policy.when, ("",)))]))

    def _say(self, day: int, what: str, why: str) -> None:
        self.events.append(Event(name_of(day), what, why))

    def _newest(self, day: int) -> tuple[int, int]:
        """Return what could be learnt on a day."""
        return day - self.rules.held_out * self.policy.gates, self.policy.window

    # What is cause enough.

    def _cause(self, day: int) -> str:
        when, age = self.policy.when, day - self.attempt
        if when == "schedule":
            return f"it learnt {age} days ago" if age >= self.policy.every else ""
        if when == "cumulative":
            return self._spent(day)
        if when == "forecast" and self.report:
            learnt, present = name_of(self.attempt), name_of(day)
            return forecast_cause(self.report, learnt, present, AHEAD, self.rules.budget.tolerance)
        if self.store and when in OF:
            return alert_cause(when, alerts_of(self.store.alert_facts()), name_of(self.attempt))  # type: ignore[arg-type]
        return ""

    def _spent(self, day: int) -> str:
        """Return that mistakes above those promised have cost as much as learning anew; or nothing."""
        positions, fresh = self.world.fresh(*self.champion)
        promised = mistakes(self.task, self.world.told[positions], fresh).mean()
        rows = self.world.told_between(max(self.since, self.attempt), day, day)
        rows = rows[self.by[rows] == self.champion[0]]  # not what a challenger has answered
        above = mistakes(self.task, self.world.told[rows], self.answered[rows]) - promised
        spent = self.rules.prices.mistake * float(above.sum())
        price = self.policy.spend * self.rules.prices.of_retraining(len(self.world.known_by(day, self.policy.window)))
        return f"mistakes above those promised cost {spent:.0f}, learning anew {price:.0f}" if spent > price else ""

    def _watch(self, day: int) -> None:
        """Let the monitors look at what is known."""
        assert self.store is not None
        world, rules = self.world, self.rules
        bundle, profile = world.bundle(*self.champion), world.profile(*self.champion)
        first = self.store.first_asked(bundle.version)
        if first is None or first >= day * DAY_US:
            return
        stand = [one.name for one in standing(alerts_of(self.store.alert_facts())).values() if one.state != "resolved"]
        given = {"days": WORTH_DAYS, "budget": rules.budget, "standing": stand}
        run = run_monitors(self.store, bundle, profile, through=day * DAY_US, **given)  # type: ignore[arg-type]
        note_alarms(self.store, run.alarms, run.settled, name_of(day - 1))
        self.report = run.report

    # What is learnt, and what it must pass.

    def _learn(self, day: int, why: str) -> None:
        policy, world, cut = self.policy, self.world, self._newest(day)
        self.attempt = day
        self.causes += 1
        self._say(day, "cause", why)
        self.paid += self._is_worth_it(day)
        self.retrainings.append(world.prepare(*cut))
        self.bought[world.known_by(day, policy.window)] = True
        if policy.gates and (says := self._refused(day, cut)):
            self.refused += 1
            self._say(day, "refused", says)
            return
        if policy.canary:
            self.challenger = cut
            self._say(day, "canary", f"{policy.canary:.0%} of questions")
        else:
            self._change(day, cut)

    def _is_worth_it(self, day: int) -> bool:
        """Whether a model that knew all of that day would have cost less than the champion, its price included."""
        after = self.world.between(day, min(day + WORTH_DAYS, self.world.end))
        y = self.world.rows.y[after]
        here = ~np.isnan(y)
        answers = [self.world.answers(*cut)[after][here] for cut in (self.champion, (day, self.policy.window))]
        before, later = (float(mistakes(self.task, y[here], one).sum()) for one in answers)
        price = self.rules.prices.of_retraining(len(self.world.known_by(day, self.policy.window)))
        return self.rules.prices.mistake * (before - later) > price

    def _refused(self, day: int, cut: tuple[int, int]) -> str:
        """Hold the model of a cut to the gates on the days it has not seen; return what it did not pass."""
        world, gates, problem = self.world, self.rules.gates, self.world.rows.problem
        place = world.told_between(day - self.rules.held_out, day, day)
        if len(np.unique(world.rows.blocks[place])) < 2:
            return f"open: of the {self.rules.held_out} days that it has not seen, too little is known"
        self.looks = [one for one in self.looks if one > day - self.rules.held_out] + [day]
        rows = world.as_told(place)
        table = pd.DataFrame(
            {
                "truth": rows.y,
                "before": world.answers(*self.champion)[place],
                "after": world.answers(*cut)[place],
                "block": rows.blocks,
            }
        )
        names = list(problem.guarded)
        by = slices_of(rows, world.as_told(world.known_by(*cut)))[names]
        table = pd.concat([table, by.reset_index(drop=True)], axis=1)
        drawn: dict[str, Any] = {"draws": gates.draws, "seed": gates.seed}
        guarded = changed_slices(table, names, task=self.task, least_rows=gates.least_rows, **drawn)
        results = [
            gate.better_gate(table, self.task, look=len(self.looks), alpha=gates.alpha, **drawn),
            gate.slices_gate(guarded, names, gates.slice_margin, too_few(table, names, gates.least_rows)),
            gate.calibration_gate(self.task, calibration_of(table, self.task, problem.stretch, **drawn), gates),
        ]
        return "; ".join(f"{one.outcome}: {one.says}" for one in results if one.outcome != "passed")

    def _promote(self, day: int) -> None:
        assert self.challenger is not None
        cut, self.challenger = self.challenger, None
        if says := self._worse(day, cut):
            self.stopped += 1
            self._say(day, "stopped", says)
        else:
            self._change(day, cut)

    def _worse(self, day: int, cut: tuple[int, int]) -> str:
        """Judge a challenger by the rows that both have answered; return what stops it."""
        place = self.world.told_between(day - self.world.step, day, day)
        self.bought[place] = True
        evidence = Evidence()
        first, second = self.world.answers(*self.champion)[place], self.world.answers(*cut)[place]
        rows = zip(first.tolist(), second.tolist(), self.world.told[place].tolist(), strict=True)
        evidence.mature([Matured(*row) for row in rows], self.task)
        return "; ".join(one.says for one in evidence.findings(Plan()) if one.weight >= 1)

    def _change(self, day: int, cut: tuple[int, int]) -> None:
        self.champion, self.since = cut, day
        self._say(day, "serves", f"what has learnt up to {name_of(cut[0])}")

    # What is asked.

    def _serve(self, start: int, end: int) -> None:
        chosen = self.world.between(start, end)
        place = np.arange(chosen.start, chosen.stop)
        asks_challenger = np.zeros(len(place), bool)
        if self.challenger:
            plan = Plan(salt=f"{self.policy.name} {start}")
            names = [one.name for one in self.world.rows.problem.features.request]
            questions = plain_rows(self.world.rows.requests.iloc[place][names])
            asks_challenger = np.array([plan.arm(row, self.policy.canary) == "challenger" for row in questions], bool)
        for cut, mine in ((self.champion, ~asks_challenger), (self.challenger, asks_challenger)):
            if cut is None or not mine.any():
                continue
            rows = place[mine]
            self.answered[rows] = self.world.answers(*cut)[rows]
            self.by[rows] = cut[0]
            if self.store:
                asked, known = self.world.as_told(rows), self.world.known[rows]
                put_into(self.store, self.world.bundle(*cut), asked, known, numbers=rows)

    def _result(self, alerts: int) -> PolicyRun:
        watched = self.policy.when in ("performance", "forecast", "cumulative")
        here = np.zeros(len(self.bought), bool)
        here[self.world.between(self.world.start, self.world.end)] = True
        here &= ~np.isnan(self.world.told) & (self.world.known < self.world.end * DAY_US)
        outcomes = int(((self.bought | watched) & here).sum())
        done = result_of(self.world, self.rules.prices, self.policy.name, self.answered, self.by, self.retrainings)
        found = {"causes": self.causes, "paid": self.paid, "refused": self.refused, "stopped": self.stopped}
        counts = {"outcomes": outcomes, "alerts": alerts, **found}
        return replace(done, events=self.events, **counts)  # type: ignore[arg-type]
