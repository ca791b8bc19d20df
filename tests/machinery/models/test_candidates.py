"""One contract for every kind of model, for classification and regression."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringbound.models.candidates import Candidate, fit_linear, fit_trees, follow_trees
from ringbound.testing.candidates import SIZES, TASKS, check_candidate, outcomes, sample

TREES = {"learning_rate": 0.1, "iterations": 30, "leaves": 15, "min_leaf": 10, "penalty": 0.1}
CANDIDATES = [
    Candidate("linear", fit_linear, lambda trial: {"strength": trial.suggest_float("strength", 0.5, 2.0)}),
    Candidate("trees", fit_trees, lambda trial: TREES),
]


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_keeps_the_contract(candidate, task):
    check_candidate(candidate, task)


class Careless:
    """Answers each row by its place among the others."""

    def predict(self, X):
        return np.linspace(0.0, 1.0, len(X))


def test_a_candidate_that_breaks_the_contract_is_found():
    broken = Candidate("broken", lambda X, y, **_: Careless(), lambda trial: {})
    with pytest.raises(AssertionError):
        check_candidate(broken, TASKS["regression"])


def test_trees_answer_as_scikit_learn_does():
    from sklearn.ensemble import HistGradientBoostingClassifier

    X, truth = sample()
    y = (truth > 0).astype(float)
    mine = fit_trees(X, y, sizes=SIZES, task=TASKS["classification"], seed=1, **TREES)
    theirs = HistGradientBoostingClassifier(
        learning_rate=0.1, max_iter=30, max_leaf_nodes=15, min_samples_leaf=10, l2_regularization=0.1,
        categorical_features=[False, False, True], early_stopping=False, random_state=1,
    ).fit(X, y)  # fmt: skip
    later = np.vstack([sample(500, seed=3)[0], [[0.0, np.nan, np.nan]]])
    np.testing.assert_allclose(mine.predict(later), theirs.predict_proba(later)[:, 1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_trees_are_followed_as_they_would_be_fitted(task):
    X, truth = sample()
    later, later_truth = sample(1000, seed=3)
    y, later_y = (outcomes(task, t) for t in (truth, later_truth))
    arguments = {name: value for name, value in TREES.items() if name != "iterations"}
    losses = follow_trees(X, y, later, later_y, sizes=SIZES, task=task, seed=1, most=12, **arguments)
    assert len(losses) == 12
    for steps in (1, 5, 12):
        model = fit_trees(X, y, sizes=SIZES, task=task, seed=1, iterations=steps, **arguments)
        assert losses[steps - 1] == pytest.approx(task.losses(later_y, model.predict(later)).mean())
    eager = follow_trees(
        X, y, later, later_y, sizes=SIZES, task=task, seed=1, most=500, **arguments | {"learning_rate": 1.0}
    )
    assert len(eager) < 100, "it ends some steps after the least loss"
    assert len(eager) - int(np.argmin(eager)) > 20


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_trees_are_followed_also_where_a_column_has_no_value_yet(task):
    X, truth = sample()
    empty, y = np.where([False, True, True], np.nan, X), outcomes(task, truth)
    arguments = {name: value for name, value in TREES.items() if name != "iterations"}
    losses = follow_trees(empty, y, X, y, sizes=SIZES, task=task, seed=1, most=12, **arguments)
    model = fit_trees(empty, y, sizes=SIZES, task=task, seed=1, iterations=12, **arguments)
    assert losses[-1] == pytest.approx(task.losses(y, model.predict(X)).mean())


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=300), st.integers(0, 299))
def test_logistic_bits_do_not_depend_on_position(values, place):
    from ringbound.models.linear import LinearModel, Scale

    model = LinearModel([Scale(0, 0.0, 1.0)], [0.37, 0.0], -0.1, link="logistic")
    X = np.array(values)[:, None]
    at = place % len(values)
    assert model.predict(X)[at] == model.predict(X[at : at + 1])[0]
