"""What the monitors do in years in which nothing happens: how many false alarms the budget really brings."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ringbound.display.tables import Shown
from ringbound.monitoring.bets import bets_of_group, bets_of_loss, bets_of_outcome
from ringbound.monitoring.budget import AlarmBudget
from ringbound.monitoring.detector import DAYS, LEAST_HISTORY, of_column
from ringbound.monitoring.profile import History, Profile
from ringbound.monitoring.statistics import OF_COLUMNS

SPLITS = 20


@dataclass(frozen=True)
class QuietYears(Shown):
    """False alarms in so many years, drawn from the days of a profile's own history, and how many a year are allowed."""

    years: int
    by_family: dict[str, float]
    allowed: dict[str, float]

    digits = 3

    @property
    def frame(self) -> pd.DataFrame:
        """One row for each family of monitors."""
        return pd.DataFrame({"false alarms a year": self.by_family, "allowed": self.allowed})

    @property
    def caption(self) -> str:
        """All of them together."""
        return f"{self.a_year:.2f} false alarms a year in {self.years:,} quiet years; allowed {sum(self.allowed.values()):g}"

    @property
    def a_year(self) -> float:
        """All false alarms, a year on average."""
        return sum(self.by_family.values())


def quiet_years(profile: Profile, budget: AlarmBudget, *, years: int, seed: int, stretch: int = 7) -> QuietYears:
    """Draw years from stretches of days of the history, and count the alarms that all monitors raise in them.

    What the monitors go by is learnt on one half of the stretches, and the years are drawn from the other half, over several
    splits. The loss, outcomes, columns and groups are drawn; of the number of questions and of labels there is no history.

    >>> from ringbound import learn_profile
    >>> from ringbound.testing import examples
    >>> found = quiet_years(learn_profile(examples.ladder()), AlarmBudget(), years=20, seed=1)
    >>> sorted(found.by_family)  # of columns there are too few days
    ['groups', 'outcomes', 'performance']
    """
    random = np.random.default_rng(seed)
    alarms: dict[str, float] = {}
    splits = min(SPLITS, years)
    for _ in range(splits):
        for family, evalues, allowed in _families(profile, budget, stretch, random):
            drawn = _count(evalues, allowed, years // splits, stretch, random)
            alarms[family] = alarms.get(family, 0.0) + drawn / splits
    return QuietYears(years // splits * splits, alarms, {name: float(getattr(budget, name)) for name in alarms})


def _families(
    profile: Profile, budget: AlarmBudget, stretch: int, random: np.random.Generator
) -> Iterator[tuple[str, np.ndarray, float]]:
    """Yield what is watched: the e-values of days of one half, (days, monitors, bets), held against the other half."""
    columns = _columns(profile, stretch, random)
    if columns is not None:
        yield "data", columns, budget.data / (len(profile.columns) + 1)
    whole = profile.judged.get("")
    if whole is None:
        return
    halves = _halves(len(whole.days), stretch, random)
    learnt, drawn = (_some(whole, half) for half in halves)
    bets = np.array([bets_of_loss(learnt, loss, gap, budget) for loss, gap in zip(drawn.loss, drawn.gap, strict=True)])
    yield "performance", bets[:, None, :], budget.performance
    shifts = np.array([bets_of_outcome(learnt, outcome, budget) for outcome in drawn.outcome])
    yield "outcomes", shifts[:, None, :], budget.outcomes
    groups = [name for name in profile.judged if name and profile.judged[name].days == whole.days]
    if groups:
        each = []
        for name in groups:
            known, later = (_some(profile.judged[name], half) for half in halves)
            ratios = np.array(later.loss) / np.maximum(drawn.loss, 1e-12)
            each.append([bets_of_group(learnt, known, ratio, budget) for ratio in ratios.tolist()])
        yield "groups", np.stack([np.array(one) for one in each], axis=1), budget.groups / (len(profile.judged) - 1)


def _halves(days: int, stretch: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the days of a half of the stretches, and those of the other half."""
    unit = np.arange(days) // stretch
    units = random.permutation(unit[-1] + 1)
    first = np.isin(unit, units[: len(units) // 2])
    return np.flatnonzero(first), np.flatnonzero(~first)


def _some(history: History, days: np.ndarray) -> History:
    return History(
        *([getattr(history, name)[day] for day in days.tolist()] for name in ("days", "loss", "gap", "outcome"))
    )


def _columns(profile: Profile, stretch: int, random: np.random.Generator) -> np.ndarray | None:
    """Return each column's e-values on the later days of one half, (days, columns, bets); None where there are too few."""
    histories = {
        name: {kind: np.array(profile.statistics.get(f"{name}/{kind}", ())) for kind in OF_COLUMNS}
        for name in profile.columns
    }
    days = min(len(values) for kinds in histories.values() for values in kinds.values())
    if days < 2 * LEAST_HISTORY:
        return None
    learnt, drawn = _halves(days, stretch, random)
    shown = []
    for kinds in histories.values():
        latest = {kind: values[len(values) - days :] for kind, values in kinds.items()}
        known = {kind: values[learnt] for kind, values in latest.items()}
        shown.append([of_column({kind: values[day] for kind, values in latest.items()}, known) for day in drawn])
    return np.stack([np.array(one) for one in shown], axis=1)


def _count(evalues: np.ndarray, false_a_year: float, years: int, stretch: int, random: np.random.Generator) -> float:
    """Return the alarms a year of monitors with these e-values, (days, monitors, bets), over drawn years."""
    days, monitors, bets = evalues.shape
    stretches = -(-DAYS // stretch)
    starts = random.integers(0, max(1, days - stretch + 1), (years, stretches))
    place = (starts[:, :, None] + np.arange(stretch)).reshape(years, -1)[:, :DAYS] % days
    evidence = np.zeros((years, monitors, bets))
    alarms = 0
    for day in range(DAYS):
        evidence = (1 + evidence) * evalues[place[:, day]]
        raised = evidence.mean(axis=2) >= DAYS / false_a_year
        alarms += int(raised.sum())
        evidence[raised] = 0
    return alarms / years
