"""Where a model is weak: its metric slice by slice, and how groups are treated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ringbound.display.figures import BLUE, GREY, Plot, panels
from ringbound.display.tables import Shown
from ringbound.errors import ProblemError
from ringbound.evaluation.by_slice import slices as sliced
from ringbound.evaluation.ladder import LadderResult
from ringbound.problem import metrics
from ringbound.problem.metrics import higher_is_better
from ringbound.problem.packed import as_column
from ringbound.problem.training import Rows

ONE_SIDED = ("false_negative_rate",)
"""Measures of which less than the others is no harm."""


@dataclass(frozen=True)
class SliceTable(Shown):
    """One row per slice with enough rows: count, mean outcome and answer, the ranking metric with its interval.

    `shrunk` is the metric drawn towards the mean of all, since the weakest of many looks weaker than it is.
    """

    table: pd.DataFrame
    metric: str
    overall: float
    digits = 3

    @property
    def frame(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def weakest(self, count: int = 3) -> pd.DataFrame:
        """Return the slices that the metric is worst in, the metric as it is taken to be when all are looked at together."""
        return self.table.sort_values("shrunk", ascending=higher_is_better(self.metric)).head(count)

    def figure(self, by: str) -> Plot:
        """Draw the slices of one column with their intervals; the line is all rows."""
        shown = self.table[self.table["slice"] == by].sort_values("metric")
        figure, axes = panels(8, 0.24 * len(shown) + 1)
        axes.hlines(shown["value"], shown["low"], shown["high"], color=BLUE, linewidth=1)
        axes.plot(shown["metric"], shown["value"], "o", color=BLUE, markersize=4)
        axes.axvline(self.overall, color=GREY, linewidth=1)
        axes.set(xlabel=f"{self.metric} (95% interval); the line is all rows", title=f"By {by}")
        return Plot(figure)


@dataclass(frozen=True)
class BiasTable(Shown):
    """One row per group with enough rows: how it is answered, and its `gap`.

    The gap is what a group has more of than all rows: of yeses that were missed, or of error. It is by `measure`; missing
    where a group has none to go by.
    """

    table: pd.DataFrame
    measure: str
    digits = 3

    @property
    def frame(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def largest(self, count: int = 3) -> pd.DataFrame:
        """Return the groups with the largest gap: of what is missed those with more of it, of errors either way."""
        size = self.table["gap"] if self.measure in ONE_SIDED else self.table["gap"].abs()
        return self.table.loc[size.dropna().sort_values(kind="stable").tail(count).index[::-1]]


def slices_of(rows: Rows, past: Rows) -> pd.DataFrame:
    """Return what `rows` are sliced by, as the problem declares it; `ProblemError` where a guarded slice is missing.

    >>> from ringbound.testing import examples
    >>> list(slices_of(examples.later(), examples.past()))
    ['depot', 'weight']
    """
    where = f"problem {rows.problem.name}: slices"
    by = rows.problem.slices(rows.table.copy(), past.table.copy())
    if not isinstance(by, pd.DataFrame) or not by.index.equals(rows.table.index):
        raise ProblemError(f"{where}: expected a table with the index of its {len(rows)} rows; got {type(by).__name__}")
    if by.columns.has_duplicates or not all(isinstance(name, str) and not name.startswith("_") for name in by):
        raise ProblemError(
            f"{where}: expected columns of different names, without _ at their beginning; got {list(by)}"
        )
    if unknown := [name for name in by if by[name].isna().any()]:
        raise ProblemError(
            f"{where}: expected a text for every row; {unknown} have rows without one; name it, like 'none'"
        )
    by = by.reset_index(drop=True)
    if missing := sorted(set(rows.problem.guarded) - set(by)):
        raise ProblemError(
            f"problem {rows.problem.name}: guarded: expected slices of {list(by)}; got {missing}; declare the slice"
        )
    return by


def slice_table(result: LadderResult, by: pd.DataFrame, *, draws: int, seed: int, least_rows: int) -> SliceTable:
    """Measure the full model in every slice of at least `least_rows` rows.

    >>> from ringbound.testing import examples
    >>> by = slices_of(examples.later(), examples.past())
    >>> slice_table(examples.evaluation(), by, draws=20, seed=1, least_rows=100).weakest(1)["value"].item()
    'light'
    """
    task, rows = result.bundle.task, result.rows
    answers = result.answers["full"]
    scored = by.assign(_y=rows.y, _answer=as_column(answers), _block=rows.blocks)
    scored = scored.assign(_came=task.came(rows.y, answers), _single=task.single(answers))
    columns: dict[str, Any] = {"y": "_y", "p": "_answer", "block": "_block", "metric": task.metrics[task.ranking]}
    columns["shown"] = ("_came", "_single")
    table = sliced(
        scored,
        [str(name) for name in by],
        **columns,
        draws=draws,
        seed=seed,
        least=least_rows,
        stretch=rows.problem.stretch,
    )
    return SliceTable(table, task.ranking, result.estimates["full"][task.ranking].value)


def bias_table(result: LadderResult, by: pd.DataFrame, *, least_rows: int) -> BiasTable:
    """Return how groups fare, by the problem's guarded slices.

    For a classification fairlearn's selection rate and false-negative rate (Bird et al., 2020); for a number the mean error,
    for classes the share that was wrong. Groups differ in outcome, so equal rates are not the aim; a group that fares far
    worse is what to look for.

    >>> from ringbound.testing import examples
    >>> by = slices_of(examples.later(), examples.past())
    >>> bias_table(examples.evaluation(), by, least_rows=100).largest(1)["group"].item()
    'north'
    """
    y, answers = result.rows.y, result.answers["full"]
    task = result.bundle.task
    decided = task.decide(answers)
    if task.classes:
        measured: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
            "error_rate": lambda truth, answer: 1 - metrics.accuracy(truth, answer, np.ones(len(truth)))
        }
        given, worst = answers, "error_rate"
    elif decided is not None:
        from fairlearn.metrics import false_negative_rate, selection_rate

        measured = {
            "selection_rate": selection_rate,
            "false_negative_rate": false_negative_rate,
        }
        given, worst = decided, "false_negative_rate"
    else:
        measured = {"mean_error": lambda truth, answer: float(np.mean(np.asarray(answer) - np.asarray(truth)))}
        given, worst = answers, "mean_error"
    came, groups = task.came(y, answers), []
    for name in result.rows.problem.guarded:
        for group, places in by.groupby(name, sort=True, observed=True).indices.items():
            if len(places) >= least_rows:
                values = {metric: rate(y[places], given[places]) for metric, rate in measured.items()}
                if worst in ONE_SIDED and not y[places].any():
                    values[worst] = float("nan")  # no yes to miss
                groups.append(
                    {"by": name, "group": str(group), "rows": len(places), "outcome": came[places].mean(), **values}
                )
    table = pd.DataFrame(groups, columns=["by", "group", "rows", "outcome", *measured])
    overall = measured[worst](y, given)
    return BiasTable(table.assign(gap=table[worst].astype(float) - overall), worst)
