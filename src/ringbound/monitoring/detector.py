"""Alarms that may be looked for every day, with a budget of false ones.

Each monitor turns a day into an e-value: a number that is at least 0 and whose mean, while all is well, is at most 1. All is
well, to one that ranks days, where days come as those of the history did, in any order; to one that bets, where the mean is
at most what is allowed, whatever the days before were.

A detector adds the evidence up since any day before (Shiryaev and Roberts): M' = (1 + M) e. While all is well, M grows by at
most 1 a day on average, so an alarm at M >= c, after which it begins anew, comes at most once in c days on average: over T
days at most T / c false alarms are to be expected, however often one looks, and the sum over monitors holds whatever they
have to do with each other. Shin, Ramdas and Rinaldo, E-detectors, New England Journal of Statistics in Data Science 2 (2024).
Days in a row that are alike bring more false alarms than that; `ringbound.monitoring.quiet` measures how many.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

DAYS = 365
SETTLING_DAYS = 14
SELDOM = 0.05
GROSS, SHARES = 0.2, ("missing", "strange")
LEAST_HISTORY = 14
"""Days of history, fewer of which say nothing."""
POWERS = np.array([0.1, 0.3, 0.6])
BETS = np.array([0.1, 0.2, 0.4, 0.7, 1.0])
"""Shares of what one has that are bet against the mean; which is best is not known, so evidence is their mean."""


def by_rank(value: float, history: np.ndarray) -> float:
    """Return the e-value of a day whose statistic is `value`, beside those of the history, (n,): large is bad.

    The share of the history that is at least as large is a p-value where days come as they did; κ p^(κ-1) makes an e-value
    of it (Shafer, Journal of the Royal Statistical Society A 184, 2021), and so does the mean over some κ.

    >>> round(by_rank(9.0, np.arange(99.0)), 2), round(by_rank(200.0, np.arange(99.0)), 2)
    (0.35, 5.88)
    """
    p = (1 + np.count_nonzero(history >= value)) / (1 + len(history))
    return float((POWERS * p ** (POWERS - 1)).mean())


def of_column(values: Mapping[str, float], histories: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the e-values of a day's column, whose statistics are large where something is wrong.

    Half of them bet by the mean rank of its statistics, half that a share is larger by `GROSS` than it ever was, which is
    soon enough where the history is short.
    """
    known = [kind for kind, history in histories.items() if len(history) >= LEAST_HISTORY]
    ranks = float(np.mean([by_rank(values[kind], histories[kind]) for kind in known])) if known else 1.0
    gross = any(values[kind] > float(histories[kind].max()) + GROSS for kind in known if kind in SHARES)
    return np.concatenate([np.full(3, ranks), seldom(gross)[2:] if known else np.ones(3)])


def above(value: float, most: float) -> np.ndarray:
    """Return the e-values of a day whose statistic, at least 0, is on average at most `most`: one for each of `BETS`.

    Waudby-Smith and Ramdas, Journal of the Royal Statistical Society B 86 (2024), of a mean that has no upper bound.

    >>> above(2.0, 1.0).tolist()
    [1.1, 1.2, 1.4, 1.7, 2.0]
    """
    return 1 + BETS * (value / max(most, 1e-12) - 1)


def seldom(happened: bool) -> np.ndarray:
    """Return the e-values of a day on which something happened, or not, that happens on one day in twenty at most.

    >>> seldom(True).round(1).tolist(), seldom(False).round(1).tolist()
    ([2.9, 4.8, 8.6, 14.3, 20.0], [0.9, 0.8, 0.6, 0.3, 0.0])
    """
    return above(float(happened), SELDOM)


@dataclass
class Detector:
    """Adds up what speaks against a monitor since any day before; `false_a_year` is how often it may be wrong.

    >>> detector = Detector(false_a_year=1.0)
    >>> [detector.step(10.0) for _ in range(3)], round(detector.weight, 2)
    ([False, False, True], 0.0)
    """

    false_a_year: float
    evidence: np.ndarray | float = 0.0
    recent: deque[np.ndarray | float] = field(default_factory=lambda: deque(maxlen=SETTLING_DAYS))

    def step(self, evalue: np.ndarray | float) -> bool:
        """Take a day in; return whether this is an alarm, after which the detector begins anew."""
        if not np.isfinite(evalue).all():
            return False  # a day that says nothing
        self.recent.append(evalue)
        self.evidence = (1 + self.evidence) * evalue
        if self.total < self.limit:
            return False
        self.evidence = np.zeros_like(evalue)
        return True

    @property
    def settled(self) -> bool:
        """Whether, in the last two weeks, no bet has won on average."""
        return len(self.recent) == SETTLING_DAYS and bool((np.vstack(list(self.recent)).mean(0) <= 1).all())

    @property
    def total(self) -> float:
        """The evidence; of several bets their mean."""
        return float(np.mean(self.evidence))

    @property
    def limit(self) -> float:
        """The evidence from which it is an alarm."""
        return DAYS / self.false_a_year

    @property
    def weight(self) -> float:
        """The evidence as a share of what raises an alarm, both as logarithms."""
        return float(np.log1p(self.total) / np.log1p(self.limit))
