"""Why a model should learn anew: what monitors found since it learnt, how old it is, or where its loss is going."""

from collections.abc import Sequence
from datetime import date
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from ringbound.monitoring.alerts import Alert
from ringbound.monitoring.report import Report

Policy = Literal["always", "schedule", "drift", "performance", "forecast"]
OF = {"drift": ("data/",), "performance": ("performance", "outcomes", "group/")}
"""The alerts that are a cause, by policy."""
FEWEST_DAYS = 14
"""Days with an outcome from which a loss is forecast."""


def alert_cause(policy: Policy, alerts: Sequence[Alert], learnt: str) -> str:
    """Return the open alerts that were found after the day `learnt`, up to which was learnt, in words; or nothing.

    One that is acknowledged is somebody's already.

    >>> alert_cause("drift", [Alert("data/weather", "open", "2020-03-02", "2020-03-04", 2, False, {}, 1)], "2020-03-01")
    'data/weather since 2020-03-02'
    """
    standing = [one for one in alerts if one.state == "open" and one.last > learnt]
    found = [one for one in standing if one.name.startswith(OF[policy])]
    return ", ".join(f"{one.name} since {one.opened}" for one in found)


def schedule_cause(learnt: str, through: str, days: int) -> str:
    """Return that a model learnt so many days ago or more, in words; or nothing.

    >>> schedule_cause("2020-03-01", "2020-03-31", 30)
    'it learnt up to 2020-03-01, 30 days ago'
    """
    age = (date.fromisoformat(through) - date.fromisoformat(learnt)).days
    return f"it learnt up to {learnt}, {age} days ago" if age >= days else ""


def forecast_cause(report: Report, learnt: str, present: str, ahead: int, tolerance: float) -> str:
    """Return that the loss, as it goes, will surely be above what was promised `ahead` days on, in words; or nothing.

    A straight line through the days after `learnt` that are final, a day a point; surely: the lower end of its 90% prediction
    interval for the mean of a week (Kutner and others, Applied Linear Statistical Models, 2005, section 2.5).
    """
    days = [(day.day, day.loss) for day in report.days if day.final and day.loss is not None and day.day > learnt]
    n = len(days)
    if report.promise is None or n < FEWEST_DAYS:
        return ""
    from scipy.stats import linregress  # it takes a second to import

    x = np.array([date.fromisoformat(day).toordinal() for day, _ in days], float)
    losses = np.array([loss for _, loss in days])
    line = linregress(x, losses)
    at = date.fromisoformat(present).toordinal() + ahead
    residual = float(np.sqrt(((losses - line.intercept - line.slope * x) ** 2).sum() / (n - 2)))
    error = residual * np.sqrt(1 / 7 + 1 / n + (at - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum())
    expected = float(line.intercept + line.slope * at)
    low = expected - float(stdtrit(n - 2, 0.95)) * float(error)
    limit = report.promise * (1 + tolerance)
    if low <= limit:
        return ""
    return (
        f"in {ahead} days its loss will be {expected:.3f}, {low:.3f} at least, where {report.promise:.3f} was promised"
    )
