"""Sums over answers and what came of them, which add up over days, hosts and parts."""

from dataclasses import asdict, dataclass

import numpy as np

from ringbound.problem.packed import readable
from ringbound.problem.task import Task


@dataclass(frozen=True)
class Sums:
    """Of `rows` answers, `known` have an outcome; the sums of loss, expected loss, outcome and answer are over these.

    Of classes, outcome is whether the likeliest came, and answer its probability.

    `of_all` are the sums of expected loss and answer over all rows.
    """

    rows: int = 0
    known: int = 0
    loss: float = 0.0
    expected: float = 0.0
    outcome: float = 0.0
    answer: float = 0.0
    expected_of_all: float = 0.0
    answer_of_all: float = 0.0

    def __add__(self, other: "Sums") -> "Sums":
        mine = asdict(self)
        return Sums(**{name: mine[name] + value for name, value in asdict(other).items()})

    @property
    def mean_loss(self) -> float:
        """The mean loss; NaN where nothing is known."""
        return self.loss / self.known if self.known else float("nan")

    @property
    def mean_gap(self) -> float:
        """By how much more was lost, on average, than the answers themselves led to expect."""
        return (self.loss - self.expected) / self.known if self.known else float("nan")

    @property
    def mean_outcome(self) -> float:
        """The mean outcome."""
        return self.outcome / self.known if self.known else float("nan")


def sum_up(task: Task, answers: np.ndarray, outcomes: np.ndarray, expected: np.ndarray) -> Sums:
    """Sum up answers (n,), their outcomes, NaN where there is none, and what was expected of them."""
    known = ~np.isnan(outcomes) & readable(answers)
    y, p = outcomes[known], answers[known]
    return Sums(
        rows=len(answers),
        known=int(known.sum()),
        loss=float(task.losses(y, p).sum()),
        expected=float(expected[known].sum()),
        outcome=float(task.came(y, p).sum()),
        answer=float(task.single(p).sum()),
        expected_of_all=float(np.nansum(expected)),
        answer_of_all=float(np.nansum(task.single(answers))),
    )
