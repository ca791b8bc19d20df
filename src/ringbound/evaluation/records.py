"""The small files that say how good a model is; kept in git, so that a plain clone can compare."""

from dataclasses import dataclass
from typing import ClassVar

from ringbound.evaluation.uncertainty import Estimate
from ringbound.workspace.records import Record

Estimates = dict[str, Estimate]
"""By metric."""


@dataclass(frozen=True)
class Metrics(Record):
    """The full model, by its version, and the baseline on the test months, for `dvc metrics` too.

    `against` is what the baseline is called.
    `covers` says what the intervals cover.
    """

    format: ClassVar[int] = 4
    made_by: ClassVar[str] = "dvc repro evaluate"

    version: str
    model: Estimates
    against: str
    baseline: Estimates
    rows: int
    covers: str


@dataclass(frozen=True)
class Ladder(Record):
    """Every rung of a model on the test months, best first, and those that are left out, with the reason."""

    format: ClassVar[int] = 2
    made_by: ClassVar[str] = "dvc repro evaluate"

    version: str
    rungs: dict[str, Estimates]
    left_out: dict[str, str]
