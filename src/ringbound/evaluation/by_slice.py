"""A metric slice by slice, for one model, and for two on the same rows."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from ringbound.evaluation.uncertainty import LEVEL, bootstrap, detectable, mean_of, stretches
from ringbound.problem.metrics import Metric
from ringbound.problem.packed import from_column


def slices(
    rows: pd.DataFrame,
    by: Sequence[str],
    *,
    y: str,
    p: str,
    block: str,
    metric: Metric,
    shown: tuple[str, str] | None = None,
    draws: int,
    seed: int,
    least: int,
    stretch: int = 1,
) -> pd.DataFrame:
    """Return one row a value of each column in `by` with at least `least` rows: count, rates and the metric's interval.

    The rates are the means of the columns `shown`, by default those of outcomes and answers. The worst of many slices looks
    worse than it is. `shrunk` is what each is taken to be when all are looked at together: drawn towards their mean as far as
    its own interval is wider than they differ. DerSimonian and Laird, Controlled Clinical Trials 7 (1986); Efron and Morris,
    Scientific American 236 (1977).
    """
    slices = []
    for column, value, part in _parts(rows, by, block, least):
        truth, answer = from_column(part[y]), from_column(part[p])
        observed, predicted = (float(part[name].mean()) for name in shown or (y, p))
        days = part[block].to_numpy()
        e = bootstrap(truth, answer, days, {"m": metric}, draws=draws, seed=seed, stretch=stretch)["m"]
        reach = 2 * stdtrit(stretches(len(np.unique(days)), stretch)[-1], (1 + LEVEL) / 2)
        slices.append((column, value, len(part), observed, predicted, e.value, e.low, e.high, (e.high - e.low) / reach))
    names = ["slice", "value", "rows", "observed", "predicted", "metric", "low", "high", "error"]
    table = pd.DataFrame(slices, columns=names)
    shrunk = [shrink(part["metric"], part["error"]) for _, part in table.groupby("slice", sort=False)]
    return table.assign(shrunk=pd.concat(shrunk) if shrunk else []).drop(columns="error")


def shrink(values: pd.Series, errors: pd.Series) -> pd.Series:
    """Return values drawn towards their mean: each as far as its standard error is large beside what they differ by.

    >>> shrink(pd.Series([0.0, 1.0, 2.0]), pd.Series([0.01, 0.01, 10.0])).round(1).tolist()
    [0.0, 1.0, 0.5]
    """
    known = np.isfinite(values) & np.isfinite(errors)
    if known.sum() < 2 or not (errors[known] > 0).any():
        return values
    floor = 0.01 * float(errors[known & (errors > 0)].median())
    weights = (1 / errors.clip(lower=floor) ** 2).where(known, 0.0)
    some = values.where(known, 0.0)
    mean = np.average(some, weights=weights)
    excess = float((weights * (some - mean) ** 2).sum()) - (int(known.sum()) - 1)
    spread = float(weights.sum() - (weights**2).sum() / weights.sum())
    between = max(excess / spread, 0.0)
    noise = 1 / weights.where(known, 1.0)
    centre = np.average(some, weights=(1 / (between + noise)).where(known, 0.0))
    return centre + (values - centre) * between / (between + noise)


def paired_slices(
    rows: pd.DataFrame,
    by: Sequence[str],
    *,
    before: str,
    after: str,
    block: str,
    draws: int,
    seed: int,
    least: int,
) -> pd.DataFrame:
    """Return how the mean loss changes in each slice: rows, before, after, change, low, high, detectable, judgement.

    `before` and `after` are columns with each row's loss. With many slices some would seem to change by chance alone:
    a slice is judged better or worse only where Holm's procedure over all of them rejects no change at 5%, from
    the bootstrap's standard error and Student's t. Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    slices = []
    for column, value, part in _parts(rows, by, block, least):
        first, second = part[before].to_numpy("float64"), part[after].to_numpy("float64")
        mean = mean_of(second - first, part[block].to_numpy(), draws=draws, seed=seed)
        error, units = mean.error, len(mean.left_out)
        p = 2 * stdtr(units - 1, -abs(mean.value) / error) if error > 0 else float(mean.value == 0)
        change = (mean.value, *mean.interval(mean=True), detectable(error, units), p)
        slices.append((column, value, len(part), first.mean(), second.mean(), *change))
    names = ["slice", "value", "rows", "before", "after", "change", "low", "high", "detectable", "p"]
    table = pd.DataFrame(slices, columns=names)
    order = np.argsort(table["p"].to_numpy(), kind="stable")
    passed = np.logical_and.accumulate(table["p"].to_numpy()[order] <= (1 - LEVEL) / np.arange(len(table), 0, -1))
    sure = np.zeros(len(table), bool)
    sure[order] = passed
    judgement = np.where(~sure, "inconclusive", np.where(table["change"] < 0, "better", "worse"))
    return table.assign(judgement=judgement)


def too_few(rows: pd.DataFrame, by: Sequence[str], least: int) -> list[str]:
    """Return the slices that are not judged, with their rows: those with fewer than `least`, or from one block alone."""
    return [
        f"{column} {value} ({len(part):,} rows)"
        for column in by
        for value, part in rows.groupby(column, sort=True, observed=True)
        if len(part) < least or part["block"].nunique() < 2
    ]


def _parts(rows: pd.DataFrame, by: Sequence[str], block: str, least: int) -> list[tuple[str, str, pd.DataFrame]]:
    """Return the slices that are worth judging: `least` rows or more, from at least two blocks."""
    return [
        (column, str(value), part)
        for column in by
        for value, part in rows.groupby(column, sort=True, observed=True)
        if len(part) >= least and part[block].nunique() > 1
    ]
