"""What live data are held against: the columns that a model has learnt from, counted, and how its own history moved.

It travels in the bundle as profile.json.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import stdtrit

from ringbound.features.definition import FeatureSet
from ringbound.monitoring.bins import Bins
from ringbound.problem.task import Task
from ringbound.workspace.records import Record

STRETCH = 7
"""Days in a row that are alike: a mean is known as surely as so many stretches let it."""
ANSWERS = "answers"
"""What the counts of answers are called among those of columns."""
REQUEST = "request"
"""The source of what a question brings with it."""


@dataclass(frozen=True)
class History:
    """Days on which a model fitted before them was judged, in order: mean loss, gap to what it expected, mean outcome."""

    days: list[str]
    loss: list[float]
    gap: list[float]
    outcome: list[float]

    @property
    def promise(self) -> float:
        """The mean loss of a day."""
        return float(np.mean(self.loss))

    @property
    def most_loss(self) -> float:
        """The mean loss of a day, as large as it may well be: few days do not know it surely."""
        return upper(np.array(self.loss))

    @property
    def most_shift(self) -> float:
        """How far a day's mean outcome is from that of days that were not near it, on average, as large as it may well be."""
        outcome = np.array(self.outcome)
        unit = stretches_of(len(outcome))
        away = [abs(value - outcome[unit != mine].mean()) for value, mine in zip(outcome, unit, strict=True)]
        return upper(np.array(away))


def stretches_of(days: int) -> np.ndarray:
    """Return the stretch that each of so many days is in, (days,): those in a row are alike, and there are two at least."""
    return np.arange(days) * max(2, days // STRETCH) // max(1, days)


def upper(values: np.ndarray) -> float:
    """Return the upper end of the one-sided 95% interval of the mean of days, over stretches of them.

    >>> round(upper(np.array([1.0] * 7 + [3.0] * 7)), 2)
    8.31
    """
    unit = stretches_of(len(values))
    means = np.array([values[unit == one].mean() for one in np.unique(unit)])
    error = means.std(ddof=1) / np.sqrt(len(means))
    return float(values.mean() + stdtrit(len(means) - 1, 0.95) * error)


@dataclass(frozen=True)
class Profile(Record):
    """What live data are held against.

    `learnt` are the counts of all rows that the model learnt from, column by column, with those that are missing as the last;
    `recent` are those of the last four weeks, and `rows_a_day` is how many there were. `statistics` are those of each day of
    the history, by their names, of which large is bad; `judged` has the history of all rows under "" and of guarded groups
    under names like `depot=north`. `expected` holds, where answers are no probabilities, the edges between answers and the
    mean loss between them. `sources` says of each feature where it comes from, `takes` on which fields of a question it
    depends.
    """

    format: ClassVar[int] = 1
    made_by: ClassVar[str] = "dvc repro tune"

    columns: dict[str, Bins]
    answers: Bins
    outcomes: Bins
    learnt: dict[str, list[int]]
    recent: dict[str, list[int]]
    rows_a_day: float
    statistics: dict[str, list[float]]
    judged: dict[str, History]
    expected: tuple[list[float], list[float]]
    sources: dict[str, str]
    takes: dict[str, list[str]]

    def bins(self, name: str) -> Bins:
        """Return the bins of a column, or of the answers."""
        return self.answers if name == ANSWERS else self.columns[name]

    def looks_back(self, name: str) -> bool:
        """Whether a column is of events, and not of the question alone."""
        return self.sources.get(name, REQUEST) != REQUEST

    def expected_loss(self, task: Task, answers: np.ndarray) -> np.ndarray:
        """Return what answers lead to expect of their loss, (n,).

        What probabilities say themselves is right where they are calibrated, whatever is asked; wrong where outcomes are not
        as they say any more (Guillory et al., ICCV 2021; Garg et al., ICLR 2022).
        """
        said = task.expected_losses(answers)
        if said is not None:
            return said
        edges, losses = self.expected
        return np.asarray(losses)[np.searchsorted(edges, answers, "right")]


def sources_of(features: FeatureSet) -> dict[str, str]:
    """Return where each feature comes from: a source of events, or the request.

    >>> from ringbound.testing.parcels import FEATURES
    >>> found = sources_of(FEATURES)
    >>> found["depot_arrivals_1h"], found["weight"]
    ('arrivals', 'request')
    """
    return {name: features.source_of(name) or REQUEST for name in features.names}


def takes_of(features: FeatureSet) -> dict[str, list[str]]:
    """Return, for each feature, the fields of a question that it depends on.

    >>> from ringbound.testing.parcels import FEATURES
    >>> takes_of(FEATURES)["route_late_mean_7d"]
    ['depot', 'route']
    """
    found: dict[str, list[str]] = {name: [] for name in features.names}
    for field in features.request:
        for name in features.taking(field.name):
            found[name].append(field.name)
    return found


def learnt_losses(answers: np.ndarray, losses: np.ndarray, bins: int = 10) -> tuple[list[float], list[float]]:
    """Return the edges between tenths of answers (n,) and the mean loss in each: what numbers lead to expect.

    >>> learnt_losses(np.arange(4.0), np.array([1.0, 1.0, 3.0, 5.0]), bins=2)
    ([2.0], [1.0, 4.0])
    """
    edges = np.unique(np.quantile(answers, np.linspace(0, 1, bins + 1)[1:-1], method="higher"))
    place = np.searchsorted(edges, answers, "right")
    sizes = np.bincount(place, minlength=len(edges) + 1)
    sums = np.bincount(place, losses, minlength=len(edges) + 1)
    means = np.divide(sums, sizes, out=np.full(len(sizes), float(losses.mean())), where=sizes > 0)
    return edges.tolist(), means.tolist()


def groups_of(guarded: Sequence[str], columns: Mapping[str, object]) -> list[str]:
    """Return those of the guarded slices that are columns, and so can be told of rows that are asked."""
    return [name for name in guarded if name in columns]
