"""What an evaluation says of a model: without a field, by group, and against what is split by time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ringbound.errors import ModelError, ProblemError, RecordError
from ringbound.evaluation.ablation import evaluate_without
from ringbound.evaluation.answers import read_evaluation, write_evaluation
from ringbound.evaluation.calibration import calibration_check
from ringbound.evaluation.decisions import decision_table
from ringbound.evaluation.ladder import evaluate_ladder
from ringbound.evaluation.months import MonthTable, judged_months
from ringbound.evaluation.slices import BiasTable, bias_table, slices_of
from ringbound.evaluation.unlabelled import unlabelled_table
from ringbound.models.calibration import Calibration
from ringbound.models.rung import Rung
from ringbound.problem.metrics import auc
from ringbound.problem.numbers import Regression
from ringbound.testing import examples
from ringbound.testing.parcels import PROBLEM

CANDIDATES = [examples.LINEAR, examples.TREES]


def test_without_a_field_both_models_are_as_they_were_fitted():
    """A calibration of the full model would be counted as the field's worth."""
    bundle = examples.bundle()
    crooked = replace(bundle, full=Rung(bundle.full.encoder, bundle.full.model, Calibration(0.2, 0.0)))
    result = evaluate_ladder(crooked, examples.later(), draws=20, seed=1)
    without = evaluate_without(result, examples.past(), CANDIDATES, field="courier", draws=20, seed=1)
    plain = evaluate_ladder(
        replace(bundle, full=Rung(bundle.full.encoder, bundle.full.model)), examples.later(), draws=20, seed=1
    )
    assert without.full == plain.estimates["full"] != result.estimates["full"]


@pytest.mark.parametrize(
    ("field", "candidates", "says"), [("colour", CANDIDATES, "got 'colour'"), ("courier", [], "expected the candidate")]
)
def test_without_what_is_not_there_is_refused(field, candidates, says):
    with pytest.raises(ModelError, match=says):
        evaluate_without(examples.evaluation(), examples.past(), candidates, field=field, draws=20, seed=1)


def gaps(measure: str, **by_group: float) -> BiasTable:
    return BiasTable(pd.DataFrame({"group": list(by_group), "gap": list(by_group.values())}), measure)


def test_the_largest_error_is_either_way_and_the_most_missed_is_one_way():
    assert gaps("mean_error", a=0.1, b=-9.0, c=0.2).largest(1)["group"].item() == "b"
    assert gaps("false_negative_rate", a=0.1, b=-9.0, c=0.2).largest(1)["group"].item() == "c"
    assert gaps("false_negative_rate", a=float("nan"), b=0.1).largest(2)["group"].tolist() == ["b"]


def test_a_group_without_a_yes_has_none_to_miss():
    result = examples.evaluation()
    y = result.rows.y
    by = pd.DataFrame({"depot": np.where((y == 0) & (np.arange(len(y)) % 2 == 0), "quiet", "busy")})
    table = bias_table(result, by, least_rows=10).frame.set_index("group")
    assert np.isnan(table.loc["quiet", "gap"])
    assert np.isfinite(table.loc["busy", "gap"])


def stating(p: np.ndarray, y: np.ndarray):
    """The evaluation with these answers and outcomes."""
    result = examples.evaluation()
    table = result.rows.table.assign(late=y)
    return replace(result, rows=replace(result.rows, table=table), answers={**result.answers, "full": p})


def test_the_calibration_line_is_that_of_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    y, p = examples.later().y, examples.evaluation().answers["full"]
    odds = np.log(p / (1 - p))[:, None]
    line = LogisticRegression(C=np.inf, tol=1e-10).fit(odds, y)
    found = calibration_check(examples.evaluation())
    assert found.slope.value == pytest.approx(line.coef_[0, 0], rel=1e-4)
    assert found.slope.low < found.slope.value < found.slope.high
    assert found.parts["brier"] == pytest.approx(((p - y) ** 2).mean())


def test_answers_that_are_too_sure_or_too_high_are_said_to_be():
    random = np.random.default_rng(1)
    p = random.random(len(examples.later()))
    y = (random.random(len(p)) < p).astype(float)
    assert "neither" in calibration_check(stating(p, y)).caption
    sure = p**3 / (p**3 + (1 - p) ** 3)
    assert "too sure" in calibration_check(stating(sure, y)).caption
    assert "too high" in calibration_check(stating(np.sqrt(p), y)).caption


def test_a_calibration_of_one_kind_of_outcome_is_refused():
    p = examples.evaluation().answers["full"]
    with pytest.raises(ModelError, match="expected outcomes of both kinds"):
        calibration_check(stating(p, np.zeros(len(p))))


def test_a_calibration_of_values_is_refused():
    result = examples.evaluation()
    facts = result.bundle.facts
    values = replace(facts, model=replace(facts.model, task=Regression().to_json()))
    bundle = replace(result.bundle, facts=values)
    with pytest.raises(ModelError, match="expected answers that are probabilities"):
        calibration_check(replace(result, bundle=bundle))


def test_what_decisions_cost_is_counted_and_the_saving_is_of_the_same_rows():
    result = examples.evaluation()
    y, called = result.rows.y, result.answers["full"] >= 0.25
    table = decision_table(result, {"coin": np.full(len(y), 0.2)}, draws=100, seed=1)
    cost = 100 * (3 * ((y == 1) & ~called).sum() + ((y == 0) & called).sum()) / len(y)
    assert table.costs["model"].value == pytest.approx(cost)
    assert table.saved["never"].value == pytest.approx(300 * y.mean() - cost)
    assert table.saved["coin"] == table.saved["never"], "who never says yes costs what never costs"
    at = table.benefit.index[20]
    says = result.answers["full"] >= at
    benefit = (says & (y == 1)).mean() - (says & (y == 0)).mean() * at / (1 - at)
    assert table.benefit["model"].iloc[20] == pytest.approx(benefit)


def test_months_are_answered_by_models_fitted_before_them():
    """The judged months' answers are those of their folds, so their loss is the search's."""
    ladder = examples.ladder()
    table = judged_months(ladder, draws=50, seed=1).frame
    best = ladder.full.trials.sort_values("loss").iloc[0]
    assert table["loss"].mean() == pytest.approx(best["loss"])
    assert (table["low"] < table["gain"]).all()
    with pytest.raises(RecordError, match="months judged"):
        MonthTable.read(Path("nowhere.csv"))


def test_rows_without_an_outcome_are_answered_and_counted():
    table = unlabelled_table(examples.evaluation(), examples.training(), "test").frame
    split = examples.training().table
    split = split[split["split"] == "test"]
    assert table["rows"].tolist() == [split["late"].notna().sum(), split["late"].isna().sum()]
    assert table["share"].sum() == pytest.approx(1)


def test_asked_without_a_field_the_model_answers_what_it_would_then():
    rows, bundle = examples.later(), examples.bundle()
    without = evaluate_without(examples.evaluation(), examples.past(), CANDIDATES, field="courier", draws=20, seed=1)
    plain = Rung(bundle.full.encoder, bundle.full.model)
    asked = plain.answer(examples.town().features(rows.requests.assign(courier=None), examples.events()))
    assert without.asked["log_loss"].value == pytest.approx(bundle.task.losses(rows.y, asked).mean())


def test_time_is_the_month_and_never_the_block(tmp_path):
    """Rows may be resampled by persons, whose names sort by nothing."""
    later, result = examples.later(), examples.evaluation()
    persons = replace(
        later, problem=replace(later.problem, block="person"), table=later.table.assign(person=later.table["depot"])
    )
    write_evaluation(tmp_path, persons, result.answers, later.table[["weight"]].astype(str), examples.bundle().model)
    evaluation = read_evaluation(tmp_path)
    assert set(evaluation.rows["block"]) == set(later.table["depot"])
    assert set(evaluation.rows["period"]) == set(later.table["month"])
    assert evaluation.facts.learnt_until < min(evaluation.rows["period"])
    assert evaluation.facts.period == (min(later.table["month"]), max(later.table["month"]))


@pytest.mark.parametrize(
    ("slices", "says"),
    [
        (lambda rows, past: rows.sort_values("late")[["depot"]], "with the index of its"),
        (lambda rows, past: rows[["depot"]].iloc[1:], "with the index of its"),
        (lambda rows, past: None, "got NoneType"),
        (lambda rows, past: rows[["depot"]].where(rows["depot"] != "north"), "expected a text for every row"),
        (lambda rows, past: rows[["depot", "depot"]], "columns of different names"),
        (lambda rows, past: rows[["depot"]].assign(_y="x"), "without _ at their beginning"),
    ],
)
def test_slices_that_would_mix_rows_up_are_refused(slices, says):
    later = examples.later()
    with pytest.raises(ProblemError, match=f"problem late-parcels: slices: .*{says}"):
        slices_of(replace(later, problem=replace(later.problem, slices=slices)), examples.past())


def test_slices_cannot_change_what_came_out():
    def meddling(rows, past):
        rows["late"] = 0.0
        return rows[["depot"]]

    later = examples.later()
    before = later.table["late"].copy()
    slices_of(replace(later, problem=replace(later.problem, slices=meddling)), examples.past())
    assert later.table["late"].equals(before)


def test_a_declared_baseline_is_what_is_beaten_everywhere(tmp_path):
    name = "depot_late_rate_3h"
    declared = replace(PROBLEM, baseline=name)
    rows = replace(examples.later(), problem=declared)
    result = evaluate_ladder(examples.bundle(), rows, draws=20, seed=1)
    value = np.asarray(rows.features[name], float)
    guessed = np.where(np.isnan(value), result.answers["default"], value)
    assert np.isnan(value).any()
    assert np.array_equal(result.below, guessed)
    assert (result.baseline, result.metrics().against) == (name, name)
    assert name in result.frame
    assert result.metrics().baseline["auc"].value == auc(rows.y, guessed, np.ones(len(rows)))
    write_evaluation(tmp_path, rows, result.answers, slices_of(rows, examples.past()), examples.bundle().model)
    before = read_evaluation(tmp_path).of_baseline()
    assert before.facts.version.startswith(f"{name} of ")
    assert np.array_equal(before.rows["full"], guessed)


def test_a_baseline_that_answers_what_no_answer_is_is_refused():
    rows = replace(examples.later(), problem=replace(PROBLEM, baseline="courier_late_last_24h"))
    with pytest.raises(
        ProblemError, match="baseline courier_late_last_24h: expected values of at least 0 and at most 1"
    ):
        evaluate_ladder(examples.bundle(), rows, draws=20, seed=1)


def test_a_baseline_that_is_no_number_is_refused():
    with pytest.raises(ProblemError, match="baseline: expected 'prior' or a feature that is a number"):
        replace(PROBLEM, baseline="depot")
