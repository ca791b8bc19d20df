"""Tasks whose answer is a number: their losses and metrics are those that scikit-learn has, and constants lose least."""

import numpy as np
import pytest
from sklearn import metrics as theirs

from ringbound.errors import NotAValueError, ProblemError
from ringbound.evaluation.uncertainty import paired
from ringbound.problem.numbers import Count, Regression
from ringbound.problem.tasks import task_from_json
from ringbound.serving.outcomes import outcome_model

DICE = np.random.default_rng(5)
Y = DICE.poisson(3.0, 400).astype(float)
P = DICE.gamma(2.0, 1.5, 400)
W = DICE.integers(0, 4, 400).astype(float)
TASKS = [
    Regression(aim=0.5),
    Regression(),
    Regression(aim="median"),
    Regression(aim=0.9),
    Regression(relative=True),
    Regression(least=0.0),
    Count(),
]


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_the_loss_that_decides_is_the_mean_of_the_losses_of_rows(task):
    y = Y + 1 if isinstance(task, Regression) and task.relative else Y
    assert task.metrics[task.loss](y, P, W) == pytest.approx(np.average(task.losses(y, P), weights=W))
    name, best = task.stated
    assert name in task.metrics
    assert {*task.headline, task.ranking} <= task.metrics.keys()
    assert 0 <= best < 1


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_no_constant_loses_less_than_the_tasks_own(task):
    best = task.losses(Y, np.full(len(Y), task.constant(Y))).mean()
    others = [task.losses(Y, np.full(len(Y), other)).mean() for other in np.linspace(0.1, 9, 90)]
    assert best <= min(others) + 1e-12


def test_metrics_are_those_of_scikit_learn():
    found = {name: metric(Y, P, W) for name, metric in Count().metrics.items()}
    assert found["poisson_deviance"] == pytest.approx(theirs.mean_poisson_deviance(Y, P, sample_weight=W))
    assert found["mae"] == pytest.approx(theirs.mean_absolute_error(Y, P, sample_weight=W))
    assert found["rmse"] == pytest.approx(theirs.root_mean_squared_error(Y, P, sample_weight=W))
    assert found["r2"] == pytest.approx(theirs.r2_score(Y, P, sample_weight=W))
    assert found["bias"] == pytest.approx(np.average(P - Y, weights=W))
    quantile = Regression(aim=0.9).metrics
    assert quantile["pinball"](Y, P, W) == pytest.approx(theirs.mean_pinball_loss(Y, P, sample_weight=W, alpha=0.9))
    relative = Regression(relative=True).metrics
    assert relative["mape"](Y + 1, P, W) == pytest.approx(
        theirs.mean_absolute_percentage_error(Y + 1, P, sample_weight=W)
    )
    assert "mape" not in Regression().metrics


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_a_task_survives_json(task):
    assert task_from_json(task.to_json()) == task


@pytest.mark.parametrize(
    "given",
    [{"least": 1.0}, {"least": False}, {"least": 0}, {"aim": "median", "least": 0.0}, {"aim": 0.9, "least": 0.0}],
)
def test_only_a_mean_has_a_least_and_that_is_nothing(given):
    with pytest.raises(ProblemError, match=r"regression: expected least to be 0\.0, of a mean, or None"):
        Regression(**given)


def test_what_is_never_negative_is_judged_by_the_spread_that_grows_with_it():
    task = Regression(least=0.0)
    assert (task.link, task.loss, task.headline) == ("log", "poisson_deviance", ("poisson_deviance", "mae"))
    assert task.asks != Regression().asks
    assert task.admits(np.array([0.0, -1.0, 2.5, np.inf])).tolist() == [True, False, True, False]
    with pytest.raises(ProblemError, match=r"label: expected numbers of at least 0; got -1; declare least=None"):
        task.check_labels(np.array([-1.0, 2.0]))


def test_a_task_of_another_version_is_one_line():
    with pytest.raises(ProblemError, match=r"task: expected one of .*, regression, count; got 'survival'"):
        task_from_json({"name": "survival"})
    with pytest.raises(ProblemError, match="expected 'aim' of a regression; make the model anew"):
        task_from_json({"name": "regression", "unit": ""})


@pytest.mark.parametrize("labels", [[-1.0, 2.0], [0.5, 1.0], [3.0, 3.0], [1.0, np.nan]])
def test_what_cannot_be_counted_is_refused(labels):
    with pytest.raises(ProblemError, match="label: expected whole numbers of at least 0 that differ"):
        Count().check_labels(np.array(labels))


@pytest.mark.parametrize("wrong", [{"aim": "mode"}, {"aim": 1.0}, {"aim": 0}, {"interval": 1.0}, {"interval": -0.5}])
def test_what_is_no_aim_and_no_share_is_refused(wrong):
    with pytest.raises(ProblemError, match="expected"):
        Regression(**wrong)


def test_a_right_quantile_is_held_to_be_right_where_outcomes_are_skewed_or_equal():
    n = 20_000
    skewed = np.exp(DICE.normal(size=n))
    median = Regression(aim="median")
    name, best = median.stated
    assert median.metrics[name](skewed, np.ones(n), np.ones(n)) == pytest.approx(best, abs=0.02)
    mostly_none = np.where(DICE.random(n) < 0.97, 0.0, 5.0)
    ninth = Regression(aim=0.9)
    assert ninth.metrics["below"](mostly_none, np.zeros(n), np.ones(n)) == 0.9, "no share is right alone"
    assert ninth.metrics["below"](mostly_none, np.full(n, -1.0), np.ones(n)) == 0
    assert ninth.metrics["below"](mostly_none, np.full(n, 6.0), np.ones(n)) == 1


def test_a_share_below_is_better_the_nearer_it_is_to_its_level():
    y, task = DICE.normal(size=4000), Regression(aim=0.9)
    right, low, higher = (np.full(4000, np.quantile(y, level)) for level in (0.9, 0.2, 0.85))
    options = {"draws": 100, "seed": 1}
    found = lambda one, other: paired(y, one, other, np.arange(4000) // 40, task.metrics, **options)["below"].judgement  # noqa: E731
    assert (found(right, low), found(low, right), found(low, higher)) == ("worse", "better", "better")


def test_errors_in_percent_take_outcomes_above_0():
    with pytest.raises(ProblemError, match="expected numbers above 0, for errors in percent; got 0"):
        Regression(relative=True).check_labels(np.array([0.0, 1.0]))


def test_an_outcome_below_the_least_is_refused():
    told = {"prediction_id": "a", "time": "2025-06-01T12:00:00Z"}
    model = outcome_model(Count())
    assert model.model_validate(told | {"outcome": 0}).outcome == 0
    with pytest.raises((ValueError, NotAValueError), match="a whole number of at least 0; got -1"):
        model.model_validate(told | {"outcome": -1})
    with pytest.raises((ValueError, NotAValueError), match=r"a whole number of at least 0; got 2\.5"):
        model.model_validate(told | {"outcome": 2.5})
    with pytest.raises((ValueError, NotAValueError), match="a number above 0; got 0"):
        outcome_model(Regression(relative=True)).model_validate(told | {"outcome": 0})
