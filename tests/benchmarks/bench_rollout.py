"""Roll-outs of made-up challengers: how often an equal one is stopped, and how soon one that is worse."""

import numpy as np

from ringbound.problem.classification import Classification
from ringbound.problem.task import Costs
from ringbound.rollout.judge import Evidence
from ringbound.rollout.plan import Plan
from ringbound.store import Matured, Pair

TASK = Classification(Costs(miss=1.0, false_alarm=1.0))
PLAN = Plan(salt="bench")
ROLLOUTS, BATCHES = 200, 2000
FAULTS = {
    "equal": {},
    "fails in 2% of batches more": {"fails": 0.02},
    "on a lower rung in 5% more": {"lower": 0.05},
    "three times as slow": {"slower": 3.0},
    "decides otherwise on half": {"apart": 0.5},
    "worse by 0.03 nats": {"noise": 0.75},
}


def logistic(x):
    return 1 / (1 + np.exp(-x))


def batches(random, *, fails=0.0, lower=0.0, slower=1.0, apart=0.0, noise=0.4):
    """Batches of rows whose days and requests have something in common, by two models that are alike but for the fault."""
    day = 0.0
    for number in range(BATCHES):
        if number % 100 == 0:
            day = random.normal(0, 0.7)
        n = int(random.integers(1, 6))
        truth = random.normal(-1.2, 1.0, n) + day
        first = logistic(truth + random.normal(0, 0.4, n))
        second = logistic(truth + random.normal(0, noise, n))
        second = np.where(random.random(n) < apart, 1 - first, second)
        failed = random.random(2) < [0.01, 0.01 + fails]
        low = random.random(2) < [0.03, 0.03 + lower]
        took = np.exp(random.normal(8, 0.7, 2)) * [1, slower]
        yield [
            Pair(1, number, "", 0, "champion", bool(failed[0]), bool(failed[1]), None if failed.any() else float(first[i]),
                 None if failed.any() else float(second[i]), bool(low[0]), bool(low[1]), took[0] if i == 0 else None,
                 took[1] if i == 0 else None)
            for i in range(n)
        ], [Matured(first[i], second[i], float(random.random() < logistic(truth[i]))) for i in range(n)]  # fmt: skip


def stopped(seed: int, fault: dict) -> tuple[int, str] | None:
    """Return after how many rows a challenger is stopped, looked at after every batch, and by which gate."""
    evidence = Evidence()
    for pairs, matured in batches(np.random.default_rng(seed), **fault):
        evidence.add(pairs, PLAN, TASK)
        evidence.mature(matured, TASK)
        for finding in evidence.findings(PLAN):
            if finding.weight >= 1:
                return evidence.pairs, finding.gate
    return None


def test_how_often_and_how_soon_a_challenger_is_stopped():
    print(f"\n{'challenger':<28} {'stopped':>8} {'median rows':>12} {'nine in ten':>12}  by")
    for name, fault in FAULTS.items():
        rollouts = ROLLOUTS if name == "equal" else 40
        found = [one for seed in range(rollouts) if (one := stopped(seed, fault))]
        rows = [one[0] for one in found]
        gates = ", ".join(sorted({one[1] for one in found}))
        middle, most = (f"{np.quantile(rows, q):,.0f}" if rows else "–" for q in (0.5, 0.9))
        print(f"{name:<28} {len(found) / rollouts:>8.1%} {middle:>12} {most:>12}  {gates}")
