"""What answers below the full model, calibration, importance, and rolling-origin folds."""

import json

import numpy as np
import pytest

from ringbound.errors import ModelError
from ringbound.evaluation.importance import permutation_importance
from ringbound.features.columns import Category
from ringbound.models.calibration import Calibration, learn_calibration
from ringbound.models.prior import PriorTable, learn_prior
from ringbound.models.validation import rolling_origin
from ringbound.problem.metrics import calibration_error, log_losses, squared_errors
from ringbound.problem.numbers import Regression


def test_calibration_mends_answers_that_are_too_sure():
    random = np.random.default_rng(0)
    truth = random.random(20_000)
    y = (random.random(20_000) < truth).astype(float)
    sure = truth**3 / (truth**3 + (1 - truth) ** 3)
    learnt = learn_calibration(sure[:10_000], y[:10_000])
    before, after = sure[10_000:], learnt.apply(sure[10_000:])
    w = np.ones(10_000)
    assert calibration_error(y[10_000:], after, w) < 0.02 < calibration_error(y[10_000:], before, w)
    assert (np.argsort(after) == np.argsort(before)).all()


def test_calibration_of_answers_that_run_backwards_is_refused():
    with pytest.raises(ModelError, match="answers that rise with the outcome"):
        learn_calibration(np.array([0.9, 0.8, 0.2, 0.1]), np.array([0.0, 0.0, 1.0, 1.0]))


def test_certain_answers_stay_probabilities():
    assert Calibration(5.0, 3.0).apply(np.array([0.0, 1.0])).tolist() == pytest.approx([0.0, 1.0])


def test_prior_is_drawn_to_the_mean_where_rows_are_few_and_knows_no_stranger():
    features = {"firm": Category.from_texts(["A"] * 1000 + ["B"]), "minute": np.array([30.0] * 1001)}
    y = np.array([1.0] * 500 + [0.0] * 501)
    table = learn_prior(features, y, {"firm": None, "minute": 60.0}, Regression())
    strangers = {"firm": Category.from_texts(["A", "B", "C", None, "A"]), "minute": np.array([59.0, 0, 30, 30, np.nan])}
    a, b, c, missing, no_time = table.predict(strangers)
    assert a == pytest.approx(0.5, abs=0.001)
    assert 0 < b < c == missing == no_time == table.default
    kept = json.loads(json.dumps(table.to_json(), sort_keys=True))
    assert np.array_equal(PriorTable.from_json(kept).predict(strangers), [a, b, c, missing, no_time])
    other = learn_prior(features, y, {"minute": 60.0, "firm": None}, Regression())  # in another order than files have
    kept = json.loads(json.dumps(other.to_json(), sort_keys=True))
    assert np.array_equal(PriorTable.from_json(kept).predict(strangers), [a, b, c, missing, no_time])


def test_importance_finds_what_the_model_uses():
    random = np.random.default_rng(0)
    X = random.normal(size=(2000, 3))
    found = permutation_importance(
        lambda rows: 2 * rows[:, 1] + rows[:, 0],
        X,
        2 * X[:, 1] + X[:, 0],
        squared_errors,
        ["a", "b", "c"],
        rounds=3,
        seed=1,
    )
    assert found["feature"].tolist() == ["b", "a", "c"]
    assert found["rise"].iloc[2] == 0
    assert found["rise"].iloc[0] == pytest.approx(8, rel=0.1)  # twice the variance of what the column adds


def test_every_fold_is_fitted_on_what_is_before_it():
    periods = np.array(["2013-01", "2013-03", "2013-02", "2013-01", "2013-03"])
    folds = rolling_origin(periods, ["2013-03", "2013-02"])
    assert [(f.name, f.past.tolist(), f.later.tolist()) for f in folds] == [
        ("2013-02", [0, 3], [2]), ("2013-03", [0, 2, 3], [1, 4]),
    ]  # fmt: skip
    with pytest.raises(ModelError, match="rows before and in period 2013-01"):
        rolling_origin(periods, ["2013-01"])


def test_losses_by_row_have_the_means_that_the_metrics_have():
    y, p = np.array([1.0, 0.0, 1.0]), np.array([0.9, 0.2, 0.0])
    assert np.isfinite(log_losses(y, p)).all()
    assert log_losses(y, p)[:2] == pytest.approx([-np.log(0.9), -np.log(0.8)])
