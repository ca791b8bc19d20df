"""Tests and intervals that stay valid however often they are looked at, and whenever one stops.

Rates are held to a limit by an e-value: a bet against the claim that of what comes at most a share is bad, whatever has come
before. While the claim holds, the chance that such a bet ever grows by 1 / alpha is at most alpha (Ville's inequality), so
that one may look after every row. It is mixed over all rates above the limit (Robbins, 1970; Howard, Ramdas, McAuliffe and
Sekhon, Annals of Statistics 2021), which gives a form with nothing to choose.

Means of what has no limits have an asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Annals of
Statistics 2024): it bounds the mean of what was to be expected, as it changes, and asks neither for equal rows nor for rows
that do not depend on those before.
"""

import math

from scipy.special import betainc, betaln

TUNED_TO = 1000
"""The number of values at which a confidence sequence is narrowest."""
FEWEST = 100
"""Values before which a confidence sequence says nothing: it goes by a variance that has to be known."""


def log_bet(bad: float, good: float, limit: float) -> float:
    """Return the log of the e-value against "at most a share `limit` is bad" after so many of both.

    What comes may also be bad in part, as a share of it: the bet is convex in the share, so it is one against the mean.

    >>> math.exp(log_bet(9, 0, 0.5)) > 100, math.exp(log_bet(8, 0, 0.5)) > 100
    (True, False)
    >>> math.exp(log_bet(60, 60, 0.5)) < 1
    True
    """
    above = float(betainc(good + 1, bad + 1, 1 - limit))
    if above <= 0:  # far below the limit: less than a float can hold
        return -math.inf
    return (
        float(betaln(bad + 1, good + 1))
        + math.log(above)
        - math.log1p(-limit)
        - bad * math.log(limit)
        - good * math.log1p(-limit)
    )


def half_width(number: int, variance: float, alpha: float) -> float:
    """Return by how much less than its estimate a mean may be, at any time at once but with chance `alpha`.

    `number` values have this `variance`. Infinite where they are too few.

    >>> round(half_width(1000, 1.0, 0.01), 3), half_width(50, 1.0, 0.01)
    (0.106, inf)
    """
    if number < FEWEST:
        return math.inf
    tuning = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / TUNED_TO
    inner = number * tuning + 1
    return math.sqrt(variance * 2 * inner / (number**2 * tuning) * math.log1p(math.sqrt(inner) / (2 * alpha)))
