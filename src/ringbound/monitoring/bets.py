"""What is bet each day on losses and outcomes: that they are more, or further off, than those that a model was judged on."""

from collections.abc import Sequence

import numpy as np

from ringbound.monitoring.budget import AlarmBudget
from ringbound.monitoring.detector import BETS, LEAST_HISTORY, above, by_rank
from ringbound.monitoring.profile import History, upper

LATELY_DAYS = 14
"""Days over which an alarm says how it is: what a single day shows may be anything."""


def bets_of_loss(history: History, loss: float, gap: float, budget: AlarmBudget) -> np.ndarray:
    """Return a day's e-values: half of them bet that it loses more than was promised, half that more than it expects."""
    bets = above(max(0.0, loss), history.most_loss * (1 + budget.tolerance))
    return np.concatenate([bets, np.full(len(BETS), by_rank(gap, np.array(history.gap)))])


def bets_of_outcome(history: History, outcome: float, budget: AlarmBudget) -> np.ndarray:
    """Return a day's e-values of how far its mean outcome is from that of the history, whose days were so far from it."""
    middle = float(np.mean(history.outcome))
    usual = max(history.most_shift * (1 + budget.tolerance), 0.001 * abs(middle))
    return above(abs(outcome - middle), usual)


def bets_of_group(whole: History, history: History, ratio: float, budget: AlarmBudget) -> np.ndarray:
    """Return a day's e-values of a group's loss as a share of that of all: who all do worse with is not singled out."""
    of_all = dict(zip(whole.days, whole.loss, strict=True))
    ratios = np.array(
        [loss / of_all[day] for day, loss in zip(history.days, history.loss, strict=True) if of_all.get(day)]
    )
    if len(ratios) < LEAST_HISTORY:
        return np.ones(2 * len(BETS))
    bets = above(ratio, upper(ratios) * (1 + budget.tolerance))
    return np.concatenate([bets, np.full(len(BETS), by_rank(ratio, ratios))])


def usual_gap(gaps: Sequence[float]) -> float:
    """Return how far means of two weeks were from what was expected, 95 times in a hundred, when the model was judged."""
    days = np.array([*gaps])
    wide = min(LATELY_DAYS, len(days))
    return float(np.quantile(np.abs(np.convolve(days, np.full(wide, 1 / wide), "valid")), 0.95))
