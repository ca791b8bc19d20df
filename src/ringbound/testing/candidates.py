"""What every candidate model is held to: it learns, it answers each row alone to the bit, it knows no stranger."""

import numpy as np
import optuna

from ringbound.errors import BundleError
from ringbound.models.candidates import Candidate
from ringbound.models.rung import Model
from ringbound.problem.classification import Classification, Ranking
from ringbound.problem.multiclass import Multiclass
from ringbound.problem.numbers import Count, Regression
from ringbound.problem.task import Costs, Task

SIZES = [0, 0, 4]
TASKS: dict[str, Task] = {
    "classification": Classification(Costs(1, 1)),
    "ranking": Ranking(),
    "regression": Regression(),
    "median": Regression(aim="median"),
    "quantile": Regression(aim=0.9),
    "middle": Regression(aim=0.5),
    "count": Count(),
    "amount": Regression(least=0.0),
    "multiclass": Multiclass(("low", "middle", "high")),
}


def sample(n: int = 2000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return two numbers (the second often missing) and a category of 4 codes, (n, 3), and a noisy linear truth (n,)."""
    random = np.random.default_rng(seed)
    X = np.column_stack([random.normal(size=n), random.normal(size=n), random.integers(0, 4, n).astype(float)])
    truth = X[:, 0] + 2.0 * (X[:, 2] == 3) - 1.0
    X[random.random(n) < 0.3, 1] = np.nan
    return X, truth + random.normal(scale=0.5, size=n)


def outcomes(task: Task, truth: np.ndarray) -> np.ndarray:
    """Return outcomes (n,) of a task that tell as much of the truth (n,) as it can.

    >>> outcomes(TASKS["count"], np.array([-1.0, 0.0, 1.0])).tolist()
    [0.0, 1.0, 2.0]
    """
    if task.outcome == "boolean":
        return (truth > 0).astype(float)
    if task.classes:
        return np.digitize(truth, [-1.0, 0.5]).astype(float)
    if task.least == 0:
        return np.floor(np.exp(truth)) if task.whole else np.exp(truth)
    return truth


def check_candidate(candidate: Candidate, task: Task) -> None:
    """Hold a candidate, fitted with the first arguments it suggests, to what serving relies on.

    >>> from ringbound import Candidate, fit_linear
    >>> check_candidate(
    ...     Candidate("linear", fit_linear, lambda trial: {"strength": trial.suggest_float("strength", 0.5, 2)}),
    ...     TASKS["regression"],
    ... )
    """
    X, truth = sample()
    y = outcomes(task, truth)
    arguments = candidate.space(optuna.create_study().ask())
    model, again = (candidate.fit(X, y, sizes=SIZES, task=task, seed=1, **arguments) for _ in range(2))

    later, later_truth = sample(1500, seed=1)
    whole = model.predict(later)
    width = (len(task.classes),) if task.classes else ()
    assert whole.shape == (1500, *width), "one answer for each row, of classes one for each of these"
    if task.probabilities:
        assert ((whole >= 0) & (whole <= 1)).all(), "probabilities are between 0 and 1"
        assert ((whole > 0.5) == (later_truth > 0)).mean() > 0.8, "it learns what there is to learn"
    elif task.classes:
        assert ((whole >= 0) & (whole <= 1)).all(), "probabilities are between 0 and 1"
        assert np.allclose(whole.sum(axis=1), 1), "of all classes they are 1 together"
        assert task.came(outcomes(task, later_truth), whole).mean() > 0.7, "it learns what there is to learn"
    else:
        margin = np.log(whole) if task.link == "log" else whole
        assert np.corrcoef(margin, later_truth)[0, 1] > 0.85, "it learns what there is to learn"
        assert task.least is None or (whole >= task.least).all(), "no answer is less than an outcome can be"

    assert np.array_equal(whole, again.predict(later)), "the same seed gives the same bits"
    alone = np.concatenate([model.predict(row[None]) for row in later])
    assert np.array_equal(whole, alone), "a row's answer does not depend on its company"
    for start, stop in ((0, 7), (3, 260), (499, 1500)):
        assert np.array_equal(whole[start:stop], model.predict(later[start:stop])), "nor on its place"
    assert np.array_equal(whole[::3], model.predict(later[::3])), "nor on the memory's layout"

    strangers = np.array([[0.5, 0.1, np.nan], [0.5, np.nan, np.nan]])
    assert np.isfinite(model.predict(strangers)).all(), "a category nobody has seen is missing, and missing is answered"
    assert model.predict(np.empty((0, 3))).shape == (0, *width), "no rows give no answers"
    empty = np.where([False, True, False], np.nan, X)
    found = candidate.fit(empty, y, sizes=SIZES, task=task, seed=1, **arguments).predict(later)
    assert np.isfinite(found).all(), "a column that has no value yet, and has some later, is no obstacle"
    _refuses_two_columns(model)


def _refuses_two_columns(model: Model) -> None:
    try:
        model.predict(np.zeros((1, 2)))
    except BundleError:
        return
    raise AssertionError("another number of columns is refused")
