"""One contract for every kind of model, for classification and regression."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringbound.models.candidates import fit_linear, fit_trees

KINDS = {
    "linear": (fit_linear, {"strength": 1.0}),
    "trees": (fit_trees, {"learning_rate": 0.1, "iterations": 30, "leaves": 15, "min_leaf": 10, "penalty": 0.1}),
}
SIZES = [0, 0, 4]


def data(n: int = 2000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return two numbers (the second often missing) and a category with 4 codes, and a noisy linear truth."""
    random = np.random.default_rng(seed)
    X = np.column_stack([random.normal(size=n), random.normal(size=n), random.integers(0, 4, n).astype(float)])
    truth = X[:, 0] + 2.0 * (X[:, 2] == 3) - 1.0
    X[random.random(n) < 0.3, 1] = np.nan
    return X, truth + random.normal(scale=0.5, size=n)


@pytest.fixture(scope="module", params=[(kind, task) for kind in KINDS for task in ("classification", "regression")])
def fitted(request):
    kind, task = request.param
    X, truth = data()
    y = (truth > 0).astype(float) if task == "classification" else truth
    fit, arguments = KINDS[kind]
    return kind, task, fit(X, y, sizes=SIZES, task=task, seed=1, **arguments)


def test_learns_what_there_is_to_learn(fitted):
    _, task, model = fitted
    X, truth = data(seed=1)
    answers = model.predict(X)
    if task == "classification":
        assert ((answers > 0.5) == (truth > 0)).mean() > 0.8
        assert ((answers >= 0) & (answers <= 1)).all()
    else:
        assert np.corrcoef(answers, truth)[0, 1] > 0.85


def test_a_rows_answer_does_not_depend_on_its_company(fitted):
    _, _, model = fitted
    X, _ = data(1500, seed=2)
    whole = model.predict(X)
    assert np.array_equal(whole, np.concatenate([model.predict(row[None]) for row in X]))
    for start, stop in ((0, 7), (3, 260), (499, 1500)):
        assert np.array_equal(whole[start:stop], model.predict(X[start:stop]))
    assert np.array_equal(whole[::3], model.predict(X[::3]))


def test_unseen_category_is_missing(fitted):
    _, _, model = fitted
    X = np.array([[0.5, 0.1, np.nan], [0.5, np.nan, np.nan]])
    assert np.isfinite(model.predict(X)).all()


def test_no_rows_give_no_answers(fitted):
    assert fitted[2].predict(np.empty((0, 3))).shape == (0,)


def test_another_number_of_columns_is_refused(fitted):
    from ringbound.errors import BundleError

    with pytest.raises(BundleError, match="expected 3 columns; got 2"):
        fitted[2].predict(np.zeros((1, 2)))


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_bits(kind):
    X, truth = data()
    fit, arguments = KINDS[kind]
    first, second = (
        fit(X, (truth > 0).astype(float), sizes=SIZES, task="classification", seed=1, **arguments) for _ in range(2)
    )
    assert np.array_equal(first.predict(X), second.predict(X))


def test_trees_answer_as_scikit_learn_does():
    from sklearn.ensemble import HistGradientBoostingClassifier

    X, truth = data()
    y = (truth > 0).astype(float)
    mine = fit_trees(X, y, sizes=SIZES, task="classification", seed=1, **KINDS["trees"][1])
    theirs = HistGradientBoostingClassifier(
        learning_rate=0.1, max_iter=30, max_leaf_nodes=15, min_samples_leaf=10, l2_regularization=0.1,
        categorical_features=[False, False, True], early_stopping=False, random_state=1,
    ).fit(X, y)  # fmt: skip
    later = np.vstack([data(500, seed=3)[0], [[0.0, np.nan, np.nan]]])
    np.testing.assert_allclose(mine.predict(later), theirs.predict_proba(later)[:, 1], rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=300), st.integers(0, 299))
def test_logistic_bits_do_not_depend_on_position(values, place):
    from ringbound.models.linear import LinearModel, Scale

    model = LinearModel([Scale(0, 0.0, 1.0)], [0.37, 0.0], -0.1, logistic=True)
    X = np.array(values)[:, None]
    at = place % len(values)
    assert model.predict(X)[at] == model.predict(X[at : at + 1])[0]
