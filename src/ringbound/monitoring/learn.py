"""How a profile is learnt: from the rows that a model learns from, and from the days on which it was judged."""

import numpy as np
import pandas as pd

from ringbound.features.columns import Category, Column
from ringbound.features.definition import AT
from ringbound.features.frames import instants
from ringbound.models.ladder import LadderTrial
from ringbound.monitoring.bins import learn_bins, total
from ringbound.monitoring.days import DAY_US, count_days, day_of
from ringbound.monitoring.detector import LEAST_HISTORY
from ringbound.monitoring.profile import ANSWERS, History, Profile, groups_of, learnt_losses, sources_of, takes_of
from ringbound.monitoring.statistics import FEWEST_ROWS, WEEKS_DAYS, Before, effect, of_history
from ringbound.problem.packed import watched_answers, watched_outcomes
from ringbound.problem.training import Rows


def learn_profile(ladder: LadderTrial) -> Profile:
    """Return what live data are to be held against, from a ladder that was tried: see `learn_from`.

    >>> from ringbound.testing import examples
    >>> found = learn_profile(examples.ladder())
    >>> sorted(found.judged), found.sources["weight"]
    (['', 'depot=harbour', 'depot=north', 'depot=south', 'depot=station'], 'request')
    """
    rows, validation = ladder.full.rows, ladder.full.validation
    answers, calibration = ladder.plain["full"], ladder.rungs["full"].calibration
    if calibration is not None:
        answers = calibration.apply(answers)
    return learn_from(rows, rows.where(validation.judged), answers)


def learn_from(rows: Rows, judged: Rows, answers: np.ndarray) -> Profile:
    """Return the profile of a model that learnt from `rows`.

    `judged` are rows that models fitted before them have answered, with `answers` (n,).
    """
    problem, features = rows.problem, rows.problem.features
    columns = rows.features
    watched, came = watched_answers(problem.task, answers), watched_outcomes(problem.task, rows.y)
    empty: dict = {"answers": learn_bins(ANSWERS, watched), "outcomes": learn_bins(problem.label, came)}
    empty |= {
        "learnt": {},
        "recent": {},
        "rows_a_day": 0.0,
        "statistics": {},
        "judged": {},
        "sources": sources_of(features),
        "takes": takes_of(features),
    }
    losses = problem.task.losses(judged.y, answers)
    says = problem.task.expected_losses(answers) is not None
    expected = ([], []) if says else learnt_losses(answers, losses)
    first = Profile(
        columns={name: learn_bins(name, columns[name]) for name in features.names}, expected=expected, **empty
    )
    of_days = count_days(first, instants(rows.table[AT.name]), columns)
    told = count_days(first, instants(judged.table[AT.name]), judged.features, watched)
    for day, counts in told.items():
        of_days[day][ANSWERS] = counts[ANSWERS]
    days = [
        (sum(counts[features.names[0]].bins) + counts[features.names[0]].missing, counts) for counts in of_days.values()
    ]
    before = Before(first)
    novel = {name: _novelty(columns[name], instants(rows.table[AT.name]) // DAY_US) for name in features.names}
    statistics = of_history(days, before)
    all_statistics = statistics | {f"{name}/strange": values for name, values in novel.items()}
    recent = {name: found for name in [*features.names, ANSWERS] if (found := before.counts(name)) is not None}
    return Profile(
        **{
            **vars(first),
            "learnt": {name: [*one.bins, one.missing] for name, one in total(list(of_days.values())).items()},
            "recent": {name: counts.astype(int).tolist() for name, counts in recent.items()},
            "rows_a_day": float(np.median([number for number, _ in days[-WEEKS_DAYS:]])),
            "statistics": {name: [round(value, 4) for value in values] for name, values in all_statistics.items()},
            "judged": _histories(first, judged, answers, losses),
        }
    )


def _novelty(column: Column, days: np.ndarray) -> list[float]:
    """Return, for each day of the later half, the share of its values that the days before it had none like.

    The model has learnt from all days, so that to it none of their values is strange; later ones are as these were then.
    """
    order = np.argsort(days, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(days[order]) > 0])
    parts = [column[rows] for rows in np.split(order, starts[1:])]
    found, seen, low, high = [], np.zeros(0, str), np.inf, -np.inf
    for number, part in enumerate(parts):
        if isinstance(part, Category):
            texts = part.texts()[part.codes >= 0].astype(str)
            strange, there = np.isin(texts, seen, invert=True), len(texts)
            seen = np.union1d(seen, texts)
        else:
            numbers = part[~np.isnan(part)]
            strange, there = (numbers < low) | (numbers > high), len(numbers)
            if there:
                low, high = min(low, float(numbers.min())), max(high, float(numbers.max()))
        if 2 * number >= len(parts):
            found.append(effect("/strange", float(strange.sum()) / max(1, there)))
    return found


def _histories(profile: Profile, judged: Rows, answers: np.ndarray, losses: np.ndarray) -> dict[str, History]:
    problem = judged.problem
    table = pd.DataFrame(
        {
            "day": instants(judged.table[AT.name]) // DAY_US,
            "loss": losses,
            "gap": losses - profile.expected_loss(problem.task, answers),
            "outcome": problem.task.came(judged.y, answers),
        }
    )
    found = {"": _history(table)}
    for name in groups_of(problem.guarded, judged.features):
        column: Column = judged.features[name]
        if isinstance(column, Category):
            for text, some in table.groupby(pd.Series(column.texts(), table.index, dtype=object)):
                found[f"{name}={text}"] = _history(some)
    return {name: history for name, history in found.items() if len(history.days) >= LEAST_HISTORY}


def _history(table: pd.DataFrame) -> History:
    by_day = table.groupby("day")
    means = by_day.mean()[by_day.size() >= FEWEST_ROWS]
    return History(
        [day_of(int(day) * DAY_US) for day in means.index],
        *(means[name].round(6).tolist() for name in ("loss", "gap", "outcome")),
    )
