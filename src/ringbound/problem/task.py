"""What kind of question a problem asks. All that depends on it is asked of the task, and of nothing else.

A task says which proper loss answers are judged by, which metrics describe them, what an answer is called, and what
becomes of it: a classification turns probabilities into decisions by what mistakes cost; a number is the answer itself,
with the interval that the outcome is to lie in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from ringbound.errors import ProblemError
from ringbound.problem.metrics import Metric

Link = Literal["identity", "logistic", "log", "softmax"]
"""How an answer is made of margins: it is the margin, its logistic function or exponential; of several their softmax."""


HOLDS = 0.95
"""The share of outcomes that an interval, or a set of classes, is to hold, unless a problem says otherwise."""


def check_share(interval: float | None) -> None:
    """Raise `ProblemError` where the share that an interval is to hold is none."""
    if interval is not None and not 0 < interval < 1:
        raise ProblemError(f"interval: expected a share between 0 and 1, or None; got {interval!r}")


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

    Answers are (n,), or (n, classes) where there are `classes`. `answer` is what an answer is called in every file and
    response, `probabilities` says whether it is that of a yes; `outcome` is the kind of value that says what really came,
    `least` what it is at least, if anything, and whether it is a `whole` number; `loss` is the name of the metric that
    decides, which is the mean of `losses`; `metrics` are all there are, `headline` those worth a column where room is
    short, `ranking` the one that slices show. `link` is the function that makes an answer of a model's margin, `level` the
    quantile that is answered, None for a mean, `coverage` the share of outcomes that an answer's interval is to hold, None
    where answers have none.
    """

    @property
    def name(self) -> str: ...
    @property
    def answer(self) -> str: ...
    @property
    def probabilities(self) -> bool: ...
    @property
    def loss(self) -> str: ...
    @property
    def headline(self) -> tuple[str, ...]: ...
    @property
    def ranking(self) -> str: ...
    @property
    def metrics(self) -> Mapping[str, Metric]: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def outcome(self) -> Literal["boolean", "number", "string"]: ...
    @property
    def least(self) -> float | None: ...
    @property
    def whole(self) -> bool: ...
    @property
    def link(self) -> Link: ...
    @property
    def level(self) -> float | None: ...
    @property
    def coverage(self) -> float | None: ...

    @property
    def says_answer(self) -> str:
        """What an answer is, in words."""
        ...

    @property
    def says_margin(self) -> str:
        """What explanations add up to, in words."""
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

    @property
    def stated(self) -> tuple[str, float]:
        """The metric that says whether answers are what they state, which `gates` bound by its name, and its best value."""
        ...

    @property
    def asks(self) -> tuple[Any, ...]:
        """What two models must share to be compared: what is asked, of which classes, in which unit."""
        ...

    def admits(self, y: np.ndarray) -> np.ndarray:
        """Return which outcomes (n,) can be, (n,) of booleans."""
        ...

    def losses(self, y: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Return each row's loss, (n,)."""
        ...

    def expected_losses(self, answers: np.ndarray) -> np.ndarray | None:
        """Return what answers themselves say that they will lose, (n,); None where they do not say."""
        ...

    def constant(self, y: np.ndarray) -> Any:
        """Return the one answer that loses least for outcomes (n,): a number or, of classes, (classes,)."""
        ...

    def single(self, answers: np.ndarray) -> np.ndarray:
        """Return one number a row, (n,): the answer or, of classes, the probability of the likeliest."""
        ...

    def came(self, y: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Return what came beside that number, (n,): the outcome or, of classes, whether the likeliest came."""
        ...

    def encode(self, values: Any) -> np.ndarray:
        """Return a column of outcomes as numbers, (n,), NaN for missing: of classes their places."""
        ...

    def told(self, answers: np.ndarray) -> Sequence[Any]:
        """Return answers as they are told, one a row."""
        ...

    def decide(self, answers: np.ndarray) -> np.ndarray | None:
        """Return each row's decision, (n,) of booleans or, of classes, of texts; None where nothing is decided."""
        ...

    def check_labels(self, y: np.ndarray) -> None:
        """Raise `ProblemError` where outcomes (n,) are none of this task."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the task as plain data, with its name: see `ringbound.problem.tasks`."""
        ...


def repeated(answer: Any, n: int) -> np.ndarray:
    """Return one answer for n rows: (n,), or (n, classes).

    >>> repeated([0.2, 0.8], 2).tolist(), repeated(1, 2).tolist()
    ([[0.2, 0.8], [0.2, 0.8]], [1.0, 1.0])
    """
    one = np.asarray(answer, np.float64)
    return np.broadcast_to(one, (n, *one.shape)).copy()
