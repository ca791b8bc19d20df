"""One of several classes: answered by the probability of each; the likeliest is what is decided."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from ringbound.errors import ProblemError
from ringbound.problem import metrics
from ringbound.problem.metrics import Metric
from ringbound.problem.task import HOLDS, Link, check_share

MOST_CLASSES = 50


@dataclass(frozen=True)
class Multiclass:
    """One of `classes`, answered by a probability for each, (n, classes); outcomes are their places, 0 for the first.

    `interval` is the share of outcomes that the set of classes told with an answer is to hold, None for no sets.

    >>> task = Multiclass(("walk", "bus", "car"))
    >>> task.decide(np.array([[0.2, 0.5, 0.3]])).tolist(), task.losses(np.array([1.0]), np.array([[0.2, 0.5, 0.3]])).round(3)
    (['bus'], array([0.693]))
    """

    classes: tuple[str, ...]
    interval: float | None = HOLDS
    metrics: Mapping[str, Metric] = field(init=False, repr=False, compare=False)

    name: ClassVar[str] = "multiclass"
    answer: ClassVar[str] = "probabilities"
    probabilities: ClassVar[bool] = False
    loss: ClassVar[str] = "log_loss"
    headline: ClassVar[tuple[str, ...]] = ("accuracy", "log_loss")
    ranking: ClassVar[str] = "accuracy"
    outcome: ClassVar[Literal["boolean", "number", "string"]] = "string"
    least: ClassVar[float | None] = None
    whole: ClassVar[bool] = False
    link: ClassVar[Link] = "softmax"
    level: ClassVar[float | None] = None
    stated: ClassVar[tuple[str, float]] = ("calibration_error", 0.0)
    threshold: ClassVar[float | None] = None

    def __post_init__(self):
        names = list(self.classes)
        texts = all(isinstance(name, str) and name for name in names)
        if not texts or len(set(names)) < len(names) or not 2 < len(names) <= MOST_CLASSES:
            raise ProblemError(
                f"multiclass: expected 3 to {MOST_CLASSES} classes, texts that differ; got {names[:MOST_CLASSES]}"
            )
        check_share(self.interval)
        each = {f"recall {name}": metrics.Recall(place) for place, name in enumerate(names)}
        object.__setattr__(self, "metrics", metrics.CLASS_METRICS | each)

    @property
    def coverage(self) -> float | None:
        """The share of outcomes that a set is to hold."""
        return self.interval

    @property
    def says_answer(self) -> str:
        """What an answer is, in words."""
        return "probability of each class"

    @property
    def says_margin(self) -> str:
        """What explanations add up to, in words."""
        return "the logarithm of the likeliest class's probability, above the mean of all classes'"

    @property
    def says_outcome(self) -> str:
        """What an outcome is, in words."""
        return f"one of {', '.join(self.classes)}"

    @property
    def says_decision(self) -> str:
        """What a decision is, in words."""
        return "the class of the largest probability"

    def losses(self, y: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Return each row's negative log likelihood, (n,), in nats."""
        return metrics.class_log_losses(y, answers)

    def expected_losses(self, answers: np.ndarray) -> np.ndarray:
        """Return what probabilities themselves say that they will lose, (n,): their entropy."""
        clipped = np.clip(answers, 1e-15, 1)
        return np.asarray(-(answers * np.log(clipped)).sum(axis=1))

    def constant(self, y: np.ndarray) -> np.ndarray:
        """Return the share of each class, (classes,), as if each had come half a time more: none is impossible."""
        counts = np.bincount(y.astype(int), minlength=len(self.classes)) + 0.5
        return counts / counts.sum()

    def decide(self, answers: np.ndarray) -> np.ndarray:
        """Return each row's likeliest class, (n,) of texts, of two the first; None where an answer is no number."""
        likeliest = np.array(self.classes, object)[np.argmax(answers, axis=1)]
        likeliest[~np.isfinite(answers).all(axis=1)] = None
        return likeliest

    def single(self, answers: np.ndarray) -> np.ndarray:
        """Return the probability of each row's likeliest class, (n,)."""
        return np.asarray(answers.max(axis=1))

    def came(self, y: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Return whether each row's likeliest class came, (n,), NaN where outcome or answer is not known."""
        unknown = np.isnan(y) | np.isnan(answers).any(axis=1)
        return np.where(unknown, np.nan, (np.argmax(answers, axis=1) == y).astype(float))

    def encode(self, values: Any) -> np.ndarray:
        """Return the place of each class, (n,), NaN for missing; `ProblemError` names a text that is no class."""
        import pandas as pd

        texts = pd.Series(values)
        places = texts.map({name: float(place) for place, name in enumerate(self.classes)}).to_numpy("float64")
        strange = texts[np.isnan(places) & texts.notna().to_numpy()]
        if len(strange):
            raise ProblemError(f"label: expected {self.says_outcome}; got {strange.iloc[0]!r}")
        return places

    def told(self, answers: np.ndarray) -> list[dict[str, float | None]]:
        """Return answers as they are told, one a row."""
        rows = np.where(np.isfinite(answers), answers, None).tolist()  # type: ignore[call-overload]
        return [dict(zip(self.classes, row, strict=True)) for row in rows]

    @property
    def asks(self) -> tuple[Any, ...]:
        """What two models must share to be compared."""
        return self.name, self.classes

    def admits(self, y: np.ndarray) -> np.ndarray:
        """Return which outcomes can be, (n,): places of classes."""
        return (y >= 0) & (y < len(self.classes)) & (y == np.floor(y))

    def check_labels(self, y: np.ndarray) -> None:
        """Raise `ProblemError` unless outcomes are places of classes, of each class one."""
        there = set(np.unique(y).tolist())
        missing = [name for place, name in enumerate(self.classes) if place not in there]
        if missing or len(there) > len(self.classes):
            raise ProblemError(f"label: expected rows of each class; got none of {', '.join(missing)}")

    def to_json(self) -> dict[str, Any]:
        """Return the task as plain data."""
        return {"name": self.name, "classes": list(self.classes), "interval": self.interval}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Multiclass":
        """Undo `to_json`."""
        return cls(tuple(plain["classes"]), plain["interval"])
