"""One run of the monitors over a store: days are read once, remembered, and watched in their order."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ringbound.errors import BundleError, StoreError
from ringbound.models.bundle import PROFILE, Bundle
from ringbound.monitoring.alarm import Alarm
from ringbound.monitoring.budget import AlarmBudget
from ringbound.monitoring.days import DAY_US
from ringbound.monitoring.figures import report_of
from ringbound.monitoring.profile import Profile
from ringbound.monitoring.reader import Reader
from ringbound.monitoring.report import Report
from ringbound.monitoring.watch import Versions, Watch
from ringbound.store import Store, instant


@dataclass(frozen=True)
class Run:
    """What a run found: the report of its window, the alarms of all days, and those of which nothing is left."""

    report: Report
    alarms: list[Alarm]
    settled: set[str]


def read_profile(folder: Path) -> Profile:
    """Read what live data are held against from a bundle's folder; `BundleError` where it has none."""
    if not (folder / PROFILE).is_file():
        raise BundleError(
            f"{folder.name}: expected {PROFILE}, what live data are held against; it has none; "
            "give write_model a profile=learn_profile(ladder) in the tune notebook"
        )
    return Profile.read(folder / PROFILE)


def run_monitors(
    store: Store,
    bundle: Bundle,
    profile: Profile,
    *,
    through: int,
    days: int,
    budget: AlarmBudget,
    versions: Versions | None = None,
    standing: Sequence[str] = (),
    sketches: Path | None = None,
) -> Run:
    """Hold what a model has answered before `through`, in microseconds since 1970, against its profile.

    All whole days are looked at since it answered first; the report is of the last `days` of them. `versions` says which
    models are to answer on a day, by default this one alone; of alarms whose names are `standing` it is said, too, whether
    they are settled. In the folder `sketches` whylogs profiles are kept.
    """
    end = through // DAY_US * DAY_US
    first = store.first_asked(bundle.version)
    if first is None or first >= end:
        raise StoreError(
            f"monitor: expected answers of model {bundle.version} about at least one whole day, UTC, "
            f"before {instant(through)[:16]}; got {'none' if first is None else f'the first about {instant(first)[:16]}'}; "
            "try again tomorrow, or see --through"
        )
    reader = Reader(store, bundle, profile, through, sketches)
    asked, came = reader.read(first // DAY_US * DAY_US, end)
    watch = Watch(profile, budget, versions or (lambda day: [bundle.version]))
    alarms = []
    for day in asked.values():
        alarms += watch.take(day)
    for outcome_day in came.values():
        if outcome_day.day in reader.final:
            alarms += watch.take_outcomes(outcome_day)
    settled = {name for name in {*standing, *(alarm.name for alarm in alarms)} if watch.settled(name)}
    return Run(report_of(reader, watch, asked, came, end, days), alarms, settled)
