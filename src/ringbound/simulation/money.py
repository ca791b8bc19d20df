"""What a policy costs: mistakes, retrainings and outcomes, in the problem's money."""

from dataclasses import asdict, dataclass

import numpy as np

from ringbound.errors import ModelError
from ringbound.problem.classification import Classification
from ringbound.problem.task import Task


@dataclass(frozen=True)
class Prices:
    """Prices in `currency`: of one unit of the task's costs, of a retraining, and of an outcome that somebody looks up.

    A retraining costs `retraining`, whoever looks after it included, and `rows` for each 100,000 rows it learns from.
    """

    mistake: float = 1.0
    retraining: float = 0.0
    rows: float = 0.0
    outcome: float = 0.0
    currency: str = ""

    def __post_init__(self):
        numbers = {name: value for name, value in asdict(self).items() if name != "currency"}
        if not all(isinstance(value, int | float) and value >= 0 for value in numbers.values()) or self.mistake <= 0:
            raise ModelError(f"prices: expected numbers of at least 0, and mistake above it; got {numbers}")

    def of_retraining(self, rows: int) -> float:
        """Return what it costs to learn from so many rows."""
        return self.retraining + self.rows * rows / 100_000


def mistakes(task: Task, y: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Return what deciding by answers (n,) has cost each row, in the unit of the task's costs; of another task, its loss.

    >>> from ringbound import Classification, Costs
    >>> task = Classification(Costs(miss=3.0, false_alarm=1.0), yes="late", no="punctual")
    >>> mistakes(task, np.array([1.0, 0.0, 1.0]), np.array([0.1, 0.6, 0.9])).tolist()
    [3.0, 1.0, 0.0]
    """
    if not isinstance(task, Classification):
        return task.losses(y, answers)
    called = task.decide(answers)
    return task.costs.miss * ((y == 1) & ~called) + task.costs.false_alarm * ((y == 0) & called)
