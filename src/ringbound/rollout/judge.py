"""What is known of a challenger, and whether its roll-out goes on: by pairs of answers to the same rows."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import numpy as np

from ringbound.problem.packed import outcomes_kept, readable, unpack
from ringbound.problem.task import Task
from ringbound.rollout.plan import Plan, Rollout, State
from ringbound.rollout.sequences import half_width, log_bet
from ringbound.store import Matured, Pair, Store

GATES = ("failures", "rungs", "latency", "apart", "loss")
MOST_WEIGHT = 1000.0
LEAST_US = 1000.0
"""Microseconds a batch by which one has to be slower, too: less is noise."""
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

    Of the rows, so many were `answered` by the challenger to who asked. Rows that were answered at once have much in common,
    so each batch counts once: `failures`, `rungs` and `slow` count those in which one of the two failed, was on a lower rung,
    or was slower, for more rows than the other: first the challenger, then the champion. `apart` is the sum, over the batches
    that `both` answered, of the share of rows that got different answers. `loss` and `loss_squares` are sums over the
    `matured` rows of what the challenger lost more.
    """

    pairs: int = 0
    answered: int = 0
    batches: int = 0
    failures: tuple[int, int] = (0, 0)
    rungs: tuple[int, int] = (0, 0)
    slow: tuple[int, int] = (0, 0)
    both: int = 0
    apart: float = 0.0
    matured: int = 0
    loss: float = 0.0
    loss_squares: float = 0.0

    def add(self, pairs: Iterable[Pair], plan: Plan, task: Task) -> None:
        """Add what was answered to the rows of whole batches, as they stand together."""
        for _, batch in groupby(pairs, lambda one: one.batch):
            self._add_batch(list(batch), plan, task)

    def _add_batch(self, batch: list[Pair], plan: Plan, task: Task) -> None:
        self.pairs += len(batch)
        self.answered += sum(one.arm == "challenger" for one in batch)
        self.batches += 1
        self.failures = _added(self.failures, _count(batch, "challenger_failed"), _count(batch, "champion_failed"))
        self.rungs = _added(self.rungs, _count(batch, "challenger_lower"), _count(batch, "champion_lower"))
        first, second = batch[0].champion_us, batch[0].challenger_us
        if first is not None and second is not None:
            self.slow = _added(self.slow, _is_slow(second, first, plan), _is_slow(first, second, plan))
        answered = [one for one in batch if one.champion is not None and one.challenger is not None]
        if answered:
            self.both += 1
            self.apart += sum(_differ(one, plan, task) for one in answered) / len(answered)

    def mature(self, pairs: Iterable[Matured], task: Task) -> None:
        """Add what came of some rows."""
        found = list(pairs)
        y = outcomes_kept(task, np.array([one.outcome for one in found], np.float64))
        first = unpack(task, [one.champion for one in found], [one.champion_answers for one in found])
        second = unpack(task, [one.challenger for one in found], [one.challenger_answers for one in found])
        there = ~np.isnan(y) & readable(first) & readable(second)
        y, first, second = y[there], first[there], second[there]
        more = task.losses(y, second) - task.losses(y, first)
        self.matured += len(y)
        self.loss += float(more.sum())
        self.loss_squares += float((more**2).sum())

    def findings(self, plan: Plan) -> list[Finding]:
        """Return what each gate says; each may stop an equal challenger with a fifth of the plan's chance."""
        alpha = plan.alpha / len(GATES)
        enough = -math.log(alpha)
        worse = {
            "failures": (self.failures, "without an answer to more rows"),
            "rungs": (self.rungs, "on a lower rung for more rows"),
            "latency": (self.slow, f"more than {plan.slower:g} times as slow"),
        }
        bets: dict[str, tuple[float, float, float, str]] = {
            gate: (*counts, 0.5, f"{words} in {counts[0]:,} of {self.batches:,} batches; the champion in {counts[1]:,}")
            for gate, (counts, words) in worse.items()
        }
        share = self.apart / self.both if self.both else 0.0
        says = f"another answer than the champion to {share:.1%} of rows, {plan.apart:.0%} are allowed"
        bets["apart"] = (self.apart, self.both - self.apart, plan.apart, says)
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
        self._read = 0
        self._matured = (0, 0)
        self._kept = 0

    def look(self) -> Evidence:
        """Take in what is new, and return all that is known; what cannot be read now is for the next look."""
        store = self._store
        newest = store.newest_outcome()  # first: what comes meanwhile is for the next look
        while some := store.pairs(self.start, self._read):
            self.evidence.add((pair for _, pair in some), self._plan, self._task)
            self._read = some[-1][0]
        pairs, outcomes = self._matured
        found = store.matured(self.start, (pairs, self._read), (outcomes, newest))
        self.evidence.mature(found, self._task)
        self._matured = (self._read, newest)
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


def _added(counts: tuple[int, int], challenger: int, champion: int) -> tuple[int, int]:
    """Return counts with one more for the one that is worse, where one is."""
    return counts[0] + (challenger > champion), counts[1] + (champion > challenger)


def _count(batch: Iterable[Pair], what: str) -> int:
    return sum(getattr(one, what) for one in batch)


def _is_slow(one_us: float, other_us: float, plan: Plan) -> bool:
    return one_us > plan.slower * other_us and one_us > other_us + LEAST_US


def _differ(pair: Pair, plan: Plan, task: Task) -> bool:
    champion, challenger = pair.champion, pair.challenger
    assert champion is not None
    assert challenger is not None
    if task.classes:
        both = unpack(task, [champion, challenger], [pair.champion_answers, pair.challenger_answers])
        if plan.differ is not None:
            return bool(np.abs(both[0] - both[1]).max() > plan.differ)
        decided = np.argmax(both, axis=1)
        return bool(decided[0] != decided[1])
    if plan.differ is not None:
        return abs(champion - challenger) > plan.differ
    threshold = task.threshold
    return threshold is not None and (champion >= threshold) != (challenger >= threshold)
