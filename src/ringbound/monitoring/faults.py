"""Faults, put into a month on purpose: whether the monitors find each, when, and whether they name it."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ringbound.display.tables import Shown
from ringbound.features.definition import AT
from ringbound.features.frames import columns_of, instants
from ringbound.features.offline import EventTables, asof_join
from ringbound.monitoring.alarm import Alarm
from ringbound.monitoring.budget import AlarmBudget
from ringbound.monitoring.replay import Month, watch_month
from ringbound.problem.training import Rows, with_features

Change = Callable[[pd.DataFrame, np.ndarray], pd.DataFrame]
"""`change(table, how_far)` returns the table as it is when something is wrong; `how_far` (n,) is 0 before that begins and
rises to 1 at the end of the month."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong: in what is asked, in events, by source, in outcomes, or in when these are known.

    `finds` is the alarm that it should raise, `names` what this should name, like a column. `outcomes` gets the table
    of rows and changes its label; `known` multiplies how long outcomes take; `version` is a model that answers instead.
    """

    name: str
    finds: str
    names: str = ""
    requests: Change | None = None
    events: Mapping[str, Change] = field(default_factory=dict)
    outcomes: Change | None = None
    known: float = 1.0
    version: str = ""


@dataclass(frozen=True)
class FaultTable(Shown):
    """For each fault whether it was found, named, and after how many days; the first row is of none."""

    table: pd.DataFrame
    digits = 2

    @property
    def frame(self) -> pd.DataFrame:
        """The table."""
        return self.table

    @property
    def caption(self) -> str:
        """How many were found."""
        faults = self.table.iloc[1:]
        return (
            f"{(faults['found'] != '').sum()} of {len(faults)} found, {(faults['named'] == 'yes').sum()} named rightly"
        )


def try_faults(
    month: Month, faults: Sequence[Fault], clean: Path, *, since: pd.Timestamp, budget: AlarmBudget
) -> FaultTable:
    """Put each fault into a month, from `since` on, one at a time, and say what the monitors make of it.

    `clean` is the folder of the events; what is asked goes through the same features, store and monitors as ever.

    >>> from ringbound import fit_beside, replay_months
    >>> from ringbound.testing import examples
    >>> from ringbound.testing.parcels import ENTRY
    >>> fit = lambda past: fit_beside(past, [examples.LINEAR], "linear", seed=1, strength=0.1)
    >>> none, budget = pd.Series([], dtype="datetime64[us, UTC]"), AlarmBudget()
    >>> week = replay_months(examples.training(), none, fit, first=5, budget=budget, entry=ENTRY).month("2020-W13")
    >>> moon = Fault("a depot on the moon", "data/request", "depot", requests=lambda t, far: t.assign(depot="moon"))
    >>> folder, monday = examples.folder() / "clean", pd.Timestamp("2020-03-23", tz="UTC")
    >>> try_faults(week, [moon], folder, since=monday, budget=budget).frame["named"].tolist()
    ['', 'yes']
    """
    rows = [_row(None, watch_month(month, budget).run.alarms, since)]
    for fault in faults:
        rows_then, known = with_fault(month.rows, month.known, fault, clean, since)
        changed = replace(month, rows=rows_then, known=known)
        at = changed.rows.table[AT.name]
        versions = np.where((at >= since) & bool(fault.version), fault.version, month.bundle.version)
        rows.append(_row(fault, watch_month(changed, budget, versions).run.alarms, since))
    return FaultTable(pd.DataFrame(rows).set_index("fault"))


def _row(fault: Fault | None, alarms: list[Alarm], since: pd.Timestamp) -> dict[str, object]:
    after = [alarm for alarm in alarms if pd.Timestamp(alarm.day, tz="UTC") >= since.floor("D")]
    mine = [alarm for alarm in after if fault and alarm.name == fault.finds]
    first = mine[0] if mine else None
    columns = [sign.subject for sign in first.signs] if first else []
    named = first is not None and fault is not None and any(fault.names in text for text in [first.says, *columns])
    others = dict.fromkeys(alarm.name for alarm in after if not mine or alarm.name != mine[0].name)
    return {
        "fault": fault.name if fault else "none",
        "found": first.name if first else "",
        "named": "" if first is None else "yes" if named else "no",
        "days": "" if first is None else (pd.Timestamp(first.day, tz="UTC") - since.floor("D")).days,
        "says": first.says if first else "",
        "also": ", ".join(others),
    }


def with_fault(
    rows: Rows, known: np.ndarray, fault: Fault, clean: Path, since: pd.Timestamp
) -> tuple[Rows, np.ndarray]:
    """Return rows, and when their outcomes were known, in microseconds (n,), as they are with a fault from `since` on."""
    at = rows.table[AT.name]
    end = at.max()
    if fault.known != 1.0:
        asked = instants(at)
        late = (at >= since).to_numpy()
        known = np.where(late, asked + ((known - asked) * fault.known).astype(np.int64), known)
    if fault.requests is not None:
        requests = fault.requests(rows.requests.reset_index(drop=True), _how_far(rows.requests[AT.name], since, end))
        place = requests.index.to_numpy()
        table = rows.table.reset_index(drop=True).iloc[place].reset_index(drop=True)
        rows = Rows(rows.problem, table, requests.reset_index(drop=True), rows.references)
        known = known[place]
    if fault.requests is not None or fault.events:
        with tempfile.TemporaryDirectory() as folder:
            events = _altered(Path(folder), clean, fault, rows, since)
            tables = EventTables(events, rows.problem.features.sources)
            asked_rows = rows.requests.reset_index(drop=True)
            (windowed,) = asof_join(rows.problem.features, tables, [asked_rows])
        features = rows.problem.features.compute(columns_of(asked_rows), rows.references, windowed)
        plain = rows.table[rows.problem.columns].reset_index(drop=True)
        rows = Rows(rows.problem, with_features(plain, features), asked_rows, rows.references)
    if fault.outcomes is not None:
        table = fault.outcomes(rows.table.reset_index(drop=True), _how_far(rows.table[AT.name], since, end))
        rows = Rows(rows.problem, table, rows.requests.reset_index(drop=True), rows.references)
    return rows, known


def _altered(folder: Path, clean: Path, fault: Fault, month: Rows, since: pd.Timestamp) -> Path:
    """Return a folder of the events that a month's features look back on, in which those of some sources are changed."""
    features, at = month.problem.features, month.requests[AT.name]
    first = (at.min() - pd.Timedelta(max(features.lookback.values(), default=0), "us")).strftime("%Y-%m")
    for name in features.sources:
        (folder / name).mkdir()
        for file in sorted((clean / name).glob("*.parquet")):
            if not first <= file.stem <= at.max().strftime("%Y-%m"):
                continue
            change = fault.events.get(name)
            if change is None or file.stem < since.strftime("%Y-%m"):
                shutil.copyfile(file, folder / name / file.name)
            else:
                events = pd.read_parquet(file)
                changed = change(events, _how_far(events["available_at"], since, at.max()))
                changed.to_parquet(folder / name / file.name, index=False)
    for file in clean.glob("*.json"):
        shutil.copyfile(file, folder / file.name)
    return folder


def _how_far(times: pd.Series, since: pd.Timestamp, end: pd.Timestamp) -> np.ndarray:
    """Return how far the time from `since` to `end` has gone, (n,): 0 before it, more than 0 from its beginning, then 1."""
    share = ((times - since) / (end - since)).to_numpy(float)
    return np.where(share < 0, 0.0, np.clip(share, 1e-9, 1.0))
