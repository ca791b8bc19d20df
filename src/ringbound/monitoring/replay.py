"""History, replayed month by month as it would have been: what the monitors would have said, and whether they were right.

Each month is answered by a model that was fitted before it, through a real store; the monitors read it from there.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ringbound.display.figures import BLUE, OCHRE, RED, Plot, panels
from ringbound.display.tables import Shown
from ringbound.errors import ModelError
from ringbound.features.definition import AT
from ringbound.features.frames import instants
from ringbound.models.bundle import Bundle, load_bundle, write_bundle
from ringbound.models.facts import Learnt
from ringbound.models.rung import Rung
from ringbound.monitoring.answers import put_into
from ringbound.monitoring.bands import estimated
from ringbound.monitoring.budget import AlarmBudget
from ringbound.monitoring.days import DAY_US, OutcomeDay, day_of
from ringbound.monitoring.learn import learn_from
from ringbound.monitoring.profile import STRETCH, Profile
from ringbound.monitoring.reader import CAME
from ringbound.monitoring.run import Run, read_profile, run_monitors
from ringbound.monitoring.sums import Sums
from ringbound.problem.training import Rows, TrainingTable
from ringbound.store import Store

BATCH = 2000
JUDGED_MONTHS = 3
Fit = Callable[[Rows], Rung]


@dataclass(frozen=True)
class Month:
    """A month to watch: the model that was fitted before it, its profile, the rows that were asked, when outcomes were known.

    `known` are microseconds since 1970, a row each.
    """

    name: str
    bundle: Bundle
    profile: Profile
    rows: Rows
    known: np.ndarray


@dataclass(frozen=True)
class MonthResult:
    """What the monitors said of a month, and how it really was."""

    month: Month
    run: Run
    days: list[OutcomeDay]

    @property
    def whole(self) -> Sums:
        """What came of all its rows."""
        return sum((day.all for day in self.days), Sums())


@dataclass(frozen=True)
class Replayed(Shown):
    """A history, month by month: what was promised and lost, what was said, and on which day first.

    A month is bad whose loss is more than `worse` of the promise above it; what says so is a critical alarm. Others say that
    something has changed.
    """

    months: list[MonthResult]
    worse: float
    digits = 3

    @property
    def bad(self) -> list[bool]:
        """Which months are bad."""
        return [one.whole.mean_loss > self._promise(one) * (1 + self.worse) for one in self.months]

    @property
    def said(self) -> list[bool]:
        """Of which months a critical alarm was raised."""
        return [any(alarm.severity == "critical" for alarm in one.run.alarms) for one in self.months]

    @property
    def precision(self) -> float:
        """The share of months with a critical alarm that are bad."""
        return _share([bad for bad, said in zip(self.bad, self.said, strict=True) if said])

    @property
    def recall(self) -> float:
        """The share of bad months in which a critical alarm was raised."""
        return _share([said for bad, said in zip(self.bad, self.said, strict=True) if bad])

    @property
    def coverage(self) -> "Coverage":
        """How often the estimated band of a week had the final value, and how often it was muted."""
        inside, told, muted = 0, 0, 0
        for one in self.months:
            history = one.month.profile.judged[""]
            gaps: list[float] = []
            for start in range(0, len(one.days) - STRETCH + 1, STRETCH):
                week = one.days[start : start + STRETCH]
                sums = sum((day.all for day in week), Sums())
                band = estimated(history, sums, STRETCH, gaps)
                gaps += [day.all.mean_gap for day in week]
                if band.muted:
                    muted += 1
                elif np.isfinite(band.low):
                    told += 1
                    inside += bool(band.low <= sums.mean_loss <= band.high)
        return Coverage(inside, told, muted)

    def month(self, name: str) -> Month:
        """Return one of the months, to put faults into."""
        found = {one.month.name: one.month for one in self.months}
        if name not in found:
            raise ModelError(f"replay: expected one of {list(found)}; got {name!r}")
        return found[name]

    @property
    def caption(self) -> str:
        """How right they were."""
        return (
            f"bad months, {self.worse:.0%} above what was promised: {sum(self.bad)} of {len(self.months)}; "
            f"critical alarms in {sum(self.said)}, of which {self.precision:.0%} were bad (precision); "
            f"{self.recall:.0%} of the bad ones had one (recall); {self.coverage}"
        )

    @property
    def frame(self) -> pd.DataFrame:
        """One row a month."""
        return pd.DataFrame([self._row(*one) for one in zip(self.months, self.bad, strict=True)]).set_index("month")

    def _row(self, one: MonthResult, bad: bool) -> dict[str, object]:
        first: dict[str, str] = {}
        for alarm in one.run.alarms:
            first.setdefault(alarm.name, alarm.day[5:])
        return {
            "month": one.month.name,
            "rows": one.whole.rows,
            "mean outcome": one.whole.mean_outcome,
            "promised": self._promise(one),
            "expected": one.whole.mean_loss - one.whole.mean_gap,
            "lost": one.whole.mean_loss,
            "bad": "bad" if bad else "",
            "alarms": ", ".join(f"{name} ({day})" for name, day in first.items()),
        }

    def _promise(self, one: MonthResult) -> float:
        return one.month.profile.judged[""].promise

    def figure(self) -> Plot:
        """Draw what was lost and expected day by day, what was promised, and the alarms."""
        figure, axes = panels(10, 3.2)
        place, ticks = 0, []
        for one in self.months:
            days = [day for day in one.days if day.all.known]
            x = np.arange(place, place + len(days))
            axes.plot(x, [day.all.mean_loss for day in days], color=BLUE, linewidth=1)
            axes.plot(x, [day.all.expected / day.all.known for day in days], color=OCHRE, linewidth=1)
            axes.hlines(self._promise(one), place, place + len(days), color=RED, linestyle=":")
            at = {day.day: position for day, position in zip(days, x, strict=True)}
            for alarm in one.run.alarms:
                if alarm.day in at:
                    performance = alarm.name == "performance"
                    axes.axvline(at[alarm.day], color=RED if performance else "#bbb", linewidth=1)
            ticks.append((place + len(days) / 2, one.month.name))
            place += len(days)
        axes.set_xticks([at for at, _ in ticks], [name for _, name in ticks], fontsize=8)
        axes.set_title(
            "Lost (blue) and expected (ochre) a day, promised (dotted); alarms of performance (red), others (grey)",
            fontsize=9,
        )
        return Plot(figure)


@dataclass(frozen=True)
class Coverage:
    """Of weeks with an estimate, so many had the final value within it; others were muted."""

    inside: int
    told: int
    muted: int

    def __str__(self) -> str:
        return f"{self.inside} of {self.told} weeks within the estimated band ({self.muted} muted)"


def months_of(training: TrainingTable, known: pd.Series, fit: Fit, *, first: int, entry: str) -> Iterator[Month]:
    """Yield the months of a history from the `first`-th on, each with a model that `fit` has made of those before it.

    `known` says of each row, by its id, when its outcome was known. `entry` names the problem's declaration.
    """
    rows = Rows(training.problem, training.table, training.requests, training.references)
    labelled = np.flatnonzero(rows.table[rows.problem.label].notna())
    months = sorted(set(rows.months))
    if first < 2 or first >= len(months):
        raise ModelError(f"replay: expected a month to begin with, from 2 to {len(months) - 1}; got {first}")
    when = pd.to_datetime(known.reindex(rows.ids), utc=True).reset_index(drop=True)
    late = instants(rows.table[AT.name]) + rows.problem.mature_us // 2
    times = np.where(when.notna(), instants(when.fillna(pd.Timestamp(0, tz="UTC"))), late)
    answers: dict[str, np.ndarray] = {}
    for number, name in enumerate(months):
        if number == 0 or number < first - JUDGED_MONTHS:
            continue
        past = rows.where(labelled[rows.months[labelled] < name])
        rung = fit(past)
        judged = months[max(1, number - JUDGED_MONTHS) : number]
        if number >= first:
            before = rows.where(labelled[np.isin(rows.months[labelled], judged)])
            profile = learn_from(past, before, np.concatenate([answers[month] for month in judged]))
            chosen = np.flatnonzero(rows.months == name)
            if "" not in profile.judged:
                raise ModelError(
                    f"replay: expected two weeks or more on which a model was judged before {name}; begin later"
                )
            yield Month(name, _bundle(past, rung, profile, entry), profile, rows.where(chosen), times[chosen])
        now = rows.where(labelled[rows.months[labelled] == name])
        answers[name] = rung.answer(now.features)


def _bundle(past: Rows, rung: Rung, profile: Profile, entry: str) -> Bundle:
    first, last = past.period
    learnt = Learnt(len(past), first, last, "", "replayed", {}, 0)
    with tempfile.TemporaryDirectory() as folder:
        write_bundle(
            Path(folder),
            problem=past.problem,
            full=rung,
            references=past.references,
            default=float(past.y.mean()),
            learnt=learnt,
            profile=profile,
            entry=entry,
        )
        assert read_profile(Path(folder)) == profile
        return load_bundle(Path(folder))


def watch_month(month: Month, budget: AlarmBudget, versions: np.ndarray | None = None) -> MonthResult:
    """Put a month's answers and outcomes into a store of its own, and let the monitors look at it.

    `versions` (n,) are the models that are said to have answered, by default the one that did.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/store.db")
        put_into(store, month.bundle, month.rows, month.known, versions)
        at = instants(month.rows.table[AT.name])
        through = (int(at.max()) // DAY_US + 2) * DAY_US + month.bundle.problem.mature_us
        run = run_monitors(store, month.bundle, month.profile, through=through, days=40, budget=budget)
        kept = store.remembered(month.bundle.version, CAME)
        days = [OutcomeDay.from_text(one.content, name) for name, one in kept.items()]
        store.close()
    last = day_of(int(at.max()))  # after it nobody asks, which is the month's end and no alarm
    run = replace(run, alarms=[alarm for alarm in run.alarms if alarm.day <= last])
    return MonthResult(month, run, days)


def replay_months(
    training: TrainingTable,
    known: pd.Series,
    fit: Fit,
    *,
    first: int,
    budget: AlarmBudget,
    every: int = 1,
    worse: float = 0.1,
    entry: str = "",
) -> Replayed:
    """Replay a history from its `first`-th month on, with one in `every` rows.

    `known` says of each row, by its id, when its outcome was known, `fit` makes a model of rows; `entry` names the problem's
    declaration, by default as pyproject.toml does.

    >>> from ringbound import fit_beside
    >>> from ringbound.testing import examples
    >>> from ringbound.testing.parcels import ENTRY
    >>> fit = lambda past: fit_beside(past, [examples.LINEAR], "linear", seed=1, strength=0.1)
    >>> none = pd.Series([], dtype="datetime64[us, UTC]")
    >>> found = replay_months(examples.training(), none, fit, first=4, budget=AlarmBudget(), entry=ENTRY)
    >>> found.frame.index.tolist()
    ['2020-W12', '2020-W13']
    """
    chosen = np.arange(len(training.table)) % every == 0
    table, requests = (frame[chosen].reset_index(drop=True) for frame in (training.table, training.requests))
    some = replace(training, table=table, requests=requests)
    months = months_of(some, known, fit, first=first, entry=entry)
    return Replayed([watch_month(month, budget) for month in months], worse)


def _share(values: list[bool]) -> float:
    return sum(values) / len(values) if values else float("nan")
