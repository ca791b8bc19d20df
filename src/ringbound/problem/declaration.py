"""The declaration of a problem: everything the machinery has to know about it, typed, in one place.

    PROBLEM = Problem(
        name="late-parcels",
        question="Will this parcel come 15 minutes late or more?",
        task=Classification(Costs(miss=3, false_alarm=1), yes="late", no="punctual"),
        features=FEATURES,
        id="parcel_id", label="late", block="day", month="month",
        ...
    )

It stands in a notebook; `[tool.ringbound] problem` in pyproject.toml names it once.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ringbound.errors import FeatureError, ProblemError, one_line
from ringbound.features.definition import AT, FeatureSet
from ringbound.features.view import microseconds
from ringbound.problem.classification import Ranking
from ringbound.problem.exposure import Exposure
from ringbound.problem.outcome import EventOutcome
from ringbound.problem.task import Task

if TYPE_CHECKING:
    import pandas as pd

PRIOR = "prior"
SPLIT = "split"
"""The training table's column that says what a row is for: train, valid or test."""

Slices = Callable[["pd.DataFrame", "pd.DataFrame"], "pd.DataFrame"]
"""`slices(rows, past)` returns what `rows` are sliced by, a column of texts each; `past` are the rows learnt from."""


@dataclass(frozen=True)
class Problem:
    """What is asked, of what rows, by what features, and how an answer is judged.

    `id`, `label`, `block` and `month` name columns of the training table: which row it is, what came out (missing where
    it is not known), what rows are drawn by when intervals are computed (a day, a person: rows of one block are not
    independent), and the month, like `2013-07`, by which rows are split. Every row is asked as of its `at`.

    `stretch` blocks in a row are alike (days of a week): how good a model is is known less surely than if they were not.
    `may_lack` names request fields that a question may lack although the record has them, each with the share of rows that
    are learnt from without it, so that such a question is answered well.

    `mature` is how long after a question its outcome is final, like 36h: what is known earlier may not be like what comes.
    `outcome` says how an event tells what came of a question; without it, outcomes are sent.

    Where a decision changes what comes, `undecided` is the share of questions for which none is made, chosen by the values of
    the request fields `unit` (by default of all): what comes of them is what comes of itself.

    `prior` gives the features whose rates answer where no model can, each with a bin's width, or None for a category.
    `baseline` is what a model is to beat: the prior, or the value of a feature, like what was measured an hour ago, and
    the prior where that is missing. `slices` says what results are shown by; in the slices named by `guarded` no
    challenger may get worse. `rows` is the word for rows, `limits` what the model card must warn of, `words` how to call
    features in front of people. Of a ranking, `group` names the column whose rows are put in order together.
    """

    name: str
    question: str
    task: Task
    features: FeatureSet
    id: str
    label: str
    block: str
    month: str
    prior: Mapping[str, float | None]
    slices: Slices
    guarded: Sequence[str] = ()
    examples: Sequence[Mapping[str, Any]] = ()
    limits: Sequence[str] = ()
    rows: str = "rows"
    words: Mapping[str, str] = field(default_factory=dict)
    stretch: int = 1
    may_lack: Mapping[str, float] = field(default_factory=dict)
    mature: str = "1d"
    outcome: EventOutcome | None = None
    undecided: float = 0.0
    unit: Sequence[str] = ()
    baseline: str = PRIOR
    group: str = ""

    def __post_init__(self):
        try:
            _ = self.mature_us
        except FeatureError as error:
            raise ProblemError(f"problem {self.name}: mature: {error}") from error
        if unknown := sorted(set(self.prior) - set(self.features.plain)):
            raise ProblemError(
                f"problem {self.name}: prior: expected features of the request alone, of {self.features.plain}; got {unknown}"
            )
        widthless = [
            n
            for n, width in self.prior.items()
            if (width is None) != (n in self.features.categories) or (width is not None and not width > 0)
        ]
        if not self.prior or widthless:
            raise ProblemError(
                f"problem {self.name}: prior: expected features, a width above 0 for each number and None for each category; "
                f"got {dict(self.prior)}"
            )
        if self.baseline != PRIOR and (self.task.classes or self.baseline not in self.features.numbers):
            raise ProblemError(
                f"problem {self.name}: baseline: expected {PRIOR!r} or a feature that is a number, of "
                f"{self.features.numbers}; got {self.baseline!r}"
            )
        if rungs := sorted({"full", "reduced", "default", PRIOR} & set(self.features.names)):
            raise ProblemError(f"problem {self.name}: expected features of other names than the rungs'; got {rungs}")
        if bool(self.group) != isinstance(self.task, Ranking):
            raise ProblemError(
                f"problem {self.name}: expected a group, the column of what is put in order together, of a ranking and of "
                f"nothing else; got {self.group!r} of a {self.task.name}"
            )
        own = self.columns
        if len(set(own)) < len(own) or (taken := set(own) & set(self.features.names)):
            raise ProblemError(
                f"problem {self.name}: expected columns that differ from each other and from features; "
                f"got {own}{f', of which {sorted(taken)} are features' if len(set(own)) == len(own) else ''}"
            )

        fields = {one.name: one.required for one in self.features.request}
        if any(fields.get(name, True) for name in self.may_lack) or not all(x > 0 for x in self.may_lack.values()):
            raise ProblemError(
                f"problem {self.name}: may_lack: expected request fields that are not required, each with a share above 0; "
                f"got {dict(self.may_lack)}"
            )
        if sum(self.may_lack.values()) >= 1 or self.stretch < 1:
            raise ProblemError(
                f"problem {self.name}: expected shares in may_lack below 1 together, and a stretch of at least one block; "
                f"got {dict(self.may_lack)} and {self.stretch}"
            )
        decides = self.task.threshold is not None or not self.undecided
        if not (0 <= self.undecided < 1 and decides and set(self.unit) <= set(fields)):
            raise ProblemError(
                f"problem {self.name}: expected undecided to be a share below 1, of a task that decides on yes or no, and "
                f"unit to be request fields, of {list(fields)}; got {self.undecided} of a {self.task.name}, by "
                f"{list(self.unit)}; take undecided out for another task"
            )
        if self.outcome and self.outcome.source not in self.features.sources:
            raise ProblemError(
                f"problem {self.name}: outcome: expected a source of events, of {list(self.features.sources)}; "
                f"got {self.outcome.source!r}"
            )

    @cached_property
    def mature_us(self) -> int:
        """How long after a question its outcome is final, in microseconds."""
        return microseconds(self.mature)

    @cached_property
    def exposure(self) -> Exposure:
        """Which questions are left undecided."""
        return Exposure(self.undecided, tuple(self.unit or [one.name for one in self.features.request]), self.name)

    @property
    def columns(self) -> list[str]:
        """The columns of the training table that are no features."""
        return [self.id, AT.name, self.block, self.month, *([self.group] if self.group else []), SPLIT, self.label]

    def word(self, feature: str) -> str:
        """Return what a feature is called in front of people."""
        return self.words.get(feature, feature)


def load_problem(entry: str) -> Problem:
    """Return the problem declared at `entry`, `MODULE:NAME`."""
    module, _, name = entry.partition(":")
    try:
        declared = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever a module does while it is imported
        raise ProblemError(
            f"expected the problem at {entry}, as pyproject.toml says; {one_line(error, 200)}; "
            'run "ringbound notebooks export"'
        ) from error
    if not isinstance(declared, Problem):
        raise ProblemError(f"expected a Problem at {entry}, as pyproject.toml says; got a {type(declared).__name__}")
    return declared
