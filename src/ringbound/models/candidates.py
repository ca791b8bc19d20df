"""The kinds of model a search may choose from: each fits with scikit-learn and gives a model that serves without it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import optuna
import treelite
from threadpoolctl import threadpool_limits

from ringbound.models.linear import LinearModel, SeveralLinear, design, learn_scales
from ringbound.models.rung import Model
from ringbound.models.trees import TreeModel
from ringbound.problem.task import Task

Cost = Literal["cheap", "costly"]
PATIENCE = 40
"""Steps without a smaller loss after which following one further is given up."""


@dataclass(frozen=True)
class Candidate:
    """A named kind of model with its search space: `space(trial)` suggests the arguments of `fit`.

    `fit(X, y, sizes=…, task=…, seed=…, **arguments)` gets X (n, p) float64 with NaN for missing, categories as codes,
    y (n,), and the size of each column's vocabulary (0 for numbers). `cost` is the class of what an answer costs: the
    reduced model, which answers where the full one cannot or need not, is chosen among the cheap.

    A kind that is built in steps may say so: `follow(X, y, later_X, later_y, sizes=…, task=…, seed=…, most=…, **arguments)`
    returns the mean loss on later rows after 1, 2, … steps, (at most `most`,), ending where it no longer falls. The search
    then finds `iterations`, how many steps `fit` is to take, and `space` suggests the other arguments alone.
    """

    name: str
    fit: Callable[..., Model]
    space: Callable[[optuna.trial.BaseTrial], dict[str, Any]]
    cost: Cost = "costly"
    follow: Callable[..., np.ndarray] | None = None


def fit_linear(
    X: np.ndarray, y: np.ndarray, *, sizes: list[int], task: Task, seed: int, strength: float
) -> LinearModel | SeveralLinear:
    """Fit a linear model with L2 penalty 1 / `strength` on scaled columns and indicators.

    Logistic regression for probabilities, of several classes together, Poisson regression for counts, ridge regression for
    means; for a quantile, ridge regression whose answers are moved by that quantile of their errors.

    >>> from ringbound.problem.numbers import Regression
    >>> X = np.arange(100.0)[:, None]
    >>> model = fit_linear(X, 2 * X[:, 0], sizes=[0], task=Regression(), seed=1, strength=1000.0)
    >>> round(float(model.predict(np.array([[50.0]]))[0]), 1)
    100.0
    """
    from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

    scales = learn_scales(X, sizes)
    X, y, heavy = _with_each_class(X, y, task)
    with threadpool_limits(1):
        if task.classes:
            several = LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(design(X, scales), y, heavy)
            margins = zip(several.coef_.tolist(), several.intercept_.tolist(), strict=True)
            return SeveralLinear([LinearModel(scales, each, base, "identity") for each, base in margins])
        if task.link == "logistic":
            fitted = LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(design(X, scales), y)
        elif task.link == "log":  # its loss is a mean, so the penalty is one too
            fitted = PoissonRegressor(alpha=1.0 / (strength * len(y)), max_iter=300).fit(design(X, scales), y)
        else:
            fitted = Ridge(alpha=1.0 / strength, solver="sparse_cg", random_state=seed).fit(design(X, scales), y)
    weights, intercept = np.ravel(fitted.coef_).tolist(), float(np.ravel(fitted.intercept_)[0])
    model = LinearModel(scales, weights, intercept, task.link)
    if task.level is not None:
        model = replace(model, intercept=intercept + task.constant(y - model.predict(X)))
    return model


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

    >>> from ringbound.problem.numbers import Regression
    >>> X = np.arange(100.0)[:, None]
    >>> few = {"learning_rate": 0.5, "iterations": 50, "leaves": 7, "min_leaf": 5, "penalty": 0.0}
    >>> model = fit_trees(X, 2 * X[:, 0], sizes=[0], task=Regression(), seed=1, **few)
    >>> abs(float(model.predict(np.array([[50.0]]))[0]) - 100) < 5
    True
    """
    chosen: dict[str, Any] = {
        "learning_rate": learning_rate,
        "leaves": leaves,
        "min_leaf": min_leaf,
        "penalty": penalty,
    }
    model = _boosting(sizes, task, seed, max_iter=iterations, early_stopping=False, **chosen)
    X, y, weights = _with_each_class(X, y, task)
    with threadpool_limits(1):
        model.fit(_some_value(X), y, sample_weight=weights)
    with np.errstate(invalid="ignore"):  # treelite casts the NaN in numeric columns' places for categories
        return TreeModel(treelite.sklearn.import_model(model), columns=X.shape[1])


def follow_trees(
    X: np.ndarray,
    y: np.ndarray,
    later_X: np.ndarray,
    later_y: np.ndarray,
    *,
    sizes: list[int],
    task: Task,
    seed: int,
    most: int,
    **arguments: Any,
) -> np.ndarray:
    """Return the mean loss of `fit_trees` on later rows after 1, 2, … iterations; it ends 40 after the least, or at `most`.

    >>> from ringbound.problem.numbers import Regression
    >>> X = np.arange(100.0)[:, None]
    >>> few = {"learning_rate": 0.5, "leaves": 7, "min_leaf": 5, "penalty": 0.0}
    >>> losses = follow_trees(X, 2 * X[:, 0], X, 2 * X[:, 0], sizes=[0], task=Regression(), seed=1, most=30, **few)
    >>> len(losses), bool(losses[-1] < losses[0])
    (30, True)
    """
    stop: dict[str, Any] = {"early_stopping": True, "scoring": "loss", "n_iter_no_change": PATIENCE, "tol": 0.0}
    model = _boosting(sizes, task, seed, max_iter=most, **stop, **arguments)
    X, y, weights = _with_each_class(X, y, task)
    with threadpool_limits(1):
        model.fit(_some_value(X), y, sample_weight=weights, X_val=later_X, y_val=later_y)
    losses = -np.asarray(model.validation_score_[1:])  # before the first step there is a score too
    if task.link == "log":  # half a deviance, without what depends on the outcomes alone
        return 2 * losses + task.losses(later_y, np.ones(len(later_y))).mean() - 2
    return 2 * losses if task.link == "identity" and task.level is None else losses  # it halves squared errors


def _some_value(X: np.ndarray) -> np.ndarray:
    """Return X with 0 in columns without any value: they tell nothing, and scikit-learn finds no bins for them."""
    empty = np.isnan(X).all(axis=0)
    return np.where(empty, 0.0, X) if empty.any() else X


def _with_each_class(X: np.ndarray, y: np.ndarray, task: Task) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return rows, outcomes and weights with a row of nothing, half as heavy, for each class that never came.

    Of other tasks they stay as they are, without weights.
    """
    if not task.classes:
        return X, y, None
    missing = np.setdiff1d(np.arange(len(task.classes)), y).astype(np.float64)
    nothing = np.full((len(missing), X.shape[1]), np.nan)
    weights = np.concatenate([np.ones(len(y)), np.full(len(missing), 0.5)])
    return np.vstack([X, nothing]), np.concatenate([y, missing]), weights


def _boosting(
    sizes: list[int],
    task: Task,
    seed: int,
    *,
    learning_rate: float,
    leaves: int,
    min_leaf: int,
    penalty: float,
    **more: Any,
) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    by_class = task.link in ("logistic", "softmax")
    kind = HistGradientBoostingClassifier if by_class else HistGradientBoostingRegressor
    if task.link == "log":
        more["loss"] = "poisson"
    elif task.level is not None:
        more |= {"loss": "absolute_error"} if task.loss == "mae" else {"loss": "quantile", "quantile": task.level}
    return kind(
        learning_rate=learning_rate,
        max_leaf_nodes=leaves,
        min_samples_leaf=min_leaf,
        l2_regularization=penalty,
        categorical_features=[size > 0 for size in sizes],
        random_state=seed,
        **more,
    )
