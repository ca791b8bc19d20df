"""Metrics of probabilities and of values, each with weights, and each row's loss."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ringbound.problem.ranked import DiscountedGain, ReciprocalRank

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray], float]
"""`metric(y, p, w)`: outcomes (n,), answers (n,) or (n, classes), weights (n,) of at least 0."""


def auc(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the area under the ROC curve: the share of (positive, negative) pairs ranked right, ties half.

    NaN where one class is absent. Hanley and McNeil, Radiology 143 (1982).
    """
    order = np.argsort(p, kind="stable")
    p, positive, negative = p[order], (w * y)[order], (w * (1 - y))[order]
    starts = np.flatnonzero(np.r_[True, p[1:] != p[:-1]])
    positive, negative = np.add.reduceat(positive, starts), np.add.reduceat(negative, starts)
    below = np.cumsum(negative) - negative
    pairs = positive.sum() * negative.sum()
    return float(np.sum(positive * (below + negative / 2)) / pairs) if pairs > 0 else float("nan")


def average_precision(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the precision averaged over recall, stepwise as scikit-learn does it; NaN without positives."""
    order = np.argsort(-p, kind="stable")
    p, hits, all_ = p[order], np.cumsum((w * y)[order]), np.cumsum(w[order])
    ends = np.flatnonzero(np.r_[p[1:] != p[:-1], True])
    hits, all_ = hits[ends], all_[ends]
    if hits[-1] <= 0:
        return float("nan")
    precision = np.divide(hits, all_, out=np.zeros_like(hits), where=all_ > 0)
    return float(np.sum(np.diff(hits, prepend=0.0) * precision) / hits[-1])


def log_losses(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return each row's negative log likelihood, (n,), in nats; probabilities are clipped at 1e-15."""
    clipped = np.clip(p, 1e-15, 1 - 1e-15)
    return -np.log(np.where(y == 1, clipped, 1 - clipped))


def squared_errors(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return each row's squared error, (n,)."""
    return (p - y) ** 2


def log_loss(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the mean negative log likelihood, in nats; probabilities are clipped at 1e-15."""
    return float(np.average(log_losses(y, p), weights=w))


def brier(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the mean squared error of the probability. Brier, Monthly Weather Review 78 (1950)."""
    return float(np.average((p - y) ** 2, weights=w))


def auc_within(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the area under the ROC curve of one block; of several it is their mean, weighted by pairs: see `MEANS`.

    Only rows of one block are ranked against each other, so knowing which days are bad counts for nothing.
    """
    return auc(y, p, w)


def pooled(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return outcomes (n,) with each replaced by the mean of those whose answer is the same."""
    _, place = np.unique(p, return_inverse=True)
    totals, sizes = np.bincount(place, w * y), np.bincount(place, w)
    return np.divide(totals, sizes, out=np.zeros(len(sizes)), where=sizes > 0)[place]


def calibration_error(y: np.ndarray, p: np.ndarray, w: np.ndarray, bins: int = 10) -> float:
    """Return the root mean squared gap between stated and observed frequency over bins of equal count.

    Naeini, Cooper and Hauskrecht, AAAI 2015, with quantile bins; squared as by Kumar, Liang and Ma, NeurIPS 2019. On a
    sample it is too large, since noise is a gap too: `bootstrap` takes that off.
    """
    order = np.argsort(p, kind="stable")
    y = pooled(y, p, w)  # else the order of equal answers, which is that of time, would be taken for a gap
    cumulative = np.cumsum(w[order])
    place = np.minimum((cumulative - w[order] / 2) / cumulative[-1] * bins, bins - 1).astype(int)
    gaps = np.bincount(place, ((p - y) * w)[order], minlength=bins)
    sizes = np.bincount(place, w[order], minlength=bins)
    squares = np.divide(gaps**2, sizes, out=np.zeros(bins), where=sizes > 0)
    return float(np.sqrt(squares.sum() / cumulative[-1]))


PROBABILITY_METRICS: dict[str, Metric] = {
    "auc": auc,
    "auc_within": auc_within,
    "average_precision": average_precision,
    "log_loss": log_loss,
    "brier": brier,
    "calibration_error": calibration_error,
}


def mean_absolute_error(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the mean absolute error, in the unit of y."""
    return float(np.average(np.abs(y - p), weights=w))


def root_mean_squared_error(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the root of the mean squared error, in the unit of y."""
    return float(np.sqrt(np.average((y - p) ** 2, weights=w)))


def mean_squared_error(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the mean squared error, in the unit of y squared."""
    return float(np.average((y - p) ** 2, weights=w))


def mean_error(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the mean of answer minus outcome, in the unit of y: above 0, too much is answered."""
    return float(np.average(p - y, weights=w))


def mean_relative_error(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the mean absolute error as a share of the outcome, which is above 0."""
    return float(np.average(np.abs(y - p) / y, weights=w))


def determination(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the share of the outcomes' variance that the answers explain (R²); below 0 the mean would be better."""
    around = np.average((y - np.average(y, weights=w)) ** 2, weights=w)
    return float(1 - np.average((y - p) ** 2, weights=w) / around) if around > 0 else float("nan")


def poisson_deviances(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return each row's deviance, (n,): 2 (y log(y / p) - y + p); answers are at least 1e-9."""
    p = np.maximum(p, 1e-9)
    return 2 * (np.where(y > 0, y * np.log(np.maximum(y, 1e-300) / p), 0.0) - y + p)


def poisson_deviance(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the mean deviance of the Poisson distribution."""
    return float(np.average(poisson_deviances(y, p), weights=w))


@dataclass(frozen=True)
class Pinball:
    """The loss of the quantile `level`: what is above it counts `level`, what is below it 1 - `level`, by the distance."""

    level: float

    def losses(self, y: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Return each row's loss, (n,)."""
        above = y - p
        return np.maximum(self.level * above, (self.level - 1) * above)

    def __call__(self, y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
        """Return the mean loss."""
        return float(np.average(self.losses(y, p), weights=w))


@dataclass(frozen=True)
class Below:
    """The share of outcomes below the answers, which of the quantile `level` is the level.

    Where many outcomes are equal to their answers, no share is right alone: between that which is below and that which is
    at most the answer, the nearest to the level is returned.
    """

    level: float

    def __call__(self, y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
        """Return the share."""
        strictly, at_most = (float(np.average(side, weights=w)) for side in (y < p, y <= p))
        return min(max(self.level, strictly), at_most)


REGRESSION_METRICS: dict[str, Metric] = {
    "mae": mean_absolute_error,
    "rmse": root_mean_squared_error,
    "mse": mean_squared_error,
    "r2": determination,
    "bias": mean_error,
}

COUNT_METRICS: dict[str, Metric] = {
    "poisson_deviance": poisson_deviance,
    "mae": mean_absolute_error,
    "rmse": root_mean_squared_error,
    "r2": determination,
    "bias": mean_error,
}


def class_log_losses(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return each row's negative log likelihood, (n,), of places y (n,) by p (n, classes), clipped at 1e-15."""
    return np.asarray(-np.log(np.clip(p[np.arange(len(y)), y.astype(int)], 1e-15, 1)))


def class_log_loss(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the mean negative log likelihood, in nats."""
    return float(np.average(class_log_losses(y, p), weights=w))


def accuracy(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the share of rows whose likeliest class came."""
    return float(np.average(np.argmax(p, axis=1) == y, weights=w))


def macro_f1(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the mean over classes of the harmonic mean of precision and recall; a class that has neither counts 0."""
    decided, n = np.argmax(p, axis=1), p.shape[1]
    hits = np.bincount(decided, w * (decided == y), minlength=n)
    both = np.bincount(decided, w, minlength=n) + np.bincount(y.astype(int), w, minlength=n)
    there = both > 0
    return float((2 * hits[there] / both[there]).mean()) if there.any() else float("nan")


def macro_auc(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the mean, over the classes that there are, of the area under the ROC curve of each against all others."""
    each = [auc((y == one).astype(float), p[:, one], w) for one in np.unique(y[w > 0]).astype(int)]
    return float(np.mean(each)) if each else float("nan")


def class_brier(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the mean squared distance of the probabilities to what came. Brier, Monthly Weather Review 78 (1950)."""
    came = np.eye(p.shape[1])[y.astype(int)]
    return float(np.average(((p - came) ** 2).sum(axis=1), weights=w))


def top_calibration_error(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the calibration error of the likeliest class's probability (Guo et al., ICML 2017)."""
    return calibration_error((np.argmax(p, axis=1) == y).astype(float), p.max(axis=1), w)


@dataclass(frozen=True)
class Recall:
    """The share of the rows of the class at `place` for which it is the likeliest; NaN where there is none."""

    place: int

    def __call__(self, y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
        """Return the share."""
        of = w * (y == self.place)
        return float((of * (np.argmax(p, axis=1) == self.place)).sum() / of.sum()) if of.sum() > 0 else float("nan")


CLASS_METRICS: dict[str, Metric] = {
    "log_loss": class_log_loss,
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "macro_auc": macro_auc,
    "brier": class_brier,
    "calibration_error": top_calibration_error,
}
CALIBRATION_ERRORS: frozenset[Metric] = frozenset({calibration_error, top_calibration_error})

AT_MOST_ONE: frozenset[Metric] = frozenset(
    {auc, auc_within, average_precision, brier, determination, accuracy, macro_f1, macro_auc}
)
HIGHER_IS_BETTER = frozenset(
    {"auc", "auc_within", "average_precision", "ndcg", "mrr", "r2", "accuracy", "macro_f1", "macro_auc"}
)
MAY_BE_NEGATIVE: frozenset[Metric] = frozenset({mean_error, determination})


def _rows(y: np.ndarray) -> float:
    return len(y)


def _pairs(y: np.ndarray) -> float:
    return y.sum() * (1 - y).sum()


_MEANS: dict[Metric, Callable[[np.ndarray], float]] = {
    **dict.fromkeys(
        (log_loss, brier, mean_absolute_error, mean_squared_error, root_mean_squared_error, mean_error,
         mean_relative_error, poisson_deviance, class_log_loss, accuracy, class_brier),
        _rows,
    ),
    auc_within: _pairs,
}  # fmt: skip


def best_of(metric: Metric) -> float | None:
    """Return the value at which a metric is best, of those that may be on either side of it; None for all others."""
    return metric.level if isinstance(metric, Below) else 0.0 if metric is mean_error else None


def higher_is_better(name: str) -> bool:
    """Return whether more of a metric is better.

    >>> higher_is_better("auc"), higher_is_better("recall bus"), higher_is_better("mae")
    (True, True, False)
    """
    return name in HIGHER_IS_BETTER or name.startswith("recall ")


def at_most_one(metric: Metric) -> bool:
    """Return whether a metric is never above 1."""
    return metric in AT_MOST_ONE or isinstance(metric, Recall | Below | DiscountedGain | ReciprocalRank)


def weight_of(metric: Metric) -> Callable[[np.ndarray], float] | None:
    """Return, of a metric that is a mean over blocks, or its root, what says a block's weight by its outcomes.

    That is its rows, or its pairs; None for a metric that is no mean.
    """
    return _rows if isinstance(metric, Pinball) else _MEANS.get(metric)
