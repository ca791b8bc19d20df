"""What a model answers for rows that have no outcome: those that were asked all the same."""

import pandas as pd

from ringbound.display.tables import Shown
from ringbound.evaluation.ladder import LadderResult
from ringbound.problem.training import TrainingTable


class UnlabelledTable(Shown):
    """Rows with and without an outcome: how many, and what the full model answers."""

    digits = 3

    def __init__(self, table: pd.DataFrame):
        self.table = table

    @property
    def share(self) -> float:
        """The share of asked rows that have no outcome."""
        return float(self.table["share"].loc["without outcome"])

    @property
    def frame(self) -> pd.DataFrame:
        """The table."""
        return self.table


def unlabelled_table(result: LadderResult, training: TrainingTable, *splits: str) -> UnlabelledTable:
    """Return what the full model says of rows of some splits that have no outcome, beside those that have one.

    >>> from ringbound.testing import examples
    >>> unlabelled_table(examples.evaluation(), examples.training(), "test").frame.index.tolist()
    ['with outcome', 'without outcome']
    """
    bundle = result.bundle
    without = training.unlabelled(*splits)
    answers = {"with outcome": result.answers["full"], "without outcome": bundle.full.answer(without.features)}
    asked = sum(map(len, answers.values()))
    rows = {}
    for name, given in answers.items():
        if not len(given):
            rows[name] = {"rows": 0, "share": 0.0}
            continue
        decided = bundle.task.decide(given)
        rows[name] = {
            "rows": len(given),
            "share": len(given) / asked,
            f"mean {bundle.task.answer}": bundle.task.single(given).mean(),
        }
        if decided is not None and not bundle.task.classes:
            rows[name]["decided yes"] = decided.mean()
    return UnlabelledTable(pd.DataFrame(rows).T.astype({"rows": int}))
