"""The outcomes of a table as numbers, and what kind of number is asked for."""

import numpy as np

from ringbound.problem.numbers import Count, Regression
from ringbound.starting.roles import YES_NO, Roles, classes_of

UNEVEN = 0.5
"""The spread of outcomes that are never negative, as a share of their mean, from which what moves them multiplies them."""


def outcome_numbers(roles: Roles) -> np.ndarray:
    """Return outcomes as they are kept as events, (n,): of two values whether the one came, of classes their places."""
    values = roles.label.values
    if roles.task == "multiclass":
        places = {name: float(place) for place, name in enumerate(classes_of(roles.label))}
        return values.astype("str").map(places).where(values.notna()).to_numpy("float64")
    if roles.task in YES_NO:
        return (values.astype("str") == roles.yes).astype("float64").where(values.notna()).to_numpy()
    return values.astype("float64").to_numpy()


def number_task(roles: Roles) -> Count | Regression:
    """Return the task of numbers that a table calls for."""
    if roles.task == "count":
        return Count()
    y = outcome_numbers(roles)
    low, middle = np.nanmin(y), np.nanmedian(y)
    uneven = low >= 0 and np.nanstd(y) > np.nanmean(y) * UNEVEN
    return Regression(relative=bool(low > 0 and low > middle / 100), least=0.0 if uneven else None)
