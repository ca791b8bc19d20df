"""How often monitors may be wrong: what is declared of them, and all that is."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from ringbound.errors import ModelError


@dataclass(frozen=True)
class AlarmBudget:
    """How many false alarms a year are expected at most, by what is watched, and how much more loss is tolerated, as a share.

    `performance` is the loss of the answers, `outcomes` what comes of what is asked, `data` the columns, `groups` the loss in
    each guarded group, `service` the number of questions, repeated ones, lower rungs, and labels that are late or missing.
    """

    performance: float = 2.0
    outcomes: float = 0.5
    data: float = 0.75
    groups: float = 0.5
    service: float = 0.25
    tolerance: float = 0.03

    def __post_init__(self):
        wrong = {name: value for name, value in asdict(self).items() if not 0 < value < 100}
        wrong = {name: value for name, value in wrong.items() if name != "tolerance" or not 0 <= value < 100}
        if wrong:
            raise ModelError(
                f"monitor: expected false alarms a year above 0 and a tolerance of at least 0; got {wrong}"
            )

    @classmethod
    def from_section(cls, section: Any) -> "AlarmBudget":
        """Return what the section `monitor` of params.yaml says; the notebook's own names are passed over."""
        given = {} if section is None else section
        if not isinstance(given, dict):
            raise ModelError(f"params.yaml, section monitor: expected names with numbers; got {given!r}")
        found = {field.name: given[field.name] for field in fields(cls) if field.name in given}
        for name, value in found.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ModelError(f"params.yaml, section monitor: expected {name} as a number; got {value!r}")
        return cls(**found)

    @property
    def total(self) -> float:
        """False alarms a year that are expected at most, of all monitors together."""
        return self.performance + self.outcomes + self.data + self.groups + self.service
