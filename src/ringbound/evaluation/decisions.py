"""What decisions are worth: the cost of the model's, of never saying yes, and of always saying it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ringbound.display.tables import Shown
from ringbound.evaluation.ladder import LadderResult
from ringbound.problem.task import Classification


@dataclass(frozen=True)
class DecisionTable(Shown):
    """Shares and costs of ways to decide, a column each; empty for a regression, which decides nothing."""

    table: pd.DataFrame
    digits = 3

    @property
    def frame(self) -> pd.DataFrame:
        """The table."""
        return self.table


def decision_table(result: LadderResult) -> DecisionTable:
    """Return what deciding by the full model and by the baseline costs, in units of a false alarm per 100 rows.

    >>> from ringbound.testing import examples
    >>> costs = decision_table(examples.evaluation()).frame.loc["cost per 100 parcels"]
    >>> bool(costs["model"] < costs[["default", "never", "always"]].min())
    True
    """
    task, y, rows = result.bundle.task, result.rows.y, result.rows.problem.rows
    if not isinstance(task, Classification):
        return DecisionTable(pd.DataFrame())
    ratio = task.costs.miss / task.costs.false_alarm
    ways = {
        "model": task.decide(result.answers["full"]),
        result.baseline: task.decide(result.answers[result.baseline]),
        "never": np.zeros(len(y), bool),
        "always": np.ones(len(y), bool),
    }
    return DecisionTable(
        pd.DataFrame(
            {
                name: {
                    f"called {task.yes}": called.mean(),
                    f"{task.yes} missed": ((y == 1) & ~called).sum() / y.sum(),
                    f"cost per 100 {rows}": 100 * (ratio * ((y == 1) & ~called) + ((y == 0) & called)).mean(),
                }
                for name, called in ways.items()
            }
        )
    )
