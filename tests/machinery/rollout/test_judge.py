"""What stops a roll-out and what does not: looked at after every row, as a service never stops looking."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ringbound.errors import RolloutError
from ringbound.problem.task import Classification, Costs, Regression
from ringbound.rollout.judge import GATES, Evidence, decide
from ringbound.rollout.plan import Plan, Rollout, state_of
from ringbound.rollout.sequences import half_width, log_bet
from ringbound.store import Fact, Matured, Pair

TASK = Classification(Costs(miss=1.0, false_alarm=1.0))
PLAN = Plan(salt="s")


def pair(champion=0.3, challenger=0.3, **more) -> Pair:
    plain = {"rollout": 1, "prediction_id": "p", "made_at": 0, "arm": "champion", "failed": False}
    plain |= {"champion_lower": False, "challenger_lower": False, "champion_us": None, "challenger_us": None}
    return Pair(**plain | {"champion": champion, "challenger": challenger} | more)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def season(random, n: int):
    """Pairs of two models that are equally good and not alike, and what came: the days have something in common."""
    truth = random.normal(-1.2, 1.0, n) + np.repeat(random.normal(0, 0.7, n // 100 + 1), 100)[:n]
    one, other = (logistic(truth * 0.8 - 0.2 + random.normal(0, 0.4, n)) for _ in range(2))
    came = random.random(n) < logistic(truth)
    took = np.exp(random.normal(6, 1.0, (n, 2)))
    lower = random.random((n, 2)) < 0.03
    pairs = [
        pair(one[i], other[i], champion_lower=lower[i, 0], challenger_lower=lower[i, 1])._replace(
            champion_us=took[i, 0], challenger_us=took[i, 1]
        )
        for i in range(n)
    ]
    return pairs, [Matured(one[i], other[i], float(came[i])) for i in range(n)]


def test_an_equal_challenger_is_hardly_ever_stopped_though_one_looks_after_every_row():
    stopped = 0
    for seed in range(200):
        pairs, matured = season(np.random.default_rng(seed), 600)
        evidence = Evidence()
        for one, outcome in zip(pairs, matured, strict=True):
            evidence.add([one], PLAN, TASK)
            evidence.mature([outcome], TASK)
            if any(finding.weight >= 1 for finding in evidence.findings(PLAN)):
                stopped += 1
                break
    assert stopped <= 10  # five in a hundred


BAD = {
    "failures": lambda i: pair(champion=None, challenger=None, failed=i % 10 == 0) if i % 10 == 0 else pair(),
    "rungs": lambda i: pair(challenger_lower=i % 5 == 0),
    "latency": lambda i: pair(champion_us=200.0, challenger_us=2000.0 if i % 4 else 180.0),
    "apart": lambda i: pair(challenger=0.9 if i % 2 else 0.3),
}


@pytest.mark.parametrize("gate", BAD)
def test_a_bad_challenger_is_stopped_by_the_gate_that_is_about_it_and_soon(gate):
    evidence = Evidence()
    for number in range(1000):
        evidence.add([BAD[gate](number)], PLAN, TASK)
        against = [finding for finding in evidence.findings(PLAN) if finding.weight >= 1]
        if against:
            break
    assert [finding.gate for finding in against] == [gate]
    assert number < 200


def test_a_worse_challenger_is_stopped_by_its_loss():
    random = np.random.default_rng(5)
    evidence = Evidence()
    for number in range(1, 5000):
        truth = random.normal(-1.0, 1.0)
        good = logistic(truth)
        evidence.mature([Matured(good, 1 - good if number % 3 == 0 else good, float(random.random() < good))], TASK)
        against = [finding.gate for finding in evidence.findings(PLAN) if finding.weight >= 1]
        if against:
            break
    assert against == ["loss"]
    assert 100 <= number < 1500


def test_a_challenger_that_is_always_worse_by_the_same_is_stopped_too():
    evidence = Evidence()
    evidence.mature([Matured(1.0, 2.0, 1.0)] * 100, Regression())
    assert {finding.gate: finding.weight for finding in evidence.findings(PLAN)}["loss"] >= 1


def test_a_better_challenger_is_left_alone():
    evidence = Evidence()
    evidence.add([pair(champion_lower=True, champion_us=900.0, challenger_us=100.0)] * 500, PLAN, TASK)
    evidence.mature([Matured(0.6, 0.9, 1.0), Matured(0.6, 0.3, 0.0)] * 500, TASK)
    assert [finding.weight for finding in evidence.findings(PLAN)] == [0.0] * len(GATES)


def test_answers_of_a_regression_differ_by_what_the_plan_says():
    evidence, plan = Evidence(), replace(PLAN, differ=2.0)
    evidence.add([pair(10.0, 12.5), pair(10.0, 11.5)], plan, Regression())
    evidence.add([pair(10.0, 99.0)], PLAN, Regression())  # nothing is decided, and nothing said
    assert evidence.apart == 1


def test_bets_are_fair_when_the_claim_just_holds():
    # The mean over all ways that ten rows can come is one at most: that is what makes it an e-value.
    for limit in (0.5, 0.2, 0.01):
        mean = sum(
            math.comb(10, bad) * limit**bad * (1 - limit) ** (10 - bad) * math.exp(log_bet(bad, 10 - bad, limit))
            for bad in range(11)
        )
        assert mean == pytest.approx(1.0)
    assert log_bet(0, 100_000, 0.5) == -math.inf


def test_an_interval_gets_narrower_and_says_nothing_of_few():
    widths = [half_width(n, 1.0, 0.01) for n in (100, 1000, 10_000, 100_000)]
    assert widths == sorted(widths, reverse=True)
    assert half_width(99, 1.0, 0.01) == math.inf


def rollout(step=0, since=0, pairs_before=0, **plan) -> Rollout:
    made = Plan(**{"steps": (0.0, 0.1, 1.0), "hold_s": 60, "rows": 100} | plan)
    return Rollout(Fact(1, "prod", 0, "start", "v2", "m", "c", {}), made, step, since, pairs_before)


@pytest.mark.parametrize(
    ("at", "now_s", "seen", "kind"),
    [
        (rollout(), 59, 1000, None),
        (rollout(), 60, 99, None),
        (rollout(), 60, 100, "step"),
        (rollout(step=1, pairs_before=100), 60, 199, None),
        (rollout(step=2), 60, 100, None),
        (rollout(step=2, promote=True), 60, 100, "serve"),
        (rollout(step=2, promote=True), 59, 100, None),
    ],
)
def test_a_step_is_taken_after_its_time_and_its_rows_and_the_last_only_where_that_is_allowed(at, now_s, seen, kind):
    decision = decide(at, Evidence(pairs=seen), now_s * 1_000_000)
    assert (decision and decision.kind) == kind
    if kind == "step":
        assert (decision.details["step"], decision.details["pairs"]) == (at.step + 1, seen)


def test_what_speaks_against_it_stops_it_before_any_step():
    decision = decide(rollout(), Evidence(pairs=1000, failed=9), 10**12)
    assert decision.kind == "stop"
    assert decision.details["why"].startswith("failures: no answer to 9 of 1,000 rows")


def test_a_tenth_of_keys_is_a_tenth_and_who_was_in_it_stays():
    plan, again = Plan(key="who", salt="first"), Plan.from_json(Plan(key="who", salt="first").to_json())
    rows = [{"who": f"customer {n}", "what": n % 7} for n in range(20_000)]
    mine = {row["who"] for row in rows if plan.arm(row, 0.1) == "challenger"}
    assert len(mine) / len(rows) == pytest.approx(0.1, abs=0.01)
    assert mine == {row["who"] for row in rows if again.arm({"who": row["who"], "what": "else"}, 0.1) == "challenger"}
    assert mine < {row["who"] for row in rows if plan.arm(row, 0.25) == "challenger"}
    other = {row["who"] for row in rows if replace(plan, salt="second").arm(row, 0.1) == "challenger"}
    assert len(mine & other) / len(mine) == pytest.approx(0.1, abs=0.03)


def test_without_a_key_equal_rows_keep_their_arm():
    first, second = {"a": 1, "b": "x"}, {"b": "x", "a": 1}
    assert {Plan().arm(first, 0.5), Plan().arm(second, 0.5)} in ({"champion"}, {"challenger"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": ()},
        {"steps": (0.5, 0.1)},
        {"steps": (0.1, 0.1)},
        {"steps": (0.1, 1.1)},
        {"steps": (math.nan,)},
        {"hold_s": -1},
        {"slower": 1.0},
        {"apart": 0.0},
        {"alpha": 0.6},
        {"differ": -1.0},
        {"differ": math.nan},
    ],
)
def test_a_plan_that_is_none_is_refused(wrong):
    with pytest.raises(RolloutError, match="expected"):
        Plan(**wrong)


def test_a_plan_of_another_version_is_refused():
    with pytest.raises(RolloutError, match="of this version"):
        Plan.from_json({"steps": [0.1]})


def fact(seq, kind, code, **details) -> Fact:
    return Fact(seq, "prod", seq * 10, kind, f"v{code}", f"m{code}", code, details)


def test_what_serves_follows_from_the_facts():
    start = fact(2, "start", "2", plan=PLAN.to_json())
    facts = [fact(1, "serve", "1"), start, fact(3, "look", "2"), fact(4, "step", "2", step=1, pairs=70)]
    now = state_of(facts)
    assert (now.last, now.champion.code, now.rollout.start.code) == (4, "1", "2")
    assert (now.rollout.step, now.rollout.since, now.rollout.pairs_before) == (1, 40, 70)
    assert state_of([*facts, fact(5, "stop", "2")]).rollout is None
    assert state_of([*facts, fact(5, "serve", "2")]).rollout is None
    assert state_of([]).champion is None
