"""Explanations held against Shapley values by their definition: every subset of columns, on small trees."""

from itertools import combinations
from math import factorial

import numpy as np
import pytest
import treelite
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)

from ringbound.models.candidates import fit_linear, fit_trees
from ringbound.models.explain import explainer_of
from ringbound.models.linear import LinearModel, Scale
from ringbound.models.trees import TreeModel
from ringbound.testing.candidates import SIZES, TASKS, sample

RNG = np.random.default_rng(3)
N, COLUMNS = 400, 5


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return numbers, a category in the last column, and missing values in three; and a label that needs all of them."""
    X = RNG.normal(size=(N, COLUMNS))
    X[:, -1] = RNG.integers(0, 6, N)
    gone = RNG.random((N, COLUMNS)) < [0.2, 0.0, 0.1, 0.0, 0.1]
    signal = 2.0 * gone[:, 0] + X[:, 0] * X[:, 1] + np.where(X[:, 2] > 0, X[:, 3], 0) + np.isin(X[:, -1], [1, 4])
    X[gone] = np.nan
    return X, signal + RNG.normal(scale=0.3, size=N)


X, Y = data()
FILLED = np.nan_to_num(X, nan=-9.0)


def boosted(kind, y):
    return kind(max_iter=6, max_leaf_nodes=9, min_samples_leaf=5, categorical_features=[COLUMNS - 1]).fit(X, y)


MODELS = {
    "classifier": lambda: (boosted(HistGradientBoostingClassifier, Y > 0), X),
    "regressor": lambda: (boosted(HistGradientBoostingRegressor, Y), X),
    "forest": lambda: (RandomForestClassifier(4, max_depth=4, random_state=1).fit(FILLED, Y > 0), FILLED),
    "trees": lambda: (ExtraTreesRegressor(3, max_depth=8, random_state=1).fit(FILLED, Y), FILLED),
    "missing": lambda: (boosted(HistGradientBoostingRegressor, 3.0 * np.isnan(X[:, 0]) + 0.01 * Y), X),
    "stump": lambda: (HistGradientBoostingRegressor(max_iter=1, max_leaf_nodes=2).fit(X, Y), X),
    "constant": lambda: (HistGradientBoostingRegressor(max_iter=2).fit(X, np.ones(N)), X),
}


@pytest.fixture(params=MODELS)
def case(request):
    fitted, rows = MODELS[request.param]()
    return TreeModel(treelite.sklearn.import_model(fitted), COLUMNS), rows


def expected(tree: dict, node: int, x: np.ndarray, known: set[int]) -> float:
    """Return a tree's value for a row of which some columns are known, by the shares of learnt rows for the others."""
    here = tree[node]
    if "leaf_value" in here:
        return float(np.ravel(here["leaf_value"])[-1])
    left, right = here["left_child"], here["right_child"]
    column = here["split_feature_id"]
    if column not in known:
        shares = [tree[child]["data_count"] / here["data_count"] for child in (left, right)]
        return sum(s * expected(tree, c, x, known) for s, c in zip(shares, (left, right), strict=True))
    value = x[column]
    if np.isnan(value):
        goes_left = here["default_left"]
    elif here["node_type"] == "categorical_test_node":
        goes_left = (int(value) in here["category_list"]) != here["category_list_right_child"]
    else:
        goes_left = value < here["threshold"] if here["comparison_op"] == "<" else value <= here["threshold"]
    return expected(tree, left if goes_left else right, x, known)


def nodes_of(model: treelite.Model, number: int) -> dict[int, dict]:
    """Return a tree's nodes by Treelite's own fields."""
    field = model.get_tree_accessor(number).get_field
    nodes = {}
    for at, kind in enumerate(field("node_type").tolist()):
        first, end = field("leaf_vector_begin")[at], field("leaf_vector_end")[at]
        value = field("leaf_vector")[first:end] if end > first else field("leaf_value")[at]
        codes = field("category_list")[field("category_list_begin")[at] : field("category_list_end")[at]].tolist()
        nodes[at] = {"data_count": int(field("data_count")[at])} | (
            {"leaf_value": value}
            if kind == 0
            else {
                "left_child": int(field("cleft")[at]),
                "right_child": int(field("cright")[at]),
                "split_feature_id": int(field("split_index")[at]),
                "default_left": bool(field("default_left")[at]),
                "node_type": {1: "numerical_test_node", 2: "categorical_test_node"}[kind],
                "category_list": codes,
                "category_list_right_child": bool(field("category_list_right_child")[at]),
                "threshold": float(field("threshold")[at]),
                "comparison_op": {2: "<", 3: "<="}.get(int(field("cmp")[at])),
            }
        )
    return nodes


def by_definition(model: TreeModel, x: np.ndarray) -> tuple[np.ndarray, float]:
    header = model.model.get_header_accessor().get_field
    share = 1 / model.model.num_tree if header("average_tree_output")[0] else 1
    trees = [nodes_of(model.model, number) for number in range(model.model.num_tree)]
    of = lambda known: sum(share * expected(tree, 0, x, known) for tree in trees)  # noqa: E731
    effects = np.zeros(COLUMNS)
    for j in range(COLUMNS):
        others = [k for k in range(COLUMNS) if k != j]
        for size in range(COLUMNS):
            weight = factorial(size) * factorial(COLUMNS - size - 1) / factorial(COLUMNS)
            effects[j] += weight * sum(of({*some, j}) - of({*some}) for some in combinations(others, size))
    return effects, of(set()) + header("base_scores")[-1]


def test_effects_are_shapley_values_by_definition(case):
    model, rows = case
    rows = rows[:12].copy()
    rows[:2, -1] = 50.0  # a category that no split has seen
    found = explainer_of(model)(rows)
    for x, effects in zip(rows, found.values, strict=True):
        wanted, base = by_definition(model, x)
        np.testing.assert_allclose(effects, wanted, atol=1e-9)
        assert found.base == pytest.approx(base, abs=1e-9)


def test_missing_values_are_told_from_all_others_by_an_infinite_threshold():
    """As scikit-learn writes it; what Treelite writes as JSON has no text for it."""
    model = treelite.sklearn.import_model(MODELS["missing"]()[0])
    thresholds = [model.get_tree_accessor(n).get_field("threshold") for n in range(model.num_tree)]
    assert np.isinf(np.concatenate(thresholds)).any()


def test_effects_add_up_to_the_margin(case, request):
    model, rows = case
    answers, found = model.predict(rows), explainer_of(model)(rows)
    margin = np.log(answers / (1 - answers)) if "classifier" in request.node.name else answers
    np.testing.assert_allclose(found.margin, margin, atol=1e-6)


def test_a_row_is_explained_alike_alone_and_among_others(case):
    model, rows = case
    explain = explainer_of(model)
    together = explain(rows).values
    np.testing.assert_allclose([explain(row[None]).values[0] for row in rows[:20]], together[:20], atol=1e-12)
    assert explain(rows[:0]).values.shape == (0, COLUMNS)


def test_the_terms_of_a_linear_model_add_up_to_its_margin():
    model = LinearModel([Scale(0, 1.0, 2.0), Scale(3)], [3.0, -1.0, 0.1, 0.2, 0.3, 0.4], 0.5, link="logistic")
    rows = np.array([[5.0, 2.0], [np.nan, 0.0], [1.0, np.nan]])
    found = explainer_of(model)(rows)
    np.testing.assert_allclose(found.values, [[6.0, 0.3], [-1.0, 0.1], [0.0, 0.4]])
    np.testing.assert_allclose(1 / (1 + np.exp(-found.margin)), model.predict(rows))


@pytest.mark.parametrize(
    ("fit", "arguments"),
    [
        (fit_trees, {"learning_rate": 0.2, "iterations": 8, "leaves": 7, "min_leaf": 20, "penalty": 0.0}),
        (fit_linear, {"strength": 1.0}),
    ],
)
def test_of_classes_the_likeliest_is_explained_above_the_mean_of_all(fit, arguments):
    """A class is rare enough that its margins do not add up to nothing with the others'."""
    X, truth = sample(600)
    y = np.digitize(truth, [-2.5, 0.5]).astype(float)
    model = fit(X, y, sizes=SIZES, task=TASKS["multiclass"], seed=1, **arguments)
    later = sample(200, seed=2)[0]
    found, logs = explainer_of(model)(later), np.log(model.predict(later))
    assert found.margin == pytest.approx(logs.max(axis=1) - logs.mean(axis=1), abs=1e-6)
    assert found.values.shape == later.shape
