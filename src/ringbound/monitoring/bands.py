"""How good the answers of a window are, three times: estimated, from few outcomes, and final.

- *estimated*, without outcomes: what the answers themselves lead to expect. Right under any shift of what is asked while the
  answers are calibrated; wrong where the same questions have other outcomes than before, which nobody can see without
  outcomes. So it is held against what became final, and muted where it has been wrong.
- *partly matured*: the expected loss of all answers, corrected by those outcomes that are known (Angelopoulos et al.,
  Prediction-powered inference, Science 382, 2023). Early outcomes are not like late ones, so each stands for as many as had
  the same outcome and were known as soon in the days that are final (Horvitz and Thompson, JASA 47, 1952).
- *final*: the mean loss of all answers that have an outcome, once they had time enough to get one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri, stdtrit

from ringbound.monitoring.days import STEPS_AN_OCTAVE, OutcomeDay, delay_bins
from ringbound.monitoring.profile import STRETCH, History
from ringbound.monitoring.sums import Sums

LEVEL = 0.95
LEAST_SHARE = 0.05
"""Of outcomes known so soon: less stands for too many."""
RECENT_DAYS = 28
"""Final days that say whether estimates are to be believed."""
FEWEST_KNOWN = 30
"""Outcomes, fewer of which correct nothing."""
FEWEST = 4
"""Stretches, fewer of which say nothing of how far they are apart."""


@dataclass(frozen=True)
class Band:
    """A mean loss with its 95% interval, over so many answers; `muted` says why it is not to be believed, if it is not."""

    name: Literal["estimated", "partly matured", "final"]
    value: float
    low: float
    high: float
    rows: int
    known: int
    muted: str = ""


def spread_of(errors: Sequence[float] | np.ndarray, stretch: int = STRETCH) -> tuple[float, int]:
    """Return the standard deviation of means over `stretch` days in a row, and how many such stretches there are.

    >>> spread_of([1.0] * 7 + [3.0] * 7)
    (1.4142135623730951, 2)
    """
    values = np.asarray(errors, float)
    units = len(values) // stretch
    if units < 2:
        return float("nan"), units
    means = values[len(values) - units * stretch :].reshape(units, stretch).mean(axis=1)
    return float(means.std(ddof=1)), units


def estimated(history: History, window: Sums, days: int, gaps: Sequence[float]) -> Band:
    """Return what the answers of a window, over so many days, lead to expect of their loss.

    How far such estimates have been off follows from the days on which the model was judged; `gaps` are those of the days
    that have become final since, the latest last.
    """
    value = window.expected_of_all / window.rows if window.rows else float("nan")
    spread, units = spread_of(history.gap)
    if units < FEWEST:
        spread, units = spread_of([*history.gap, *gaps])
    if units < FEWEST:
        return Band(
            "estimated", value, float("nan"), float("nan"), window.rows, 0, "too few judged days to say how sure"
        )
    stretches = days / STRETCH
    centre = float(np.mean(history.gap))
    reach = float(stdtrit(units - 1, (1 + LEVEL) / 2)) * spread * np.sqrt(1 / stretches + 1 / units)
    muted = ""
    recent = np.asarray(gaps[-RECENT_DAYS:], float)
    if len(recent) >= STRETCH:
        limit = float(stdtrit(units - 1, (1 + LEVEL) / 2)) * spread * np.sqrt(STRETCH / len(recent) + 1 / units)
        off = float(recent.mean()) - centre
        if abs(off) > limit:
            muted = (
                f"over the last {len(recent)} final days it was off by {off:+.3f}, more than the {limit:.3f} that is usual: "
                "outcomes are not as answers say"
            )
    value += centre
    return Band("estimated", value, max(0.0, value - reach), value + reach, window.rows, 0, muted)


def final(history: History, days: Sequence[OutcomeDay]) -> Band:
    """Return the mean loss of days that are final, with an interval over stretches of days."""
    window = sum((day.all for day in days), Sums())
    losses = [day.all.mean_loss for day in days if day.all.known]
    spread, units = spread_of(losses)
    if units < FEWEST:
        spread, units = spread_of(history.loss)
    reach = float("nan")
    if units >= 2:
        reach = float(stdtrit(units - 1, (1 + LEVEL) / 2)) * spread / np.sqrt(len(losses) / STRETCH)
    value = window.mean_loss
    return Band("final", value, max(0.0, value - reach), value + reach, window.rows, window.known)


class Maturing:
    """How soon outcomes are known, by what they are: learnt from days that are final."""

    def __init__(self, days: Sequence[OutcomeDay]):
        counts = [np.array(day.delays) for day in days if day.delays]
        self._known = np.cumsum(np.sum(counts, axis=0), axis=1) if counts else None

    def shares(self, ages_us: np.ndarray) -> np.ndarray:
        """Return which share of the outcomes of each bin is known at these ages (n,), (bins, n); of bins without any, of all.

        NaN where nobody knows.
        """
        if self._known is None:
            return np.full((1, len(ages_us)), np.nan)
        # The bin that an age lies in is counted in part: by how far the age is into it.
        place = delay_bins(ages_us)
        into = np.clip(np.log2(np.maximum(ages_us / 1e6, 1.0)) * STEPS_AN_OCTAVE - place, 0, 1)
        counts = np.vstack([self._known, self._known.sum(axis=0)])
        before = np.where(place > 0, counts[:, np.maximum(place - 1, 0)], 0)
        known = before + (counts[:, place] - before) * into
        total = counts[:, -1:]
        share = known / np.maximum(total, 1)
        return np.where(total[:-1] > 0, share[:-1], share[-1])

    @property
    def occupied(self) -> np.ndarray:
        """Which bins of outcomes have any, (bins,)."""
        return np.array([True]) if self._known is None else self._known[:, -1] > 0


@dataclass(frozen=True)
class Early:
    """Answers whose outcomes are only partly known, n of them.

    `expected` (n,) are the losses that they lead to expect, `losses` (n,) those that came, NaN where nothing is known yet;
    `share` (n,) is the chance with which the outcome that came was known by now, `least` (n,) that of the outcome which takes
    longest.
    """

    expected: np.ndarray
    losses: np.ndarray
    share: np.ndarray
    least: np.ndarray


def partly_matured(rows: Early, labelled: float, spread: float, days: float) -> Band:
    """Return the mean loss of answers of which few outcomes are known.

    `labelled` is the share that ever gets an outcome. Only rows that are old enough for every outcome to be known by now,
    with a chance of `LEAST_SHARE`, correct the estimate: of younger ones some outcomes cannot be there. Rows are alike
    within days, which makes the interval as wide as `spread`, that of the gap over stretches of the `days`, asks for.
    """
    n, known = len(rows.expected), ~np.isnan(rows.losses)
    old = rows.least >= LEAST_SHARE
    used = known & old
    value = float(rows.expected.mean())
    silent = "" if np.isfinite(rows.least).all() else "no days are final yet that say how soon outcomes are known"
    if silent or used.sum() < FEWEST_KNOWN:
        silent = silent or "too few rows are old enough to have any outcome"
        return Band("partly matured", value, value, value, n, int(known.sum()), silent)
    weight = np.where(used, 1 / np.maximum(rows.share, LEAST_SHARE), 0.0)
    gap = np.where(used, np.nan_to_num(rows.losses) - rows.expected, 0.0) * weight
    represented = labelled * float(old.sum())
    value += float(gap.sum() / represented)
    rows_error = float(np.sqrt((gap**2).sum()) / represented)
    unseen = 1 - min(1.0, float(used.sum()) / (labelled * n))
    noise = float((np.nan_to_num((rows.losses - rows.expected) ** 2)[used] * weight[used]).sum() / weight[used].sum())
    errors = (rows_error, np.sqrt(unseen * noise / n), spread * unseen / np.sqrt(days / STRETCH))
    reach = float(ndtri((1 + LEVEL) / 2)) * float(np.sqrt(sum(error**2 for error in errors)))
    return Band("partly matured", value, max(0.0, value - reach), value + reach, n, int(known.sum()))
