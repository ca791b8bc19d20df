"""Temporal validation with a rolling origin: fit on all that is past at a cut-off, judge on what follows, several times.

Tashman, International Journal of Forecasting 16 (2000).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
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


MOST = 500
"""Steps that a kind which is built in steps is followed for."""


@dataclass(frozen=True)
class Judged:
    """How a candidate did: its mean loss up to each fold, in order, and the arguments that were found on the way."""

    means: list[float]
    found: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Validation:
    """The rows and the folds by which every candidate is judged; `judge` is what a search evaluates.

    X (n, p) and `sizes` are as a candidate takes them, y (n,); the loss is the task's. `learnt` (n, p) is X as it is fitted
    on: in a share of its rows it lacks what a question may lack.
    """

    X: np.ndarray
    learnt: np.ndarray
    y: np.ndarray
    sizes: list[int]
    task: Task
    folds: list[Fold]
    seed: int

    def answers(self, candidate: Candidate, arguments: dict[str, Any], fold: Fold) -> np.ndarray:
        """Return the answers for the later rows of a fold by the candidate fitted on its past."""
        model = candidate.fit(
            self.learnt[fold.past], self.y[fold.past], sizes=self.sizes, task=self.task, seed=self.seed, **arguments
        )
        return model.predict(self.X[fold.later])

    def judge(self, candidate: Candidate, arguments: dict[str, Any], bars: Sequence[float]) -> Judged:
        """Return the mean loss up to each fold; stop after the fold whose mean is above its bar.

        A candidate that is followed step by step takes the number of steps at which the folds together lose least, as any
        argument is taken; of a few hundred numbers one is chosen on the months that judge, which favours it a little. None is
        followed further than the shortest of the folds before it.
        """
        curves: list[np.ndarray] = []
        means: list[float] = []
        best, most = 1, MOST
        for fold, bar in zip(self.folds, bars, strict=True):
            curves.append(self._losses(candidate, arguments, fold, most))
            most = len(curves[-1])
            mean = np.mean([curve[:most] for curve in curves], axis=0)
            best = int(np.argmin(mean)) + 1
            means.append(float(mean[best - 1]))
            if not means[-1] <= bar:
                break
        return Judged(means, {"iterations": best} if candidate.follow else {})

    def _losses(self, candidate: Candidate, arguments: dict[str, Any], fold: Fold, most: int) -> np.ndarray:
        """Return the mean loss on the later rows of a fold: after each step, or of the finished model alone."""
        if candidate.follow is None:
            answers = self.answers(candidate, arguments, fold)
            return np.array([self.task.losses(self.y[fold.later], answers).mean()])
        return candidate.follow(
            self.learnt[fold.past],
            self.y[fold.past],
            self.X[fold.later],
            self.y[fold.later],
            sizes=self.sizes,
            task=self.task,
            seed=self.seed,
            most=most,
            **arguments,
        )

    @property
    def judged(self) -> np.ndarray:
        """The positions of all judged rows, fold by fold, (m,)."""
        return np.concatenate([fold.later for fold in self.folds])
