"""A yes or a no, answered by a probability: decided by what mistakes cost, or put in order within a group."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

from ringbound.errors import ProblemError
from ringbound.problem import metrics
from ringbound.problem.metrics import Metric
from ringbound.problem.ranked import DiscountedGain, ReciprocalRank
from ringbound.problem.scalar import Scalar
from ringbound.problem.task import Costs, Link


class YesNo(Scalar):
    """What holds for every task of outcomes 1 and 0 that is answered by the probability of 1."""

    yes: str
    no: str

    name: ClassVar[str]
    answer: ClassVar[str] = "probability"
    probabilities: ClassVar[bool] = True
    loss: ClassVar[str] = "log_loss"
    ranking: ClassVar[str] = "auc"
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
            raise ProblemError(f"label: expected 0 and 1, both of them, for a {self.name}; got {outcomes[:5].tolist()}")


@dataclass(frozen=True)
class Classification(YesNo):
    """Yes or no, answered by a probability of yes; outcomes are 1 and 0. `yes` and `no` are the words for them."""

    costs: Costs
    yes: str = "yes"
    no: str = "no"

    name: ClassVar[str] = "classification"
    headline: ClassVar[tuple[str, ...]] = ("auc", "log_loss")
    metrics: ClassVar[Mapping[str, Metric]] = metrics.PROBABILITY_METRICS

    @property
    def says_decision(self) -> str:
        """What a decision is, in words."""
        return f"{self.yes} from a probability of {self.threshold:g}"

    @property
    def threshold(self) -> float:
        """The probability from which the decision is yes."""
        return self.costs.threshold

    def decide(self, answers: np.ndarray) -> np.ndarray:
        """Return whether each probability is at least the threshold, (n,)."""
        return answers >= self.threshold

    def to_json(self) -> dict[str, Any]:
        """Return the task as plain data."""
        return {"name": self.name, "costs": [self.costs.miss, self.costs.false_alarm], "words": [self.yes, self.no]}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Classification":
        """Undo `to_json`."""
        return cls(Costs(*plain["costs"]), *plain["words"])


@dataclass(frozen=True)
class Ranking(YesNo):
    """Which rows of a group come first: those that are likeliest to be relevant, of which `top` are looked at.

    The rows of a group are those that share the problem's `group`, like what one search has found; outcomes are 1 and 0,
    `yes` and `no` the words for them. The answer is a probability, which is learnt and judged by its log loss; how well it
    orders a group is measured beside.
    """

    top: int = 10
    yes: str = "relevant"
    no: str = "not relevant"

    name: ClassVar[str] = "ranking"
    headline: ClassVar[tuple[str, ...]] = ("ndcg", "log_loss")
    threshold: ClassVar[None] = None
    says_decision: ClassVar[str] = ""

    def __post_init__(self):
        if isinstance(self.top, bool) or not isinstance(self.top, int) or self.top < 1:
            raise ProblemError(f"ranking: expected a number of rows that are looked at, from 1 on; got {self.top!r}")

    @cached_property
    def metrics(self) -> Mapping[str, Metric]:
        """Two of the order within groups, and those of the probabilities."""
        ordered: dict[str, Metric] = {"ndcg": DiscountedGain(self.top), "mrr": ReciprocalRank()}
        return ordered | {name: metrics.PROBABILITY_METRICS[name] for name in ("auc", "log_loss", "calibration_error")}

    def decide(self, answers: np.ndarray) -> None:
        """Decide nothing: whoever asks puts the rows in order."""

    def to_json(self) -> dict[str, Any]:
        """Return the task as plain data."""
        return {"name": self.name, "top": self.top, "words": [self.yes, self.no]}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Ranking":
        """Undo `to_json`."""
        return cls(plain["top"], *plain["words"])
