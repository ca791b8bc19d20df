"""How often the outcome lies in the interval that was answered with: over all rows, and slice by slice."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ringbound.display.tables import Shown
from ringbound.errors import ModelError
from ringbound.evaluation.ladder import LadderResult
from ringbound.evaluation.uncertainty import Estimate, mean_of


@dataclass(frozen=True)
class IntervalTable(Shown):
    """How many outcomes are covered: a row for all rows and one a slice.

    Each has how many rows there are, the share of outcomes that is covered, with its interval, and the mean width; of sets of
    classes that is how many are in them. `promised` is the share that intervals are to hold.
    """

    table: pd.DataFrame
    promised: float
    covered: Estimate
    classes: bool = False
    digits = 3

    @property
    def caption(self) -> str:
        """What was promised and what was held."""
        narrow, wide = self.covered.high < self.promised, self.covered.low > self.promised
        says = "not held: they are too narrow" if narrow else "held, and more" if wide else "held within noise"
        what = "sets of classes" if self.classes else "intervals"
        return f"{what} promise to hold {self.promised:.0%} of outcomes; they hold {_percent(self.covered)}: {says}"

    @property
    def frame(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def slices_off(self) -> pd.DataFrame:
        """Return the slices whose interval is below what is promised, each looked at by itself, worst first."""
        table = self.table[self.table["slice"] != ""]
        return table[table["high"] < self.promised].sort_values("covered")


def interval_table(result: LadderResult, by: pd.DataFrame, *, draws: int, seed: int, least_rows: int) -> IntervalTable:
    """Hold the intervals of the full model's answers to what came out, in every slice of at least `least_rows` rows.

    >>> from ringbound.testing import examples
    >>> interval_table(examples.evaluation(), pd.DataFrame(), draws=20, seed=1, least_rows=100)
    Traceback (most recent call last):
    ringbound.errors.ModelError: intervals: expected answers that have some; ...
    """
    rows, task = result.rows, result.bundle.task
    answers, rung = result.answers["full"], np.full(len(rows), "full", object)
    if task.classes:
        there = result.bundle.within(answers, rung)
        ends = None if there is None else (there[np.arange(len(rows)), rows.y.astype(int)], there.sum(axis=1))
    else:
        ends = result.bundle.bounds(answers, rung)
    if ends is None or task.coverage is None or np.isnan(ends[0]).any():
        raise ModelError(
            f"intervals: expected answers that have some; of a {task.name} none have; leave interval_table out"
        )
    inside, wide = ends if task.classes else ((ends[0] <= rows.y) & (rows.y <= ends[1]), ends[1] - ends[0])
    inside = inside.astype(float)
    parts = [("", "all", np.arange(len(rows)))]
    for name in map(str, by):
        groups = by.groupby(name, sort=True, observed=True).indices
        parts += [
            (name, str(value), np.asarray(places)) for value, places in groups.items() if len(places) >= least_rows
        ]
    if task.classes:
        parts += [("came", name, np.flatnonzero(rows.y == place)) for place, name in enumerate(task.classes)]
        parts = [part for part in parts if len(part[2]) >= least_rows or not part[0]]
    table, covered = [], None
    for name, value, places in parts:
        if len(set(rows.blocks[places])) < 2:
            continue
        found = mean_of(inside[places], rows.blocks[places], draws=draws, seed=seed, stretch=rows.problem.stretch)
        one = Estimate(found.value, *found.interval(mean=True))
        covered = covered or one
        width = float(wide[places].mean())
        table.append((name, value, len(places), one.value, max(one.low, 0.0), min(one.high, 1.0), width))
    if covered is None:
        raise ModelError("intervals: expected rows of at least 2 blocks; measure on more of them")
    columns = ["slice", "value", "rows", "covered", "low", "high", "width"]
    return IntervalTable(pd.DataFrame(table, columns=columns), task.coverage, covered, bool(task.classes))


def _percent(share: Estimate) -> str:
    return f"{share.value:.1%} ({max(share.low, 0.0):.1%} to {min(share.high, 1.0):.1%})"
