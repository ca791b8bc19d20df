"""What would come if nothing were decided, from the questions that were left undecided."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from ringbound.monitoring.days import DAY_US

LEAST, LEAST_DAYS = 30, 8
"""Undecided questions with an outcome, and days that have some, below which nothing is said."""


@dataclass(frozen=True)
class DecisionEffect:
    """The mean outcome of n questions, `undecided` of them left alone: as it `came`, and as it would have been `alone`.

    `low` and `high` are the 95% interval of the latter.
    """

    n: int
    undecided: int
    came: float
    alone: float
    low: float
    high: float

    def __str__(self) -> str:
        return (
            f"mean outcome {self.came:.4g} as it came, {self.alone:.4g} ({self.low:.4g} to {self.high:.4g}) had nothing been "
            f"decided, by {self.undecided:,} of {self.n:,} that were left undecided"
        )


def effect_of_decisions(answers: pd.DataFrame) -> DecisionEffect | None:
    """Return what decisions change, None where too few questions were left undecided; `answers` as of `final_answers`.

    Doubly robust (Robins, Rotnitzky and Zhao, Journal of the American Statistical Association 89, 1994): the answers of all
    say what is expected, and what came of those left alone, weighted by how likely each was to be, says how far that is off.
    A model that is wrong costs width, not rightness. A day, whose questions are alike, is one draw in the interval, which is
    too narrow where few units ask again and again. Questions that could not have been left alone are not counted.

    >>> day = np.repeat(np.arange(30) * DAY_US, 20)
    >>> alone = np.arange(600) % 10 == 0
    >>> table = pd.DataFrame({"at": day, "answer": 0.5, "outcome": np.where(alone, 0.6, 0.2)})
    >>> table = table.assign(propensity=np.where(alone, 0.1, 0.9), decision=np.where(alone, None, True))
    >>> print(effect_of_decisions(table))
    mean outcome 0.24 as it came, 0.6 (0.6 to 0.6) had nothing been decided, by 60 of 600 that were left undecided
    """
    answers = answers[answers["propensity"] < 1]
    alone, day = answers["decision"].isna().to_numpy(), (answers["at"] // DAY_US).to_numpy()
    if alone.sum() < LEAST or len(np.unique(day[alone])) < LEAST_DAYS:
        return None
    weight = np.where(alone, 1 / answers["propensity"].to_numpy(), 0.0)
    error = (answers["outcome"] - answers["answer"]).to_numpy(float)
    off = (weight * error).sum() / weight.sum()
    estimate = answers["answer"].mean() + off
    influence = (answers["answer"] - answers["answer"].mean()).to_numpy() + weight * (error - off) / weight.mean()
    days = pd.Series(influence).groupby(day).sum().to_numpy()
    n = len(days)
    half = float(stdtrit(n - 1, 0.975)) * np.sqrt((days**2).sum() * n / (n - 1)) / len(answers)
    came = float(answers["outcome"].mean())
    return DecisionEffect(len(answers), int(alone.sum()), came, estimate, estimate - half, estimate + half)
