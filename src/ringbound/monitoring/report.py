"""What a monitor says of a window: a record that is kept, shown on pages, and compared."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from ringbound.monitoring.bands import Band
from ringbound.workspace.records import Record


@dataclass(frozen=True)
class DayFigures:
    """The figures of one day that are drawn; None where there are none yet."""

    day: str
    rows: int
    lower: float
    answer: float | None
    outcome: float | None
    expected: float | None
    loss: float | None
    known: float
    final: bool


@dataclass(frozen=True)
class ColumnFigures:
    """How a column is in the window, beside what the model learnt from.

    `distance` is the Hellinger distance, `stability_index` the population stability index; `now` and `then` are the shares of
    its bins, named by `labels`; `weight` is the evidence as a share of what raises an alarm; `summary` is what whylogs has.
    """

    name: str
    source: str
    distance: float
    stability_index: float
    missing: float
    missing_then: float
    strange: float
    weight: float
    labels: list[str]
    now: list[float]
    then: list[float]
    texts: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    summary: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class PartFigures:
    """How a part of the answers has turned out: a model's rung, or a guarded group, with its interval where it has one."""

    name: str
    rows: int
    known: int
    loss: float | None
    expected: float | None
    outcome: float | None
    answer: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Report(Record):
    """What is known of a window, the days from `first` to `last`, as it was at `through`.

    `weights` are the monitors with the most evidence, as shares of what raises an alarm; `system` are figures of the service.
    """

    format: ClassVar[int] = 1
    made_by: ClassVar[str] = "ringbound monitor"

    model: str
    problem: str
    loss: str
    answer: str
    through: str
    first: str
    last: str
    rows: int
    repeated: int
    promise: float | None
    false_alarms_a_year: float
    bands: list[Band]
    parts: list[PartFigures]
    groups: list[PartFigures]
    columns: list[ColumnFigures]
    days: list[DayFigures]
    weights: dict[str, float]
    system: dict[str, Any]
    notes: list[str]
