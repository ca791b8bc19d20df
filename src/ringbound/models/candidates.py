"""The kinds of model a search may choose from: each fits with scikit-learn and gives a model that serves without it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import optuna
import treelite
from threadpoolctl import threadpool_limits

from ringbound.models.linear import LinearModel, design, learn_scales
from ringbound.models.rung import Model
from ringbound.models.trees import TreeModel
from ringbound.problem.task import Task

Cost = Literal["cheap", "costly"]


@dataclass(frozen=True)
class Candidate:
    """A named kind of model with its search space: `space(trial)` suggests the arguments of `fit`.

    `fit(X, y, sizes=…, task=…, seed=…, **arguments)` gets X (n, p) float64 with NaN for missing, categories as codes,
    y (n,), and the size of each column's vocabulary (0 for numbers). `cost` is the class of what an answer costs: the
    reduced model, which answers where the full one cannot or need not, is chosen among the cheap.
    """

    name: str
    fit: Callable[..., Model]
    space: Callable[[optuna.trial.BaseTrial], dict[str, Any]]
    cost: Cost = "costly"


def fit_linear(
    X: np.ndarray, y: np.ndarray, *, sizes: list[int], task: Task, seed: int, strength: float
) -> LinearModel:
    """Fit logistic regression, or ridge for regression, with L2 penalty 1 / `strength` on scaled columns and indicators.

    >>> from ringbound.problem.task import Regression
    >>> X = np.arange(100.0)[:, None]
    >>> model = fit_linear(X, 2 * X[:, 0], sizes=[0], task=Regression(), seed=1, strength=1000.0)
    >>> round(float(model.predict(np.array([[50.0]]))[0]), 1)
    100.0
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    scales = learn_scales(X, sizes)
    with threadpool_limits(1):
        if task.probabilities:
            fitted = LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(design(X, scales), y)
        else:
            fitted = Ridge(alpha=1.0 / strength, solver="sparse_cg", random_state=seed).fit(design(X, scales), y)
    weights, intercept = np.ravel(fitted.coef_).tolist(), float(np.ravel(fitted.intercept_)[0])
    return LinearModel(scales, weights, intercept, logistic=task.probabilities)


def fit_trees(
    X: np.ndarray,
    y: np.ndarray,
    *,
    sizes: list[int],
    task: Task,
    seed: int,
    learning_rate: float,
    iterations: int,
    leaves: int,
    min_leaf: int,
    penalty: float,
) -> TreeModel:
    """Fit histogram gradient boosting (scikit-learn) and convert it to a Treelite model.

    One thread: scikit-learn adds gradients up in one partial sum a thread, so the bits of a fit depend on their number.

    >>> from ringbound.problem.task import Regression
    >>> X = np.arange(100.0)[:, None]
    >>> few = {"learning_rate": 0.5, "iterations": 50, "leaves": 7, "min_leaf": 5, "penalty": 0.0}
    >>> model = fit_trees(X, 2 * X[:, 0], sizes=[0], task=Regression(), seed=1, **few)
    >>> abs(float(model.predict(np.array([[50.0]]))[0]) - 100) < 5
    True
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if task.probabilities else HistGradientBoostingRegressor
    model = kind(
        learning_rate=learning_rate,
        max_iter=iterations,
        max_leaf_nodes=leaves,
        min_samples_leaf=min_leaf,
        l2_regularization=penalty,
        categorical_features=[size > 0 for size in sizes],
        early_stopping=False,
        random_state=seed,
    )
    with threadpool_limits(1):
        model.fit(X, y)
    with np.errstate(invalid="ignore"):  # treelite casts the NaN in numeric columns' places for categories
        return TreeModel(treelite.sklearn.import_model(model), columns=X.shape[1])
