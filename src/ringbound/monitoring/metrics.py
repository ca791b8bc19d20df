"""How good the monitors are, on history and on faults: a small file kept in git, for `dvc metrics diff`."""

from dataclasses import dataclass
from typing import ClassVar

from ringbound.monitoring.faults import FaultTable
from ringbound.monitoring.quiet import QuietYears
from ringbound.monitoring.replay import Replayed
from ringbound.workspace.records import Record


@dataclass(frozen=True)
class MonitorMetrics(Record):
    """Critical alarms held against bad months, faults found and named, days until then, false alarms in quiet years."""

    format: ClassVar[int] = 1
    made_by: ClassVar[str] = "dvc repro monitor"

    precision: float | None
    recall: float | None
    weeks_within_estimate: float | None
    weeks_muted: int
    faults: int
    faults_found: int
    faults_named: int
    days_to_find: float | None
    false_alarms_a_year: float
    allowed_a_year: float


def monitor_metrics(replayed: Replayed, faults: FaultTable, quiet: QuietYears) -> MonitorMetrics:
    """Return the figures of a replay, of faults and of quiet years.

    >>> import pandas as pd
    >>> from ringbound.monitoring.quiet import QuietYears
    >>> table = pd.DataFrame({"found": ["", "data/weather"], "named": ["", "yes"], "days": ["", 3]})
    >>> monitor_metrics(Replayed([], 0.1), FaultTable(table), QuietYears(1, {}, {})).days_to_find
    3.0
    """
    table, coverage = faults.frame.iloc[1:], replayed.coverage
    days = [float(day) for day in table["days"] if day != ""]
    return MonitorMetrics(
        precision=replayed.precision if any(replayed.said) else None,
        recall=replayed.recall if any(replayed.bad) else None,
        weeks_within_estimate=coverage.inside / coverage.told if coverage.told else None,
        weeks_muted=coverage.muted,
        faults=len(table),
        faults_found=int((table["found"] != "").sum()),
        faults_named=int((table["named"] == "yes").sum()),
        days_to_find=sorted(days)[len(days) // 2] if days else None,
        false_alarms_a_year=round(quiet.a_year, 3),
        allowed_a_year=sum(quiet.allowed.values()),
    )
