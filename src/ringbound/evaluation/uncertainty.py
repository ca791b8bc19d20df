"""How sure a metric is: bootstrap over blocks of rows, for one model, for two on the same rows, and for slices.

Rows of one block (events of one day, visits of one person) are not independent; drawing rows one by one would make
intervals too narrow. So whole blocks are drawn with replacement. Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, ch. 8 and 12.

Blocks in a row may be alike too: bad weather stays for days. That moves how good a model is, and hardly the difference
between two models on the same rows. So levels are measured on stretches of blocks, drawn as a whole.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from ringbound.errors import ModelError
from ringbound.problem.metrics import (
    CALIBRATION_ERRORS,
    MAY_BE_NEGATIVE,
    Metric,
    at_most_one,
    auc_within,
    best_of,
    higher_is_better,
    root_mean_squared_error,
    weight_of,
)
from ringbound.problem.ranked import OfGroups

LEVEL = 0.95
POWER = 0.8
LEAST_IN_TAIL = 5
"""Resampled sets beyond an interval's end, fewer of which do not say where it is."""
Judgement = Literal["better", "worse", "inconclusive"]


def shown(number: float) -> str:
    """Return a number with as many digits as are read: four after the point, fewer where it is large, none for NaN.

    >>> shown(0.12345), shown(123.456), shown(1234567.8)
    ('0.1235', '123.5', '1,234,568')
    """
    if number != number:
        return "—"
    size = abs(number)
    return f"{number:.4f}" if size < 100 else f"{number:,.1f}" if size < 10_000 else f"{number:,.0f}"


@dataclass(frozen=True)
class Estimate:
    """A metric's value on the sample and its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        value, low, high = map(shown, (self.value, self.low, self.high))
        return f"{value} ({low} to {high})"


@dataclass(frozen=True)
class Difference:
    """A metric of two models on the same rows: `change` is after minus before, with its interval."""

    before: float
    after: float
    change: Estimate
    judgement: Judgement


def detectable(error: float, units: int, level: float = LEVEL) -> float:
    """Return about the minimum detectable effect: what a two-sided test of `level` finds with 80% power.

    Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988, ch. 2; with Student's t, so for values that are
    spread evenly about their mean.

    >>> round(detectable(1.0, 1000), 1)
    2.8
    """
    return float(error * (stdtrit(units - 1, (1 + level) / 2) + stdtrit(units - 1, POWER)))


def draw_weights(blocks: int, draws: int, seed: int) -> np.ndarray:
    """Return how often each block is drawn in each resampled set, (draws, blocks)."""
    return np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), size=draws)


@dataclass(frozen=True)
class Resampled:
    """A metric on the sample, on each resampled set (draws,), and on the sample without each unit (units,).

    `counts` (draws, units) says how often each set has each unit: a block, or a stretch of them.
    """

    value: float
    drawn: np.ndarray
    left_out: np.ndarray
    counts: np.ndarray

    def __sub__(self, other: "Resampled") -> "Resampled":
        """Return the difference of two models' metrics on the same sets."""
        drawn, left_out = self.drawn - other.drawn, self.left_out - other.left_out
        return Resampled(self.value - other.value, drawn, left_out, self.counts)

    def away_from(self, best: float) -> "Resampled":
        """Return how far from its best value the metric is on the same sets."""
        away = [np.abs(values - best) for values in (self.drawn, self.left_out)]
        return Resampled(abs(self.value - best), away[0], away[1], self.counts)

    def errors(self, counts: np.ndarray) -> np.ndarray:
        """Return the standard error on sets with these counts, (sets,), to first order: from each unit's influence."""
        n = len(self.left_out)
        influence = (n - 1) * (self.value - self.left_out)
        mean = counts @ influence / n
        return np.sqrt(np.maximum(counts @ influence**2 / n - mean**2, 0) / (n - 1))

    @property
    def error(self) -> float:
        """The standard error on the sample."""
        return float(self.errors(np.ones((1, len(self.left_out))))[0])

    def chance_of_no_fall(self) -> float:
        """Return the chance of a mean this low, or lower, if it were 0: one-sided, corrected for skewness.

        Hall's transformation of Student's t (Annals of Statistics 20, 1992), on jackknife pseudo-values. It needs no draws,
        so it says something far out too, where resampled sets are too few; a smaller chance never asks for less.
        """
        n = len(self.left_out)
        pseudo = n * self.value - (n - 1) * self.left_out
        spread = float(pseudo.std())
        if spread == 0 or not np.isfinite(spread):
            return float(self.value >= 0) if spread == 0 else 1.0
        skew = float(((pseudo - pseudo.mean()) ** 3).mean()) / spread**3
        shift = self.value / spread
        moved = shift + skew * shift**2 / 3 + skew**2 * shift**3 / 27 + skew / (6 * n)
        return float(stdtr(n - 1, np.sqrt(n) * moved))

    def interval(self, *, mean: bool, level: float = LEVEL) -> tuple[float, float]:
        """Return the interval: of a mean bootstrap-t, whose two sides differ as skewed losses ask for, else percentile.

        Bootstrap-t needs a standard error for each set (Efron and Tibshirani, section 12.5). For ranks that is known to
        first order alone, and a set of one unit over and over has none: there it is the percentile interval, expanded as
        Student's t asks for (Hesterberg, The American Statistician 69, 2015, section 5.2). Where too few sets lie beyond
        its ends to say where these are, it is Student's.
        """
        n, tail = len(self.left_out), (1 - level) / 2
        errors, error = self.errors(self.counts), self.error
        if mean and tail * len(errors) >= LEAST_IN_TAIL and (errors > 1e-6 * error).all():
            t = (self.drawn - self.value) / errors
            upper, lower = np.nanquantile(t, [1 - tail, tail], method="weibull")
            return float(self.value - upper * error), float(self.value - lower * error)
        reach = float(stdtrit(n - 1, 1 - tail))
        tail = ndtr(-reach * np.sqrt(n / (n - 1)))
        if tail * len(errors) < LEAST_IN_TAIL:
            return self.value - reach * error, self.value + reach * error
        low, high = np.nanquantile(self.drawn, [tail, 1 - tail], method="weibull")
        return float(low), float(high)


def stretches(blocks: int, stretch: int) -> np.ndarray:
    """Return the unit of each of so many blocks in order: about `stretch` of them in a row, evenly, two units at least.

    >>> stretches(7, 3).tolist()
    [0, 0, 0, 0, 1, 1, 1]
    """
    units = min(blocks, max(2, round(blocks / stretch)))
    return np.arange(blocks) * units // blocks


def resample(
    y: np.ndarray,
    p: np.ndarray,
    blocks: np.ndarray,
    metrics: Mapping[str, Metric],
    *,
    draws: int,
    seed: int,
    stretch: int = 1,
    groups: np.ndarray | None = None,
) -> dict[str, Resampled]:
    """Return each metric on the sample, on `draws` resampled sets, and without each unit of `stretch` blocks in a row.

    The sets depend on `seed` and the blocks alone, so two models on the same rows are measured on the same sets. Metrics
    of an order are of the rows of each of the `groups`, (n,), by default of a block; a group counts where its first row does.
    """
    names, place = np.unique(blocks, return_inverse=True)
    if len(names) < 2:
        raise ModelError(f"intervals: expected rows of at least 2 blocks; got {len(names)}; measure on more of them")
    # glibc reuses freed memory up to the size of the largest block freed so far, at most 32 MB (mallopt(3),
    # M_MMAP_THRESHOLD); else more than half of the time below goes into page faults.
    np.empty(31 << 20, np.uint8)
    codes = place if groups is None else pd.factorize(groups)[0]
    block_of_group = place[np.unique(codes, return_index=True)[1]]
    order = np.argsort(
        p if p.ndim == 1 else p.max(axis=1), kind="stable"
    )  # metrics that rank sort what is sorted already
    y, p, place, codes = y[order], p[order], place[order], codes[order]
    unit = stretches(len(names), stretch)
    counts = draw_weights(unit[-1] + 1, draws, seed).astype(np.float64)
    every = np.ones((1, counts.shape[1]))
    sets = np.concatenate([every, counts, every - np.eye(counts.shape[1])])[:, unit]
    values = {name: np.empty(len(sets)) for name in metrics}
    for i, weights in enumerate(sets):
        of_rows = weights[place]
        for name, metric in metrics.items():
            if not _is_mean(metric) or (i == 0 and weight_of(metric) and metric is not auc_within):
                values[name][i] = metric(y, p, of_rows)
    rows_of = [np.flatnonzero(place == block) for block in range(len(names))]
    for name, metric in metrics.items():
        if isinstance(metric, OfGroups):
            values[name][:] = _over_blocks(*_groups_of_blocks(metric, y, p, codes, block_of_group, len(names)), sets)
        elif _is_mean(metric):  # a set's mean follows from those of its blocks
            first = 0 if metric is auc_within else 1
            values[name][first:] = _of_blocks(metric, y, p, rows_of, sets[first:])
    return {
        name: Resampled(float(measured[0]), measured[1 : 1 + draws], measured[1 + draws :], counts)
        for name, measured in values.items()
    }


def _is_mean(metric: Metric) -> bool:
    """Return whether a metric is a mean over blocks, or over groups within them."""
    return isinstance(metric, OfGroups) or weight_of(metric) is not None


def _of_blocks(
    metric: Metric, y: np.ndarray, p: np.ndarray, rows_of: Sequence[np.ndarray], sets: np.ndarray
) -> np.ndarray:
    """Return a mean's value on each set, (sets,), from its blocks; NaN where the set has nothing to measure."""
    weight = weight_of(metric)
    assert weight is not None
    weights = np.array([weight(y[rows]) for rows in rows_of], float)
    power = 2 if metric is root_mean_squared_error else 1
    each = [
        metric(y[rows], p[rows], np.ones(len(rows))) if w else 0.0 for rows, w in zip(rows_of, weights, strict=True)
    ]
    return _over_blocks(weights, weights * np.array(each) ** power, sets) ** (1 / power)


def _groups_of_blocks(
    metric: OfGroups, y: np.ndarray, p: np.ndarray, groups: np.ndarray, blocks: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return of each block in how many groups something is in order, (blocks,), and the sum of their values."""
    said, values = metric.of_groups(y, p, groups)
    of = blocks[said]
    return np.bincount(of, minlength=size).astype(float), np.bincount(of, values, minlength=size)


def _over_blocks(weights: np.ndarray, sums: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """Return the mean on each set, (sets,), of what blocks weigh and sum up to; NaN where a set has nothing to measure."""
    total = sets @ weights
    return np.divide(sets @ sums, total, out=np.full(len(sets), np.nan), where=total > 0)


def bootstrap(
    y: np.ndarray,
    p: np.ndarray,
    blocks: np.ndarray,
    metrics: Mapping[str, Metric],
    *,
    draws: int,
    seed: int,
    stretch: int = 1,
    groups: np.ndarray | None = None,
) -> dict[str, Estimate]:
    """Return each metric of one model with its 95% interval, over the draw of stretches of blocks."""
    resampled = resample(y, p, blocks, metrics, draws=draws, seed=seed, stretch=stretch, groups=groups)
    return {name: _estimate(metrics[name], one) for name, one in resampled.items()}


def _estimate(metric: Metric, one: Resampled) -> Estimate:
    if metric in CALIBRATION_ERRORS:
        return _gap(one)
    low, high = one.interval(mean=_is_mean(metric))
    low = low if metric in MAY_BE_NEGATIVE else max(low, 0.0)
    return Estimate(one.value, low, min(high, 1.0) if at_most_one(metric) else high)


def _gap(one: Resampled) -> Estimate:
    """Return a gap without what noise adds to it, and its interval.

    Noise makes a squared gap too large by its variance, which the jackknife takes off (Efron and Tibshirani, ch. 10). A
    resampled set has the noise of the sample and its own, so the interval is the basic one, of the square, as wide as few
    units ask for.
    """
    square, drawn = one.value**2, one.drawn**2
    units = len(one.left_out)
    noise = (units - 1) * (float((one.left_out**2).mean()) - square)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], method="weibull")
    wide = float(stdtrit(units - 1, 1 - tail) / ndtri(1 - tail)) * np.sqrt(units / (units - 1))
    middle, centre = square - noise, square + noise
    ends = (middle, middle - wide * (high - centre), middle + wide * (centre - low))
    value, low, high = (float(np.sqrt(max(x, 0.0))) for x in ends)
    return Estimate(value, min(low, value), max(high, value))


def paired(
    y: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    blocks: np.ndarray,
    metrics: Mapping[str, Metric],
    *,
    draws: int,
    seed: int,
    groups: np.ndarray | None = None,
) -> dict[str, Difference]:
    """Return how each metric differs between two models on the same rows, with its 95% interval.

    A metric that may be on either side of its best value differs by how far it is from there.
    """
    with ThreadPoolExecutor(2) as pool:  # NumPy lets other threads run meanwhile
        sides = pool.map(
            lambda p: resample(y, p, blocks, metrics, draws=draws, seed=seed, groups=groups), (before, after)
        )
        first, second = sides
    differences = {}
    for name in metrics:
        best = best_of(metrics[name])
        one, other = first[name], second[name]
        if best is not None:
            one, other = one.away_from(best), other.away_from(best)
        moved = other - one
        change = Estimate(moved.value, *moved.interval(mean=best is None and _is_mean(metrics[name])))
        differences[name] = Difference(first[name].value, second[name].value, change, _judge(name, change))
    return differences


def mean_of(values: np.ndarray, blocks: np.ndarray, *, draws: int, seed: int, stretch: int = 1) -> Resampled:
    """Return the mean of values (n,), as it is over the draw of stretches of blocks."""
    names, place = np.unique(blocks, return_inverse=True)
    if len(names) < 2:
        raise ModelError(f"intervals: expected rows of at least 2 blocks; got {len(names)}; measure on more of them")
    unit = stretches(len(names), stretch)[place]
    counts = draw_weights(int(unit.max()) + 1, draws, seed).astype(np.float64)
    total, size = np.bincount(unit, values), np.bincount(unit)
    left_out = (total.sum() - total) / (size.sum() - size)
    return Resampled(float(total.sum() / size.sum()), (counts @ total) / (counts @ size), left_out, counts)


def _judge(metric: str, change: Estimate) -> Judgement:
    if not np.isfinite([change.value, change.low, change.high]).all() or change.low <= 0 <= change.high:
        return "inconclusive"
    return "better" if (change.value > 0) == higher_is_better(metric) else "worse"
