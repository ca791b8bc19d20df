"""Numbers: how much or how many, with the interval that the outcome is to lie in. Nothing is decided."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ringbound.errors import ProblemError
from ringbound.problem import metrics
from ringbound.problem.metrics import Metric
from ringbound.problem.scalar import Scalar
from ringbound.problem.task import HOLDS, Link, check_share


class _Number(Scalar):
    """What holds for every number that is answered."""

    answer: ClassVar[str] = "value"
    probabilities: ClassVar[bool] = False
    outcome: ClassVar[Literal["boolean", "number", "string"]] = "number"
    unit: str
    least: float | None

    @property
    def link(self) -> Link:
        """How an answer is made of a margin: what is never negative is multiplied."""
        return "identity" if self.least is None else "log"

    @property
    def says_margin(self) -> str:
        """What explanations add up to, in words."""
        return f"logarithms of the answer{self.in_unit}" if self.link == "log" else self.unit or "the answer's unit"

    @property
    def says_outcome(self) -> str:
        """What an outcome is, in words."""
        bound = " above 0" if getattr(self, "relative", False) else " of at least 0" if self.least == 0 else ""
        return f"the true value, a {'whole ' * self.whole}number{bound}{self.in_unit}"

    @property
    def in_unit(self) -> str:
        """The unit, as it stands behind a number's name."""
        return f", {self.unit}" if self.unit else ""

    @property
    def says_decision(self) -> str:
        """Nothing is decided."""
        return ""

    @property
    def threshold(self) -> None:
        """Nothing is decided."""
        return None

    def expected_losses(self, answers: np.ndarray) -> None:
        """Return nothing: a number does not say how far off it may be."""
        return None

    def decide(self, answers: np.ndarray) -> None:
        """Return nothing: a number is the answer."""
        return None


@dataclass(frozen=True)
class Regression(_Number):
    """A number, in `unit`, answered by what `aim` says: its mean, its median, or the quantile of a level, like 0.9.

    What is to be small is the squared error, the absolute error, or that of the quantile (Koenker and Bassett,
    Econometrica 46, 1978). With `relative` errors are shown in percent too, which has a meaning where outcomes are well
    above 0. `interval` is the share of outcomes that an answer's interval is to hold, None for no intervals; a quantile is
    an end of an interval itself, and has none.

    With `least=0.0` outcomes are never negative, like money that is spent: no answer is, what moves them multiplies them, and
    an error counts for more where little is expected. Then the mean's deviance is to be small, that of Poisson's
    distribution, which asks of numbers that are not whole no more than that their spread grows with their mean (McCullagh
    and Nelder, Generalized Linear Models, 1989, ch. 9).

    >>> Regression("minutes", aim=0.9).constant(np.arange(11.0))
    9.0
    """

    unit: str = ""
    aim: Literal["mean", "median"] | float = "mean"
    relative: bool = False
    interval: float | None = HOLDS
    least: float | None = None

    name: ClassVar[str] = "regression"

    def __post_init__(self):
        check_share(self.interval)
        if self.aim not in ("mean", "median") and not (isinstance(self.aim, float) and 0 < self.aim < 1):
            raise ProblemError(
                f"regression: expected aim to be mean, median or a level between 0 and 1; got {self.aim!r}"
            )
        if self.least is not None and (type(self.least) is not float or self.least != 0 or self.aim != "mean"):
            raise ProblemError(
                f"regression: expected least to be 0.0, of a mean, or None; got {self.least!r} of {self.aim}"
            )

    @property
    def level(self) -> float | None:
        """The level of the quantile that is answered; None for the mean."""
        if isinstance(self.aim, float):
            return self.aim
        return 0.5 if self.aim == "median" else None

    @property
    def loss(self) -> str:
        """The metric that decides."""
        if self.least is not None:
            return "poisson_deviance"
        return {"mean": "mse", "median": "mae"}.get(str(self.aim), "pinball")

    @property
    def stated(self) -> tuple[str, float]:
        """The metric that says whether answers are what they state, and its best value."""
        return ("bias", 0.0) if self.level is None else ("below", self.level)

    @property
    def ranking(self) -> str:
        """The metric that slices show."""
        return "pinball" if isinstance(self.aim, float) else "mae"

    @property
    def headline(self) -> tuple[str, ...]:
        """The metrics worth a column."""
        if self.least is not None:
            return "poisson_deviance", "mae"
        return ("mae", "rmse") if isinstance(self.aim, str) else ("pinball", "below")

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """All metrics."""
        if isinstance(self.aim, float):
            below = metrics.Below(self.aim)
            return {"pinball": metrics.Pinball(self.aim), "below": below, "mae": metrics.mean_absolute_error}
        if self.aim == "median":
            return metrics.REGRESSION_METRICS | {"below": metrics.Below(0.5)} | self._in_percent
        return (metrics.REGRESSION_METRICS if self.least is None else metrics.COUNT_METRICS) | self._in_percent

    @property
    def _in_percent(self) -> dict[str, Metric]:
        return {"mape": metrics.mean_relative_error} if self.relative else {}

    @property
    def coverage(self) -> float | None:
        """The share of outcomes that an interval is to hold."""
        return self.interval if isinstance(self.aim, str) else None

    @property
    def says_answer(self) -> str:
        """What an answer is, in words."""
        what = {"mean": "the predicted value", "median": "the predicted median"}.get(
            str(self.aim), f"what the value is below with a chance of {self.aim}"
        )
        return f"{what}{self.in_unit}"

    def losses(self, y: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Return each row's squared or absolute error, deviance, or error of the quantile, (n,)."""
        if self.least is not None:
            return metrics.poisson_deviances(y, answers)
        if self.aim == "mean":
            return metrics.squared_errors(y, answers)
        return np.abs(y - answers) if self.aim == "median" else metrics.Pinball(float(self.aim)).losses(y, answers)

    def constant(self, y: np.ndarray) -> float:
        """Return the mean, or the quantile."""
        return float(np.mean(y) if self.level is None else np.quantile(y, self.level))

    @property
    def asks(self) -> tuple[Any, ...]:
        """What two models must share to be compared."""
        return self.name, self.unit, self.aim, self.least

    def admits(self, y: np.ndarray) -> np.ndarray:
        """Return which outcomes can be, (n,): finite ones, from `least` on and, for errors in percent, above 0."""
        return np.isfinite(y) & ((y > 0) if self.relative else (y >= 0) if self.least == 0 else True)

    def check_labels(self, y: np.ndarray) -> None:
        """Raise `ProblemError` unless outcomes differ, are finite, from `least` on and, for errors in percent, above 0."""
        if not np.isfinite(y).all() or len(np.unique(y)) < 2:
            raise ProblemError("label: expected finite numbers that differ, for a regression")
        if self.relative and not (y > 0).all():
            raise ProblemError(
                f"label: expected numbers above 0, for errors in percent; got {y.min():g}; declare relative=False"
            )
        if self.least is not None and (y < self.least).any():
            raise ProblemError(f"label: expected numbers of at least 0; got {y.min():g}; declare least=None")

    def to_json(self) -> dict[str, Any]:
        """Return the task as plain data."""
        about = {"unit": self.unit, "aim": self.aim, "relative": self.relative, "interval": self.interval}
        return {"name": self.name, **about, "least": self.least}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Regression":
        """Undo `to_json`."""
        return cls(plain["unit"], plain["aim"], plain["relative"], plain["interval"], plain["least"])


@dataclass(frozen=True)
class Count(_Number):
    """How many, in `unit`: a whole number of at least 0, answered by its mean, which is never negative.

    What is to be small is the deviance of the Poisson distribution: an error counts for more where few are expected
    (McCullagh and Nelder, Generalized Linear Models, 1989, ch. 6). `interval` is as in a regression.

    >>> Count("rentals").losses(np.array([0.0, 3.0]), np.array([1.0, 3.0])).tolist()
    [2.0, 0.0]
    """

    unit: str = ""
    interval: float | None = HOLDS

    name: ClassVar[str] = "count"
    whole: ClassVar[bool] = True
    least: ClassVar[float | None] = 0.0  # type: ignore[misc]
    stated: ClassVar[tuple[str, float]] = ("bias", 0.0)
    level: ClassVar[float | None] = None
    ranking: ClassVar[str] = "mae"
    loss: ClassVar[str] = "poisson_deviance"
    headline: ClassVar[tuple[str, ...]] = ("poisson_deviance", "mae")
    metrics: ClassVar[Mapping[str, Metric]] = metrics.COUNT_METRICS

    def __post_init__(self):
        check_share(self.interval)

    @property
    def coverage(self) -> float | None:
        """The share of outcomes that an interval is to hold."""
        return self.interval

    @property
    def says_answer(self) -> str:
        """What an answer is, in words."""
        return f"how many are expected{self.in_unit}"

    def losses(self, y: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Return each row's Poisson deviance, (n,)."""
        return metrics.poisson_deviances(y, answers)

    def constant(self, y: np.ndarray) -> float:
        """Return the mean."""
        return float(np.mean(y))

    @property
    def asks(self) -> tuple[Any, ...]:
        """What two models must share to be compared."""
        return self.name, self.unit

    def admits(self, y: np.ndarray) -> np.ndarray:
        """Return which outcomes can be, (n,): whole numbers of at least 0."""
        return np.isfinite(y) & (y >= 0) & (y == np.floor(y))

    def check_labels(self, y: np.ndarray) -> None:
        """Raise `ProblemError` unless outcomes are whole numbers of at least 0 that differ."""
        bad = y[~self.admits(y)]
        if len(bad) or len(np.unique(y)) < 2:
            raise ProblemError(
                "label: expected whole numbers of at least 0 that differ, for a count; got "
                f"{bad[:3].tolist() if len(bad) else 'one value alone'}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the task as plain data."""
        return {"name": self.name, "unit": self.unit, "interval": self.interval}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Count":
        """Undo `to_json`."""
        return cls(plain["unit"], plain["interval"])
