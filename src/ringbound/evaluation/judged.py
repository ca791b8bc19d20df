"""How answers that were given have turned out, as far as outcomes are known."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ringbound.display.tables import Shown
from ringbound.problem.packed import outcomes_kept, unpack
from ringbound.problem.task import Task
from ringbound.store import Judged


@dataclass(frozen=True)
class JudgedTable(Shown):
    """By model and rung: predictions, outcomes that are known, and for these the means and the loss."""

    table: pd.DataFrame

    @property
    def frame(self) -> pd.DataFrame:
        """The table."""
        return self.table


def judged_table(judged: Sequence[Judged], task: Task) -> JudgedTable:
    """Hold answers against their outcomes; those without one are counted and left out of the means.

    Early outcomes may differ from late ones: while many are missing, the means are those of what is known, not of all.

    >>> from ringbound import Classification, Costs
    >>> told = [Judged("a", 0, "m", "full", 0.8, 1.0, 5), Judged("b", 0, "m", "full", 0.3, None, None)]
    >>> table = judged_table(told, Classification(Costs(3, 1))).frame
    >>> table[["predictions", "outcomes", "log_loss"]].round(3).values.tolist()
    [[2.0, 1.0, 0.223]]
    """
    rows = pd.DataFrame(judged, columns=list(Judged._fields))
    rows = rows.assign(outcome=outcomes_kept(task, rows["outcome"].to_numpy(float)))
    known = rows[rows["outcome"].notna()]
    answers = unpack(task, known["answer"].tolist(), known["answers"].tolist())
    y = known["outcome"].to_numpy(float)
    came = pd.Series(task.came(y, answers), known.index, float)
    loss = pd.Series(task.losses(y, answers), known.index, float)
    by = [rows["model_version"].rename("model"), rows["rung"]]
    return JudgedTable(
        pd.DataFrame(
            {
                "predictions": rows.groupby(by).size(),
                "outcomes": rows["outcome"].notna().groupby(by).sum(),
                f"mean {task.answer}": known.groupby(by)["answer"].mean(),
                "mean outcome": came.groupby(by).mean(),
                task.loss: loss.groupby(by).mean(),
            }
        ).reset_index()
    )
