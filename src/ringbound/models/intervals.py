"""Intervals of answers: where the outcome is to lie with a stated chance, learnt from errors on months not fitted on.

Split conformal prediction (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; Lei et al., Journal
of the American Statistical Association 113, 2018), in time: errors are those of models that had seen the past alone. They
are taken by size of the answer, since what is large is often known less well (Mondrian: Vovk et al., 2003), and each end
by itself, since errors are often skewed. The promise holds while what comes is like the months that were judged.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

LEAST_ROWS = 300
"""Rows that a size of answers has at least, so that its ends are about right."""
MOST_SIZES = 10


@dataclass(frozen=True)
class Intervals:
    """How far an outcome may lie below and above an answer: one pair for each size of answers, between `edges`.

    An answer below `edges[0]` is of the first size; `least` is what an outcome is at least, if anything;
    where outcomes are `whole` numbers, ends are too.
    """

    edges: list[float]
    below: list[float]
    above: list[float]
    least: float | None = None
    whole: bool = False

    def of(self, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends of each answer's interval, (n,) and (n,).

        >>> low, high = Intervals([10.0], [1.0, 2.0], [3.0, 4.0], least=0.0).of(np.array([0.5, 10.0]))
        >>> low.tolist(), high.tolist()
        ([0.0, 8.0], [3.5, 14.0])
        """
        size = np.searchsorted(np.array(self.edges), answers, side="right")
        low, high = answers - np.array(self.below)[size], answers + np.array(self.above)[size]
        if self.whole:  # as many whole numbers are below the upper end, and one more above the lower
            low, high = np.floor(low), np.floor(high)
        return (low, high) if self.least is None else (np.maximum(low, self.least), np.maximum(high, self.least))


def learn_intervals(
    y: np.ndarray, answers: np.ndarray, coverage: float, *, least: float | None = None, whole: bool = False
) -> Intervals | None:
    """Return intervals that hold `coverage` of the outcomes (n,), for answers (n,) by models that had not seen them.

    None where there are too few rows to say where an end is.

    >>> rng = np.random.default_rng(1)
    >>> y = rng.normal(size=4000)
    >>> low, high = learn_intervals(y[:2000], np.zeros(2000), 0.9).of(np.zeros(2000))
    >>> bool(0.88 < np.mean((low <= y[2000:]) & (y[2000:] <= high)) < 0.92)
    True
    """
    tail = (1 - coverage) / 2
    fewest = int(np.ceil(1 / tail))
    if len(y) < fewest:
        return None
    sizes = min(MOST_SIZES, max(1, len(y) // max(LEAST_ROWS, 2 * fewest)))
    edges = np.unique(np.quantile(answers, np.arange(1, sizes) / sizes))
    size = np.searchsorted(edges, answers, side="right")
    while (counts := np.bincount(size, minlength=len(edges) + 1)).min() < fewest:  # many answers are the same
        edges = np.delete(edges, min(int(counts.argmin()), len(edges) - 1))
        size = np.searchsorted(edges, answers, side="right")
    ends = [_ends((y - answers)[size == one], tail) for one in range(len(edges) + 1)]
    return Intervals(edges.tolist(), [-low for low, _ in ends], [high for _, high in ends], least, whole)


def _ends(errors: np.ndarray, tail: float) -> tuple[float, float]:
    """Return the errors between which a new one lies with a chance of 1 - 2 `tail`, if it is one of the same kind."""
    errors, n = np.sort(errors), len(errors)
    beyond = int(np.floor((n + 1) * tail))
    return float(errors[beyond - 1]), float(errors[n - beyond])


def learn_threshold(y: np.ndarray, answers: np.ndarray, coverage: float) -> float | None:
    """Return the probability from which a class is of the set that holds `coverage` of the outcomes.

    `y` (n,) are places, `answers` (n, classes) by models that had not seen them. None where there are too few rows.
    Sadinle, Lei and Wasserman, Journal of the American Statistical Association 114 (2019): the smallest sets that do.

    >>> answers = np.tile([0.7, 0.2, 0.1], (100, 1))
    >>> learn_threshold(np.repeat([0.0, 1.0, 2.0], [70, 20, 10]), answers, 0.85)
    0.2
    """
    beyond = int(np.floor((len(y) + 1) * (1 - coverage)))
    if beyond < 1:
        return None
    return float(np.sort(answers[np.arange(len(y)), y.astype(int)])[beyond - 1])


def within(thresholds: Mapping[str, float], answers: np.ndarray, rungs: np.ndarray) -> np.ndarray | None:
    """Return which classes are of each answer's set, (n, classes) of booleans; the likeliest always is.

    None where no rung has sets; of a rung that has none, all classes are.
    """
    if not thresholds:
        return None
    least = np.array([thresholds.get(str(name), 0.0) for name in rungs.tolist()])
    return np.asarray((answers >= least[:, None]) | (answers == answers.max(axis=1, keepdims=True)))


def bounds(
    intervals: Mapping[str, Intervals], answers: np.ndarray, rungs: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the ends of each answer's interval, (n,) and (n,), by the rung that gave it, NaN where that has none.

    None where no rung has intervals.
    """
    if not intervals:
        return None
    low, high = np.full(len(answers), np.nan), np.full(len(answers), np.nan)
    for name, one in intervals.items():
        rows = rungs == name
        low[rows], high[rows] = one.of(answers[rows])
    return low, high
