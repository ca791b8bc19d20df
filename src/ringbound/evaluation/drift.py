"""Whether outcomes and answers are distributed as in what the model learnt from."""

import pandas as pd

from ringbound.data.drift import DriftTable, drift_table
from ringbound.evaluation.ladder import LadderResult
from ringbound.problem.training import Rows

LEARNT = "learnt from"


def answer_drift(result: LadderResult, past: Rows, *, seed: int) -> DriftTable:
    """Hold outcomes and full answers, month by month, against those of the rows that the model learnt from.

    Of classes, the likeliest is held against those that came.

    Its answers to these are a little surer than to others, since it has seen their outcomes.

    >>> from ringbound.testing import examples
    >>> answer_drift(examples.evaluation(), examples.past(), seed=1).frame["column"].unique().tolist()
    ['late', 'probability']
    """
    problem, task = past.problem, result.bundle.task
    names = [problem.label, task.answer]
    sides = ((past, result.bundle.full.answer(past.features)), (result.rows, result.answers["full"]))
    learnt, later = (
        pd.DataFrame(
            {
                problem.label: rows.table[problem.label].to_numpy() if task.classes else rows.y,
                task.answer: task.decide(answers) if task.classes else answers,
                problem.block: rows.blocks,
                "month": rows.months,
            }
        )
        for rows, answers in sides
    )
    parts = {LEARNT: learnt, **{str(month): rows for month, rows in later.groupby("month")}}
    return drift_table(parts, names, block=problem.block, seed=seed)
