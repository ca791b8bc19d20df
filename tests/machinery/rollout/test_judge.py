"""What stops a roll-out and what does not: looked at after every row, as a service never stops looking."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from ringbound.errors import BundleError, RolloutError, StoreError
from ringbound.problem.classification import Classification
from ringbound.problem.numbers import Regression
from ringbound.problem.task import Costs
from ringbound.rollout.judge import GATES, Evidence, Judge, decide
from ringbound.rollout.plan import Plan, Rollout, state_of
from ringbound.rollout.sequences import half_width, log_bet
from ringbound.rollout.view import history_lines, page, status_lines
from ringbound.store import Fact, Matured, Outcome, Pair, Store

TASK = Classification(Costs(miss=1.0, false_alarm=1.0))
PLAN = Plan(salt="s")


BATCHES = itertools.count()


def pair(champion=0.3, challenger=0.3, **more) -> Pair:
    plain = {"rollout": 1, "batch": next(BATCHES), "prediction_id": "p", "made_at": 0, "arm": "champion"}
    plain |= {"champion_failed": False, "challenger_failed": False, "champion_lower": False, "challenger_lower": False}
    plain |= {"champion_us": None, "challenger_us": None}
    return Pair(**plain | {"champion": champion, "challenger": challenger} | more)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def season(random, batches: int):
    """Batches of rows of two models that are equally good and not alike, and what came: rows of a batch are alike."""
    for number in range(batches):
        n = int(random.integers(1, 12))
        truth = random.normal(-1.2, 1.0, n) + random.normal(0, 0.7)
        one, other = (logistic(truth * 0.8 - 0.2 + random.normal(0, 0.3) + random.normal(0, 0.3, n)) for _ in range(2))
        came = random.random(n) < logistic(truth)
        took = np.exp(random.normal(8, 1.0, 2))
        lower = random.random(2) < 0.03  # a whole batch, as where a file is read anew
        failed = random.random(2) < 0.01
        pairs = [
            pair(
                None if failed.any() else one[i],
                None if failed.any() else other[i],
                batch=number,
                champion_failed=bool(failed[0]),
                challenger_failed=bool(failed[1]),
                champion_lower=bool(lower[0]),
                challenger_lower=bool(lower[1]),
                champion_us=took[0] if i == 0 else None,
                challenger_us=took[1] if i == 0 else None,
            )
            for i in range(n)
        ]
        yield pairs, [Matured(one[i], other[i], float(came[i])) for i in range(n)]


def test_an_equal_challenger_is_hardly_ever_stopped_though_one_looks_after_every_request():
    stopped = 0
    for seed in range(200):
        evidence = Evidence()
        for pairs, matured in season(np.random.default_rng(seed), 400):
            evidence.add(pairs, PLAN, TASK)
            evidence.mature(matured, TASK)
            if any(finding.weight >= 1 for finding in evidence.findings(PLAN)):
                stopped += 1
                break
    print(f"{stopped} of 200 equal challengers are stopped")
    assert stopped <= 10  # five in a hundred


BAD = {
    "failures": lambda i: pair(None, None, challenger_failed=True) if i % 10 == 0 else pair(),
    "rungs": lambda i: pair(challenger_lower=i % 5 == 0),
    "latency": lambda i: pair(champion_us=2000.0, challenger_us=20_000.0 if i % 4 else 1800.0),
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


def test_one_bad_batch_is_one_however_many_rows_it_has():
    evidence = Evidence()
    evidence.add([pair(None, None, batch=7, challenger_failed=True)] * 500, PLAN, TASK)
    assert evidence.failures == (1, 0)
    assert max(finding.weight for finding in evidence.findings(PLAN)) < 0.3


def test_what_both_fail_at_speaks_against_neither():
    evidence = Evidence()
    evidence.add([pair(None, None, champion_failed=True, challenger_failed=True) for _ in range(50)], PLAN, TASK)
    assert evidence.failures == (0, 0)


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
    evidence.add([pair(champion_lower=True, champion_us=9000.0, challenger_us=100.0) for _ in range(500)], PLAN, TASK)
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
    decision = decide(rollout(), Evidence(pairs=1000, batches=400, failures=(9, 0)), 10**12)
    assert decision.kind == "stop"
    assert decision.details["why"].startswith("failures: without an answer to more rows in 9 of 400 batches")


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


def test_a_plan_of_another_version_does_not_hold_up_what_came_after_it():
    old = fact(2, "start", "2", plan={"steps": [0.1]})
    assert state_of([fact(1, "serve", "1"), old]).rollout is None
    assert state_of([fact(1, "serve", "1"), old, fact(3, "step", "2", step=1, pairs=9)]).champion.code == "1"
    assert state_of([fact(1, "serve", "1"), old, fact(3, "stop", "2"), fact(4, "serve", "3")]).champion.code == "3"


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(f"sqlite:///{tmp_path}/store.db")


def judged(store: Store, **plan) -> Judge:
    return Judge(store, rollout(**plan), TASK)


def test_a_look_that_fails_counts_nothing_twice(store, monkeypatch):
    store.add_pairs([pair(prediction_id=str(n), challenger_failed=n < 5) for n in range(100)])
    judge = judged(store)
    real = Store.matured
    monkeypatch.setattr(Store, "matured", lambda *_: (_ for _ in ()).throw(StoreError("store: away")))
    for _ in range(3):
        with pytest.raises(StoreError):
            judge.look()
    monkeypatch.setattr(Store, "matured", real)
    assert (judge.look().pairs, judge.look().failures) == (100, (5, 0))


def test_each_row_matures_once_whichever_comes_first(store):
    judge, told = judged(store), 0
    random = np.random.default_rng(3)
    names = [str(n) for n in range(60)]
    events = [("pair", name) for name in names] + [("outcome", name) for name in names]
    events += [("outcome", name) for name in names[:20]]  # corrections
    random.shuffle(events)
    for number, (kind, name) in enumerate(events):
        if kind == "pair":
            store.add_pairs([pair(prediction_id=name)])
        else:
            store.tell([Outcome(name, 1_000_000 + number, 1.0)])
        if random.random() < 0.3:
            told = judge.look().matured
    assert told <= judge.look().matured == 60
    assert judged(store).look().matured == 60


def test_a_batch_is_whole_also_where_pairs_are_read_in_parts(store):
    store.add_pairs([pair(batch=n // 7, prediction_id=str(n)) for n in range(70)])
    seen, after = [], 0
    while some := store.pairs(1, after, most=10):
        seen.append({one.batch for _, one in some})
        after = some[-1][0]
    assert sum(len(batches) for batches in seen) == 10
    assert set().union(*seen) == set(range(10))


def test_what_is_decided_is_decided_once_and_looks_are_kept_now_and_then(store):
    about = {"version": "v2", "model": "m", "code": "c"}
    serve = store.add_fact("prod", "serve", details={}, **about)
    start = store.add_fact("prod", "start", details={"plan": Plan(rows=0, hold_s=1e8).to_json()}, **about)
    assert serve < start
    now = state_of(store.facts("prod"))
    judges = [Judge(store, now.rollout, TASK) for _ in range(2)]
    store.add_pairs([pair(rollout=start, prediction_id=str(n)) for n in range(30)])
    assert [judge.act(now, 0) for judge in judges] == [None, None]
    store.add_pairs([pair(rollout=start, prediction_id=f"b{n}", challenger_failed=True) for n in range(9)])
    decisions = [judge.act(now, 0) for judge in judges]
    assert [one and one.kind for one in decisions] == ["stop", None]
    assert [one.kind for one in store.facts("prod")] == ["serve", "start", "look", "look", "stop"]
    assert [one.kind for one in store.facts("prod", looks=False)] == ["serve", "start", "stop"]
    assert store.drop_pairs(1) == 39


@pytest.mark.parametrize(
    "details",
    [
        "not json",
        "[]",
        '{"plan": 7}',
        '{"plan": {"steps": [9]}}',
        '{"step": 9, "pairs": 0}',
        '{"step": "x"}',
        '{"findings": []}',
    ],
)
@pytest.mark.parametrize("kind", ["start", "step", "stop", "serve", "look", "weird"])
def test_facts_that_nobody_can_read_hold_nothing_up(store, kind, details):
    about = {"version": "v2", "model": "m", "code": "c"}
    store.add_fact("prod", "serve", details={}, **about | {"version": "v1"})
    store.add_fact("prod", "start", details={"plan": Plan().to_json()}, **about)
    with store._writing() as connection:
        connection.exec_driver_sql(
            "INSERT INTO deployments (environment, at, kind, version, model, code, details) VALUES ('prod', 1, "
            f"'{kind}', 'v3', 'm', 'c', '{details}')"
        )
    facts = store.facts("prod")
    now = state_of(facts)
    assert now.champion.version == ("v3" if kind == "serve" else "v1")
    assert now.rollout is None or now.rollout.share == 0.0
    assert status_lines(facts)
    assert history_lines(facts)
    assert page("prod", facts)
    store.add_fact("prod", "serve", details={"why": "well"}, **about)
    assert state_of(store.facts("prod")).champion.version == "v2"


def test_reasons_cannot_forge_lines_nor_send_signs_to_a_terminal():
    why = "line\n2026-01-01T00:00:00  serve  v9 \x1b[31m \udcff <script>"
    facts = [fact(1, "serve", "1", why=why), fact(2, "start", "2", plan=PLAN.to_json()), fact(3, "stop", "2", why=why)]
    lines = [*history_lines(facts), *status_lines(facts)]
    assert len(history_lines(facts)) == 3
    assert all(line.isprintable() for line in lines)
    assert "\n".join(lines).encode()
    assert "<script>" not in page("prod", facts)


def test_evidence_of_a_roll_out_that_is_on_is_not_dropped(store):
    store.add_pairs([pair(rollout=n, prediction_id=str(n)) for n in (1, 2, 3)])
    assert store.drop_pairs(1, [2]) == 2
    assert len(store.pairs(2, 0)) == 1


def test_a_bento_that_was_damaged_is_put_right(store):
    store.put_bento("c", b"good")
    with store._writing() as connection:
        connection.exec_driver_sql("UPDATE bentos SET archive = X'00'")
    with pytest.raises(BundleError, match="rollout publish"):
        store.bento("c")
    store.put_bento("c", b"good")
    assert store.bento("c") == b"good"
    assert store.environments() == []


def looked(seq: int, pairs: int, **more) -> Fact:
    return fact(seq, "look", "2", **Evidence(pairs=pairs, batches=pairs, answered=3, **more).to_json(PLAN))


def test_the_first_line_says_what_to_make_of_it():
    plan = Plan(steps=(0.0, 0.5), hold_s=100, rows=50)
    begun = [fact(1, "serve", "1"), fact(2, "start", "2", plan=plan.to_json())]
    first = lambda *more, now=0: status_lines([*begun, *more], now)[0]  # noqa: E731
    assert first() == "v2 is on, in shadow, and nothing is known of it yet"
    assert (
        first(looked(3, 20))
        == "v2 is on, in shadow, healthy; next, in 100 s and 30 rows: 50%; or ringbound rollout stop"
    )
    assert "close to a stop: failures 6" in first(looked(3, 20, failures=(6, 0)))
    last = fact(4, "step", "2", step=1, pairs=60)
    assert "its last step ends in 100 s and 10 rows" in first(looked(3, 60), last, looked(5, 100))
    done = first(looked(3, 60), last, looked(5, 110), now=200_000_000)
    assert done.startswith("v2 has passed all steps, healthy; next: ringbound registry promote v2 prod")
    assert first(fact(3, "stop", "2", why="slow")) == "v2: stopped at 1970-01-01T00:00:00 UTC: slow"
    assert "promoted by hand" in first(fact(3, "serve", "2", why="sure"))
    assert "as v3 was given" in first(fact(3, "serve", "3", why="other"))
    (loss,) = [line for line in status_lines([*begun, looked(3, 20)], 0) if line.startswith("loss")]
    assert loss.split()[1] == "–"
