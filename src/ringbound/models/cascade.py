"""A cheap model answers where it is sure, the costly one where it matters.

Viola and Jones, CVPR 2001 (rejection by stages); thresholds are learnt on answers for rows that no model was fitted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Cascade:
    """The cheap model answers where its probability is outside [`low`, `high`], the costly one within."""

    low: float
    high: float

    def asks_costly(self, cheap: np.ndarray) -> np.ndarray:
        """Return which rows the costly model answers, (n,) of booleans, given the cheap one's answers (n,)."""
        return (cheap >= self.low) & (cheap <= self.high)


def frontier(
    cheap: np.ndarray, cheap_loss: np.ndarray, costly_loss: np.ndarray, shares: Sequence[float]
) -> "pd.DataFrame":
    """Return, for each share of rows that may go to the costly model, the interval of cheap answers that gains most.

    All are (n,): the cheap model's answers, and each row's loss by either. A row of the result: low, high, share (what
    the interval really takes; equal answers go one way together) and loss, the mean over all rows.
    """
    import pandas as pd  # not where the model serves

    order = np.argsort(cheap, kind="stable")
    p = cheap[order]
    gains = np.concatenate([[0.0], np.cumsum((cheap_loss - costly_loss)[order])])
    intervals = []
    for share in shares:
        size = round(share * len(p))
        if size == 0:
            intervals.append((np.inf, -np.inf))
            continue
        start = int(np.argmax(gains[size:] - gains[: len(gains) - size]))
        intervals.append((float(p[start]), float(p[start + size - 1])))
    rows = []
    for low, high in intervals:
        costly = Cascade(low, high).asks_costly(cheap)
        rows.append((low, high, costly.mean(), np.where(costly, costly_loss, cheap_loss).mean()))
    return pd.DataFrame(rows, columns=["low", "high", "share", "loss"])


def choose(points: "pd.DataFrame", *, slack: float, cheap_cost: float) -> Cascade | None:
    """Return the cheapest point of a frontier that loses at most `slack` to its best; None where that is always asking.

    `cheap_cost` is what the cheap model costs, as a share of the costly one. Whoever goes to the costly model has paid
    for both; where all do, the cheap one need not be asked.
    """
    cost = (points["share"] + cheap_cost).where(points["share"] < 1.0, 1.0)
    good = points[points["loss"] <= points["loss"].min() + slack]
    chosen = good.loc[cost[good.index].idxmin()]
    return None if chosen["share"] >= 1.0 else Cascade(float(chosen["low"]), float(chosen["high"]))
