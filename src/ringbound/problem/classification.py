"""A yes or a no: answered by a probability, decided by what mistakes cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ringbound.errors import ProblemError
from ringbound.problem import metrics
from ringbound.problem.metrics import Metric
from ringbound.problem.scalar import Scalar
from ringbound.problem.task import Costs, Link


@dataclass(frozen=True)
class Classification(Scalar):
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
    outcome: ClassVar[Literal["boolean", "number", "string"]] = "boolean"
    least: ClassVar[float | None] = None
    link: ClassVar[Link] = "logistic"
    level: ClassVar[float | None] = None
    stated: ClassVar[tuple[str, float]] = ("calibration_error", 0.0)
    coverage: ClassVar[float | None] = None

    @property
    def says_answer(self) -> str:
        """What an answer is, in words."""
        return f"probability of {self.yes}"

    @property
    def says_margin(self) -> str:
        """What explanations add up to, in words."""
        return "log-odds before calibration"

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

    def expected_losses(self, answers: np.ndarray) -> np.ndarray:
        """Return what probabilities themselves say that they will lose, (n,)."""
        yes, no = np.ones(len(answers)), np.zeros(len(answers))
        return answers * self.losses(yes, answers) + (1 - answers) * self.losses(no, answers)

    def constant(self, y: np.ndarray) -> float:
        """Return the share of yeses."""
        return float(np.mean(y))

    def decide(self, answers: np.ndarray) -> np.ndarray:
        """Return whether each probability is at least the threshold, (n,)."""
        return answers >= self.threshold

    @property
    def asks(self) -> tuple[Any, ...]:
        """What two models must share to be compared."""
        return (self.name,)

    def admits(self, y: np.ndarray) -> np.ndarray:
        """Return which outcomes can be, (n,): 1 and 0."""
        return (y == 1) | (y == 0)

    def check_labels(self, y: np.ndarray) -> None:
        """Raise `ProblemError` unless outcomes are 1 and 0, both of them."""
        outcomes = np.unique(y)
        if not np.array_equal(outcomes, [0.0, 1.0]):
            raise ProblemError(
                f"label: expected 0 and 1, both of them, for a classification; got {outcomes[:5].tolist()}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the task as plain data."""
        return {"name": self.name, "costs": [self.costs.miss, self.costs.false_alarm], "words": [self.yes, self.no]}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Classification":
        """Undo `to_json`."""
        return cls(Costs(*plain["costs"]), *plain["words"])
