"""What is known of a challenger, and whether its roll-out goes on: by pairs of answers to the same rows."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ringbound.problem.task import Task
from ringbound.rollout.plan import Plan, Rollout, State
from ringbound.rollout.sequences import half_width, log_bet
from ringbound.store import Matured, Pair, Store

GATES = ("failures", "rungs", "latency", "apart", "loss")
MOST_WEIGHT = 1000.0
LEAST_US = 100.0
"""Microseconds a row by which one has to be slower, too: less is noise."""
FEWEST_NEW, SHARE_NEW = 20, 0.25
"""How many more pairs there have to be than at the look before, for one that is kept."""


@dataclass(frozen=True)
class Finding:
    """What one gate says; `weight` is the evidence against the challenger as a share of what stops it."""

    gate: str
    says: str
    weight: float


@dataclass
class Evidence:
    """What has been seen of champion and challenger on the same rows, as counts and sums that are added to.

    Of the rows, the challenger `failed` on some; `lower` and `slow` count those on which one of them was on a lower rung, or
    was slower, and not the other: first the challenger, then the champion. `apart` rows got different answers. `loss` and
    `loss_squares` are sums over the `matured` rows of what the challenger lost more than the champion.
    """

    pairs: int = 0
    failed: int = 0
    lower: tuple[int, int] = (0, 0)
    slow: tuple[int, int] = (0, 0)
    apart: int = 0
    matured: int = 0
    loss: float = 0.0
    loss_squares: float = 0.0

    def add(self, pairs: Iterable[Pair], plan: Plan, task: Task) -> None:
        """Add what was answered to some rows."""
        for one in pairs:
            self.pairs += 1
            self.failed += one.failed
            if one.champion is None or one.challenger is None:
                continue
            self.lower = _added(self.lower, one.challenger_lower, one.champion_lower)
            self.apart += _differ(one.champion, one.challenger, plan, task)
            if one.champion_us is not None and one.challenger_us is not None:
                first, second = one.champion_us, one.challenger_us
                self.slow = _added(
                    self.slow, second > plan.slower * first + LEAST_US, first > plan.slower * second + LEAST_US
                )

    def mature(self, pairs: Iterable[Matured], task: Task) -> None:
        """Add what came of some rows."""
        found = np.array(list(pairs), np.float64).reshape(-1, 3)
        more = task.losses(found[:, 2], found[:, 1]) - task.losses(found[:, 2], found[:, 0])
        self.matured += len(found)
        self.loss += float(more.sum())
        self.loss_squares += float((more**2).sum())

    def findings(self, plan: Plan) -> list[Finding]:
        """Return what each gate says; each may stop an equal challenger with a fifth of the plan's chance."""
        alpha = plan.alpha / len(GATES)
        enough = -math.log(alpha)
        both = self.pairs - self.failed
        slower = f"more than {plan.slower:g} times as long"
        bets = {
            "failures": (self.failed, 0, 0.5, f"no answer to {self.failed:,} of {self.pairs:,} rows"),
            "rungs": (
                *self.lower,
                0.5,
                f"alone on a lower rung for {self.lower[0]:,} rows, the champion for {self.lower[1]:,}",
            ),
            "latency": (*self.slow, 0.5, f"{slower} for {self.slow[0]:,} batches, the champion for {self.slow[1]:,}"),
            "apart": (
                self.apart,
                both - self.apart,
                plan.apart,
                f"another answer than the champion to {self.apart:,} of {both:,} rows; at most {plan.apart:.0%}",
            ),
        }
        found = [
            Finding(gate, says, min(MOST_WEIGHT, max(0.0, log_bet(bad, good, limit)) / enough))
            for gate, (bad, good, limit, says) in bets.items()
        ]
        mean, width = self.loss_difference(alpha)
        says = f"of {self.matured:,} rows it is known what came"
        if math.isfinite(width):
            says = f"{mean:+.4f} beside the champion, at least {mean - width:+.4f}, on {self.matured:,} rows"
        weight = 0.0
        if math.isfinite(width) and mean > 0:
            weight = mean / width if width > mean / MOST_WEIGHT else MOST_WEIGHT
        return [*found, Finding("loss", says, weight)]

    def loss_difference(self, alpha: float) -> tuple[float, float]:
        """Return by how much the challenger loses more a row, and by how much less that may be, but with chance `alpha`."""
        if not self.matured:
            return math.nan, math.inf
        mean = self.loss / self.matured
        return mean, half_width(self.matured, max(0.0, self.loss_squares / self.matured - mean**2), alpha)

    def to_json(self, plan: Plan) -> dict[str, Any]:
        """Return the evidence, and what follows from it, as plain data."""
        return asdict(self) | {"findings": [asdict(one) for one in self.findings(plan)]}


@dataclass(frozen=True)
class Decision:
    """What becomes of a roll-out: the kind of fact, and what stands in it."""

    kind: Any
    details: dict[str, Any]


def decide(rollout: Rollout, evidence: Evidence, now: int) -> Decision | None:
    """Return what the evidence says at a time, in microseconds since 1970; None where things stay as they are."""
    plan = rollout.plan
    told = evidence.to_json(plan)
    if against := [one for one in evidence.findings(plan) if one.weight >= 1]:
        return Decision("stop", {"why": "; ".join(f"{one.gate}: {one.says}" for one in against), "evidence": told})
    held = now - rollout.since >= plan.hold_s * 1e6 and evidence.pairs - rollout.pairs_before >= plan.rows
    if not held:
        return None
    if rollout.step + 1 < len(plan.steps):
        return Decision("step", {"step": rollout.step + 1, "pairs": evidence.pairs, "evidence": told})
    return Decision("serve", {"why": "its roll-out came to its end", "evidence": told}) if plan.promote else None


class Judge:
    """Looks at a roll-out again and again, and reads only what is new."""

    def __init__(self, store: Store, rollout: Rollout, task: Task):
        self.evidence = Evidence()
        self.start = rollout.start.seq
        self._store = store
        self._plan = rollout.plan
        self._task = task
        self._seen = (0, 0)
        self._kept = 0

    def look(self) -> Evidence:
        """Take in what is new, and return all that is known."""
        store = self._store
        newest = store.newest_outcome()  # first: what comes meanwhile is for the next look
        pairs, outcomes = self._seen
        after = pairs
        while some := store.pairs(self.start, after):
            self.evidence.add((pair for _, pair in some), self._plan, self._task)
            after = some[-1][0]
        self.evidence.mature(store.matured(self.start, (pairs, after), (outcomes, newest)), self._task)
        self._seen = (after, newest)
        return self.evidence

    def act(self, state: State, now: int) -> Decision | None:
        """Look and, where that decides something, let it be a fact; of several who do so at once one wins.

        Now and then, a look is one too: what was known when.
        """
        rollout = state.rollout
        assert rollout is not None
        evidence, start = self.look(), rollout.start
        about: dict[str, Any] = {"version": start.version, "model": start.model, "code": start.code}
        decision = decide(rollout, evidence, now)
        if decision:
            told = self._store.add_fact(
                start.environment, decision.kind, details=decision.details, last=state.last, **about
            )
            return decision if told else None
        if evidence.pairs >= self._kept * (1 + SHARE_NEW) + FEWEST_NEW:
            self._kept = evidence.pairs
            self._store.add_fact(start.environment, "look", details=evidence.to_json(self._plan), **about)
        return None


def _added(counts: tuple[int, int], challenger: bool, champion: bool) -> tuple[int, int]:
    if challenger == champion:
        return counts
    return counts[0] + challenger, counts[1] + champion


def _differ(champion: float, challenger: float, plan: Plan, task: Task) -> bool:
    if plan.differ is not None:
        return abs(champion - challenger) > plan.differ
    threshold = task.threshold
    return threshold is not None and (champion >= threshold) != (challenger >= threshold)
