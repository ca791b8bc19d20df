"""What kind of question a problem asks. All that depends on it is asked of the task, here and nowhere else.

A task says which proper loss answers are judged by, which metrics describe them, what an answer is called, and what
becomes of it: a classification turns probabilities into decisions by what mistakes cost; a regression leaves values be.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from ringbound.errors import ProblemError
from ringbound.problem import metrics
from ringbound.problem.metrics import Metric


@dataclass(frozen=True)
class Costs:
    """What mistakes cost, in any unit: a yes that was missed, and a no that was called yes.

    >>> Costs(miss=3.0, false_alarm=1.0).threshold
    0.25
    """

    miss: float
    false_alarm: float

    def __post_init__(self):
        if not (self.miss > 0 and self.false_alarm > 0):
            raise ProblemError(f"costs: expected numbers above 0; got miss={self.miss}, false_alarm={self.false_alarm}")

    @property
    def threshold(self) -> float:
        """The probability from which saying yes costs less than saying no (Elkan, IJCAI 2001, theorem 1)."""
        return self.false_alarm / (self.false_alarm + self.miss)


class Task(Protocol):
    """What machinery may ask of a task.

    `answer` is what an answer is called in every file and response, `probabilities` says whether it is that of a yes;
    `outcome` is the kind of value that says what really came; `loss` is the name of the metric that decides, which is the
    mean of `losses`; `metrics` are all there are, `headline` those worth a column where room is short, `ranking` the one
    that slices show.
    """

    name: ClassVar[str]
    answer: ClassVar[str]
    probabilities: ClassVar[bool]
    loss: ClassVar[str]
    headline: ClassVar[tuple[str, ...]]
    ranking: ClassVar[str]
    metrics: ClassVar[Mapping[str, Metric]]
    outcome: ClassVar[Literal["boolean", "number"]]

    @property
    def says_answer(self) -> str:
        """What an answer is, in words."""
        ...

    @property
    def says_outcome(self) -> str:
        """What an outcome is, in words."""
        ...

    @property
    def says_decision(self) -> str:
        """What a decision is, in words; nothing where nothing is decided."""
        ...

    @property
    def threshold(self) -> float | None:
        """The answer from which the decision is yes; None where nothing is decided."""
        ...

    def losses(self, y: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Return each row's loss, (n,)."""
        ...

    def decide(self, answers: np.ndarray) -> np.ndarray | None:
        """Return each row's decision, (n,) of booleans; None where nothing is decided."""
        ...

    def check_labels(self, y: np.ndarray) -> None:
        """Raise `ProblemError` where outcomes (n,) are none of this task."""
        ...


@dataclass(frozen=True)
class Classification:
    """Yes or no, answered by a probability of yes; outcomes are 1 and 0. `yes` and `no` are the words for them."""

    costs: Costs
    yes: str = "yes"
    no: str = "no"

    name: ClassVar[str] = "classification"
    answer: ClassVar[str] = "probability"
    probabilities: ClassVar[bool] = True
    loss: ClassVar[str] = "log_loss"
    headline: ClassVar[tuple[str, ...]] = ("auc", "log_loss")
    ranking: ClassVar[str] = "auc"
    metrics: ClassVar[Mapping[str, Metric]] = metrics.PROBABILITY_METRICS
    outcome: ClassVar[Literal["boolean", "number"]] = "boolean"

    @property
    def says_answer(self) -> str:
        """What an answer is, in words."""
        return f"probability of {self.yes}"

    @property
    def says_outcome(self) -> str:
        """What an outcome is, in words."""
        return f"true: {self.yes}, false: {self.no}"

    @property
    def says_decision(self) -> str:
        """What a decision is, in words."""
        return f"{self.yes} from a probability of {self.threshold:g}"

    @property
    def threshold(self) -> float:
        """The probability from which the decision is yes."""
        return self.costs.threshold

    def losses(self, y: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Return each row's negative log likelihood, (n,), in nats."""
        return metrics.log_losses(y, answers)

    def decide(self, answers: np.ndarray) -> np.ndarray:
        """Return whether each probability is at least the threshold, (n,)."""
        return answers >= self.threshold

    def check_labels(self, y: np.ndarray) -> None:
        """Raise `ProblemError` unless outcomes are 1 and 0, both of them."""
        outcomes = np.unique(y)
        if not np.array_equal(outcomes, [0.0, 1.0]):
            raise ProblemError(
                f"label: expected 0 and 1, both of them, for a classification; got {outcomes[:5].tolist()}"
            )


@dataclass(frozen=True)
class Regression:
    """A number, in `unit`; nothing is decided."""

    unit: str = ""

    name: ClassVar[str] = "regression"
    answer: ClassVar[str] = "value"
    probabilities: ClassVar[bool] = False
    loss: ClassVar[str] = "mse"
    headline: ClassVar[tuple[str, ...]] = ("mae", "rmse")
    ranking: ClassVar[str] = "mae"
    metrics: ClassVar[Mapping[str, Metric]] = metrics.REGRESSION_METRICS
    outcome: ClassVar[Literal["boolean", "number"]] = "number"

    @property
    def says_answer(self) -> str:
        """What an answer is, in words."""
        return f"the predicted value{f', {self.unit}' if self.unit else ''}"

    @property
    def says_outcome(self) -> str:
        """What an outcome is, in words."""
        return f"the true value{f', {self.unit}' if self.unit else ''}"

    @property
    def says_decision(self) -> str:
        """Nothing is decided."""
        return ""

    @property
    def threshold(self) -> None:
        """Nothing is decided."""
        return None

    def losses(self, y: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Return each row's squared error, (n,)."""
        return metrics.squared_errors(y, answers)

    def decide(self, answers: np.ndarray) -> None:
        """Return nothing: a value is the answer."""
        return None

    def check_labels(self, y: np.ndarray) -> None:
        """Raise `ProblemError` unless outcomes are finite numbers that differ."""
        if not np.isfinite(y).all() or len(np.unique(y)) < 2:
            raise ProblemError("label: expected finite numbers that differ, for a regression")


def task_to_json(task: Task) -> dict[str, Any]:
    """Return a task as plain data."""
    if isinstance(task, Classification):
        return {"name": task.name, "costs": [task.costs.miss, task.costs.false_alarm], "words": [task.yes, task.no]}
    assert isinstance(task, Regression)
    return {"name": task.name, "unit": task.unit}


def task_from_json(plain: Mapping[str, Any]) -> Task:
    """Undo `task_to_json`."""
    if plain["name"] == Classification.name:
        return Classification(Costs(*plain["costs"]), *plain["words"])
    if plain["name"] == Regression.name:
        return Regression(plain["unit"])
    raise ProblemError(f"task: expected classification or regression; got {plain['name']!r}; install a newer ringbound")
