"""Verdicts on a town's parcels: noise, a gain, and a loss that hides in one depot."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ringbound.errors import ModelError, RecordError
from ringbound.evaluation.answers import read_evaluation, write_evaluation
from ringbound.evaluation.comparison import changed_slices, compare, flips
from ringbound.evaluation.uncertainty import Estimate, Resampled
from ringbound.models.candidates import fit_trees
from ringbound.models.encoding import Encoder, learn_vocabularies
from ringbound.models.facts import Learnt, ModelFacts
from ringbound.models.rung import Rung
from ringbound.problem import metrics
from ringbound.problem.numbers import Count, Regression
from ringbound.problem.training import Rows, with_features
from ringbound.release import report
from ringbound.release.gates import GateResult, Gates, calibration_gate, slices_gate
from ringbound.release.judgement import Contender, judge, look_at
from ringbound.release.looks import Look, note_look, number_of, read_looks, spent
from ringbound.testing.parcels import FEATURES, PROBLEM
from ringbound.testing.town import make_town

GATES = Gates(
    calibration_error=0.1, latency_ratio=5.0, proven_rows=0, replayed_rows=30, draws=500, seed=7, least_rows=100,
    alpha=0.05, slice_margin=0.05,
)  # fmt: skip
PROOFS = [GateResult("leakage", "passed", "proven"), GateResult("skew", "passed", "replayed")]
ARGUMENTS = {"learning_rate": 0.1, "iterations": 60, "leaves": 15, "min_leaf": 40, "penalty": 1.0}
CUT = "2020-03-16"


@pytest.fixture(scope="module")
def season(tmp_path_factory) -> tuple[Rows, Rows]:
    """The parcels of a busy town with their features: before the cut, and the two weeks after it, unseen."""
    town = make_town(per_day=300, seed=1)
    known = town.parcels.dropna(subset=["late"]).reset_index(drop=True)
    features = town.features(known, town.write(tmp_path_factory.mktemp("busy")))
    table = with_features(known.drop(columns=["depot"]), features)
    rows = Rows(PROBLEM, table, known[[field.name for field in FEATURES.asked]], town.references)
    return rows.where(rows.blocks < CUT), rows.where(rows.blocks >= CUT)


@pytest.fixture(scope="module")
def made(season, tmp_path_factory):
    """Make a contender: fitted on a share of the past, chosen by a seed, on some of the features."""
    past, later = season

    def make(version: str, *, seed: int, names: list[str], broken: str = "", until: str = "2020-W11") -> Contender:
        random = np.random.default_rng(seed)
        learnt = past.where(np.sort(random.choice(len(past), int(0.9 * len(past)), replace=False)))
        categories = [n for n in names if n in FEATURES.categories]
        encoder = Encoder([n for n in names if n in FEATURES.numbers], learn_vocabularies(learnt.features, categories))
        model = fit_trees(
            encoder.matrix(learnt.features), learnt.y, sizes=encoder.sizes, task=PROBLEM.task, seed=seed, **ARGUMENTS
        )
        asked = later
        if broken:  # this depot's events are mixed up: each of its parcels has what happened before another one
            those = np.flatnonzero(later.table["depot"] == broken)
            table = later.table.copy()
            columns = [table.columns.get_loc(name) for name in FEATURES.windowed]
            table.iloc[those, columns] = table.iloc[np.random.default_rng(0).permutation(those), columns].to_numpy()
            asked = replace(later, table=table)
        rung = Rung(encoder, model)
        answers = {"full": rung.answer(asked.features), "prior": np.full(len(asked), learnt.y.mean())}
        facts = ModelFacts(
            version=version, problem=PROBLEM.name, entry="", task=PROBLEM.task.to_json(), features="f",
            default=0.3, cascade=None, rungs=["full", "prior"], left_out={}, warning="",
            learnt=Learnt(len(learnt), "2020-W08", until, "", "trees", ARGUMENTS, seed),
        )  # fmt: skip
        folder = tmp_path_factory.mktemp(version) / "evaluation"
        write_evaluation(folder, asked, answers, asked.table[["depot"]], facts)
        return Contender(SimpleNamespace(name=version), read_evaluation(folder), rung, 1000)

    return make


@pytest.fixture(scope="module")
def full(made):
    return made("full", seed=1, names=FEATURES.names)


@pytest.fixture(scope="module")
def plain(made):
    return made("plain", seed=1, names=FEATURES.plain)


def outcomes(judged) -> dict[str, str]:
    return {r.gate: r.outcome for r in judged.verdict.results}


def test_other_seeds_are_noise(made, full):
    """Fits to other samples of the same parcels differ a little, some of them truly; none takes the champion's place."""
    judged = [
        judge(full, made(f"again{seed}", seed=seed, names=FEATURES.names), GATES, environment="prod", proofs=PROOFS)
        for seed in range(2, 8)
    ]
    decisions = [one.verdict.decision for one in judged]
    assert "promote" not in decisions
    assert decisions.count("inconclusive") >= 4
    assert all(one.comparison.metrics["log_loss"].change.value != 0 for one in judged)


def test_more_features_are_a_gain(full, plain):
    judged = judge(plain, full, GATES, environment="prod", proofs=PROOFS)
    assert judged.verdict.decision == "promote"
    assert set(outcomes(judged).values()) == {"passed"}
    assert judge(full, plain, GATES, environment="prod", proofs=PROOFS).verdict.decision == "keep"


def test_a_loss_in_one_depot_is_caught_though_the_whole_is_better(made, plain):
    judged = judge(
        plain, made("broken", seed=1, names=FEATURES.names, broken="harbour"), GATES, environment="prod", proofs=PROOFS
    )
    assert outcomes(judged)["better"] == "passed"
    assert outcomes(judged)["slices"] == "failed"
    assert judged.verdict.decision == "keep"
    (says,) = [r.says for r in judged.verdict.results if r.gate == "slices"]
    assert says.startswith("worse: depot harbour +")
    assert says.split(";")[0].count("depot") == 1


def test_the_first_model_has_to_beat_its_own_prior(full):
    assert judge(None, full, GATES, environment="prod", proofs=PROOFS).verdict.decision == "promote"


def test_a_model_slower_than_the_bound_keeps_the_champion(full, plain):
    judged = judge(plain, full, replace(GATES, latency_ratio=0.001), environment="prod", proofs=PROOFS)
    assert outcomes(judged)["latency"] == "failed"
    assert judged.verdict.decision == "keep"


def answering(contender: Contender, answers) -> Contender:
    rows = contender.evaluation.rows
    return replace(contender, evaluation=replace(contender.evaluation, rows=rows.assign(full=answers(rows["full"]))))


@pytest.mark.parametrize(("bound", "outcome"), [(0.03, "failed"), (0.3, "passed")])
def test_calibration_is_held_to_its_bound_by_an_interval(full, plain, bound, outcome):
    timid = answering(full, lambda p: 0.5 * p)
    judged = judge(plain, timid, replace(GATES, calibration_error=bound), environment="prod", proofs=PROOFS)
    assert outcomes(judged)["calibration"] == outcome


def test_a_model_that_is_calibrated_passes_however_small_the_bound(full, plain):
    """What noise alone shows is no error: each outcome is drawn from the probability that is stated."""
    rows = full.evaluation.rows
    drawn = (np.random.default_rng(3).random(len(rows)) < rows["full"]).astype(float)
    exact, other = (replace(one, evaluation=replace(one.evaluation, rows=one.evaluation.rows.assign(truth=drawn)))
                    for one in (full, plain))  # fmt: skip
    judged = judge(other, exact, replace(GATES, calibration_error=0.0), environment="prod", proofs=PROOFS)
    assert outcomes(judged)["calibration"] == "passed"
    plug_in = metrics.calibration_error(drawn, rows["full"].to_numpy(), np.ones(len(rows)))
    assert plug_in > 0.005, "a bound on the sample's own error would refuse it"


def test_slices_that_may_be_worse_leave_the_gate_open_and_small_ones_are_named(full):
    noise = np.random.default_rng(1).normal(scale=0.002, size=len(full.evaluation.rows))
    again = answering(full, lambda p: np.clip(p + noise, 0.001, 0.999))
    for margin, outcome, says in (
        (10.0, "passed", "5 of them by less than 10"),
        (1e-6, "open", "may be worse by more than 1e-06"),
    ):
        judged = judge(full, again, replace(GATES, slice_margin=margin), environment="prod", proofs=PROOFS)
        (result,) = [r for r in judged.verdict.results if r.gate == "slices"]
        assert (result.outcome, says in result.says) == (outcome, True), result.says
    table = pd.DataFrame(
        {"slice": "depot", "value": ["a", "b", "c"], "rows": 500, "change": 0.0, "judgement": "inconclusive",
         "high": [0.02, 0.001, 0.5], "detectable": [0.009, 0.009, 0.6]}
    )  # fmt: skip
    said = slices_gate(table, ["depot"], 0.01, ["depot d (3 rows)"])
    assert said == GateResult(
        "slices", "open", "may be worse by more than 0.01: depot a; too small to guard: depot d (3 rows), depot c"
    )


def test_looks_at_the_same_months_must_be_surer_each_time(full, plain):
    """A gain that passes at the first look does not at a later one; other months begin anew."""
    weak = answering(full, lambda p: 0.1 * p + 0.9 * plain.evaluation.rows["full"].to_numpy())
    outcome = {
        look: judge(plain, weak, GATES, environment="prod", proofs=PROOFS, look=look).verdict.result("better").outcome
        for look in (1, 10**9)
    }
    assert outcome == {1: "passed", 10**9: "open"}
    assert look_at(plain, full, GATES) == Look("full", "plain", "2020-W12", "2020-W14", GATES.digest)
    assert replace(GATES, seed=8).digest != GATES.digest, "with another seed it is another look"


def test_the_ledger_counts_each_look_once_and_months_that_overlap(tmp_path):
    file = tmp_path / "looks.csv"
    autumn, winter = ("2013-09", "2013-10"), ("2013-10", "2013-12")
    looks = [Look("a", "m", *autumn, "g"), Look("b", "m", *winter, "g"), Look("a", "m", *autumn, "g")]
    looks.append(Look("c", "m", "2014-01", "2014-02", "g"))
    assert [note_look(file, look) for look in looks] == [1, 2, 1, 1]
    kept = read_looks(file.read_text(), file.name)
    assert kept == [looks[0], looks[1], looks[3]]
    assert number_of(Look("d", "m", *autumn, "g"), kept) == 3
    assert number_of(Look("a", "m", *autumn, "other"), kept) == 3, "by other gates it is another look"
    for text in ("challenger\nx\n", ""):
        file.write_text(text)
        with pytest.raises(RecordError, match=r"looks\.csv: expected a line"):
            note_look(file, looks[0])


def test_an_erratic_challenger_makes_no_slice_too_small_to_guard(full):
    rows = full.evaluation.rows
    depot = rows["depot"] == "harbour"
    noise = np.random.default_rng(1).normal(scale=2.0, size=rows["block"].nunique())[pd.factorize(rows["block"])[0]]
    odds = np.log(rows["full"] / (1 - rows["full"])) + np.where(depot, noise, 0.0)
    erratic = answering(full, lambda p: 1 / (1 + np.exp(-odds)))
    judged = judge(full, erratic, replace(GATES, slice_margin=0.01), environment="prod", proofs=PROOFS)
    (result,) = [r for r in judged.verdict.results if r.gate == "slices"]
    assert result.outcome in ("open", "failed"), result.says
    assert "depot harbour" in result.says.split("; too small")[0]


def test_a_challenger_that_leaves_rows_out_is_not_compared_on_what_it_likes(full, plain):
    rows = full.evaluation.rows
    picky = replace(full, evaluation=replace(full.evaluation, rows=rows[rows["depot"] != "harbour"]))
    judged = judge(plain, picky, GATES, environment="prod", proofs=PROOFS)
    assert outcomes(judged)["coverage"] == "open"
    facts = replace(full.evaluation.facts, guarded=[])
    judged = judge(
        plain, replace(full, evaluation=replace(full.evaluation, facts=facts)), GATES, environment="prod", proofs=PROOFS
    )
    assert "slices by depot" in judged.verdict.result("slices").says, "what was guarded stays so"


def test_nothing_passes_on_what_is_no_number():
    nan = float("nan")
    assert calibration_gate(PROBLEM.task, Estimate(nan, nan, nan), GATES).outcome == "open"
    table = pd.DataFrame({"slice": "depot", "value": ["a"], "rows": 500, "change": nan, "judgement": "inconclusive",
                          "high": nan, "detectable": nan})  # fmt: skip
    assert slices_gate(table, ["depot"], 0.01, []).outcome == "open"
    assert slices_gate(table.iloc[:0], ["depot"], 0.01, []).outcome == "open"
    rows = pd.DataFrame({"truth": 1.0, "before": 0.5, "after": 0.4, "block": np.arange(400) // 40, "s": "all"})
    changed = changed_slices(rows, ["s"], task=PROBLEM.task, draws=50, seed=1, least_rows=10)
    assert changed["judgement"].tolist() == ["worse"], "a harm without any spread is the surest"


@pytest.mark.parametrize(
    ("task", "bound", "error", "outcome"),
    [
        (Regression(), {"bias": 1.0}, Estimate(-3.0, -4.0, -1.1), "failed"),
        (Regression(), {"bias": 1.0}, Estimate(-3.0, -4.0, -0.9), "passed"),
        (Regression(), {"bias": 1.0}, Estimate(3.0, 1.1, 4.0), "failed"),
        (Count(), {}, Estimate(0.0, -0.1, 0.1), "open"),
        (Regression(aim=0.9), {"below": 0.02}, Estimate(0.85, 0.82, 0.879), "failed"),
        (Regression(aim=0.9), {"below": 0.02}, Estimate(0.89, 0.86, 0.93), "passed"),
    ],
)
def test_numbers_are_held_to_what_they_state(task, bound, error, outcome):
    gates = replace(GATES, calibration_error=None, **bound)
    assert calibration_gate(task, error, gates).outcome == outcome


def test_a_bound_of_another_task_is_refused():
    with pytest.raises(ModelError, match="expected bias of a regression; got calibration_error; remove it"):
        calibration_gate(Regression(), Estimate(0.0, 0.0, 0.0), GATES)


@pytest.mark.parametrize("bad_days", [False, True])
def test_twenty_equal_challengers_together_seldom_pass(bad_days):
    """Families of 20 that differ from the champion by noise alone on the same 60 days, also by few days that are bad."""
    promoted = {True: 0, False: 0}
    for family in range(150):
        random = np.random.default_rng(family)
        for spending in promoted:
            passed = False
            for look in range(1, 21):
                of_day = (random.exponential(size=60) - 1) if bad_days else random.normal(size=60)
                change = Resampled(of_day.mean(), np.empty(0), (of_day.sum() - of_day) / 59, np.empty((0, 60)))
                passed |= change.chance_of_no_fall() < spent(0.03, look if spending else 1)
            promoted[spending] += passed
    assert promoted[True] <= 0.05 * 150, promoted
    assert promoted[False] >= 0.15 * 150, "without the ledger a quarter of the families get one through"


def test_a_model_judged_on_what_it_was_fitted_on_is_kept_out(made, plain):
    judged = judge(
        plain, made("seen", seed=1, names=FEATURES.names, until="2020-W12"), GATES, environment="prod", proofs=PROOFS
    )
    assert outcomes(judged)["unseen"] == "failed"
    assert judged.verdict.decision == "keep"


def test_proofs_that_fail_or_are_missing_decide(full, plain):
    for outcome, decision in (("failed", "keep"), ("open", "inconclusive")):
        proofs = [GateResult("skew", outcome, "3 mismatches"), PROOFS[0]]
        assert judge(plain, full, GATES, environment="prod", proofs=proofs).verdict.decision == decision


def test_a_champion_of_earlier_months_is_asked_about_the_later_ones(full, plain):
    earlier = replace(plain.evaluation, rows=plain.evaluation.rows.iloc[:1000])
    veteran = replace(plain, evaluation=earlier)
    judged = judge(veteran, full, GATES, environment="prod", proofs=PROOFS)
    assert judged.verdict == judge(plain, full, GATES, environment="prod", proofs=PROOFS).verdict
    stranger = replace(plain, evaluation=replace(earlier, facts=replace(earlier.facts, features="others")))
    judged = judge(stranger, full, GATES, environment="prod", proofs=PROOFS)
    assert len(judged.comparison.rows) == 1000
    assert outcomes(judged)["coverage"] == "open"


def test_the_reports_bias_is_what_fairlearn_says(full, plain):
    from fairlearn.metrics import MetricFrame, false_negative_rate, selection_rate

    judged = judge(plain, full, GATES, environment="prod", proofs=PROOFS)
    _, said, _ = report._bias(plain, full, judged, 100)
    rows = judged.comparison.rows
    rows = rows[rows.groupby("depot")["depot"].transform("size") >= 100]
    gaps = [
        MetricFrame(
            metrics=rate, y_true=rows["truth"] == 1, y_pred=rows[side] >= 0.25, sensitive_features=rows["depot"]
        ).difference()
        for rate in (selection_rate, false_negative_rate)
        for side in ("before", "after")
    ]
    assert said.splitlines()[2].startswith(
        " | ".join(["| depot", str(rows["depot"].nunique()), *(f"{gap:.1%}" for gap in gaps)]) + " | "
    )


def test_rows_of_one_side_alone_and_of_another_outcome_are_counted_apart(full, plain):
    rows = plain.evaluation.rows.iloc[100:].copy()
    rows.loc[rows.index[0], "truth"] = 1 - rows["truth"].iloc[0]
    other = replace(plain.evaluation, rows=rows)
    found = compare(other, full.evaluation, draws=50, seed=1, least_rows=100)
    assert (found.only_before, found.only_after, found.relabelled) == (0, 100, 1)
    assert len(found.rows) == len(full.evaluation.rows) - 101


def test_flips_are_by_each_models_own_threshold():
    rows = pd.DataFrame({"before": [0.2, 0.3, 0.6], "after": [0.4, 0.3, 0.1]})
    assert flips(rows, 0.25, 0.35).index.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (None, "got \\[\\]"),
        ({**vars(GATES), "draws": "many"}, "draws"),
        ({**vars(GATES), "drows": 1}, "drows"),
        ({**vars(GATES), "draws": 0}, "draws above 0"),
        ({**vars(GATES), "latency_ratio": float("nan")}, "latency_ratio above 0"),
        ({**vars(GATES), "replayed_rows": -3}, "replayed_rows above 0"),
    ],
)
def test_gates_that_do_not_fit_are_said(section, says):
    with pytest.raises(ModelError, match=says):
        Gates.from_section(section)


def test_probabilities_without_a_calibration_bound_leave_its_gate_open(full, plain):
    judged = judge(plain, full, replace(GATES, calibration_error=None), environment="prod", proofs=PROOFS)
    assert outcomes(judged)["calibration"] == "open"
    assert judged.verdict.decision == "inconclusive"
