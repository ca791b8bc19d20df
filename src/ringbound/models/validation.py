"""Temporal validation with a rolling origin: fit on all that is past at a cut-off, judge on what follows, several times.

Tashman, International Journal of Forecasting 16 (2000).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ringbound.errors import ModelError
from ringbound.models.candidates import Candidate
from ringbound.problem.task import Task


@dataclass(frozen=True)
class Fold:
    """One cut-off: positions of the rows to fit on, all before it, and of those to judge on."""

    name: str
    past: np.ndarray
    later: np.ndarray


def rolling_origin(periods: Sequence[str] | np.ndarray, judged: Sequence[str]) -> list[Fold]:
    """Return a fold for each period to judge on, in order; its past are all rows of earlier periods.

    `periods` names each row's period, (n,); names sort by time: `2013-09`.
    """
    names = np.asarray(periods, dtype=str)
    folds = []
    for name in sorted(judged):
        past, later = np.flatnonzero(names < name), np.flatnonzero(names == name)
        if not len(past) or not len(later):
            raise ModelError(
                f"validation: expected rows before and in period {name}; got {len(past)} and {len(later)}; "
                "judge on later periods, or on fewer"
            )
        folds.append(Fold(name, past, later))
    return folds


@dataclass(frozen=True)
class Validation:
    """The rows and the folds by which every candidate is judged; `judge` is what a search evaluates.

    X (n, p) and `sizes` are as a candidate takes them, y (n,); the loss is the task's.
    """

    X: np.ndarray
    y: np.ndarray
    sizes: list[int]
    task: Task
    folds: list[Fold]
    seed: int

    def answers(self, candidate: Candidate, arguments: dict[str, Any], fold: Fold) -> np.ndarray:
        """Return the answers for the later rows of a fold by the candidate fitted on its past."""
        model = candidate.fit(
            self.X[fold.past], self.y[fold.past], sizes=self.sizes, task=self.task, seed=self.seed, **arguments
        )
        return model.predict(self.X[fold.later])

    def judge(self, candidate: Candidate, arguments: dict[str, Any], bars: Sequence[float]) -> list[float]:
        """Return the mean loss up to each fold; stop after the fold whose mean is above its bar."""
        losses: list[float] = []
        means: list[float] = []
        for fold, bar in zip(self.folds, bars, strict=True):
            answers = self.answers(candidate, arguments, fold)
            losses.append(float(self.task.losses(self.y[fold.later], answers).mean()))
            means.append(float(np.mean(losses)))
            if means[-1] > bar:
                break
        return means

    @property
    def judged(self) -> np.ndarray:
        """The positions of all judged rows, fold by fold, (m,)."""
        return np.concatenate([fold.later for fold in self.folds])

    def out_of_fold(self, candidate: Candidate, arguments: dict[str, Any]) -> np.ndarray:
        """Return answers for all judged rows, (m,), by models that were fitted on their past alone."""
        return np.concatenate([self.answers(candidate, arguments, fold) for fold in self.folds])
