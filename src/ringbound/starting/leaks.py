"""What a column gives away of the outcome, by itself or added up with others."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeRegressor

from ringbound.starting.look import Column

PROBED = 50_000
"""Rows by which columns are judged."""


def share_told(values: pd.Series, y: np.ndarray) -> float:
    """Return how much of the outcomes y (n,) a column tells by itself: of the variance of their ranks, on rows not fitted on.

    Of classes, y (n, classes), it is that class of which it tells most.

    A number is cut by a small tree, the values of a text have a mean each (Breiman and others, Classification and Regression
    Trees, 1984).

    >>> share_told(pd.Series([1.0, 2.0, 3.0, 4.0] * 100), np.array([1.0, 4.0, 9.0, 16.0] * 100))
    1.0
    """
    if y.ndim == 2:
        return max(share_told(values, y[:, one]) for one in range(y.shape[1]))
    there = np.flatnonzero(~np.isnan(y))
    there = there[:: max(1, len(there) // PROBED)]
    ranks = pd.Series(y[there]).rank().to_numpy()
    column = values.iloc[there].reset_index(drop=True)
    if pd.api.types.is_datetime64_any_dtype(column):
        column = column.astype("int64").where(column.notna())
    fitted = np.random.default_rng(0).random(len(there)) < 0.5
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        X = column.to_numpy("float64", na_value=np.nan)[:, None]
        tree = DecisionTreeRegressor(max_leaf_nodes=50, min_samples_leaf=3, random_state=0).fit(
            X[fitted], ranks[fitted]
        )
        told = tree.predict(X[~fitted])
    else:
        means = pd.Series(ranks[fitted]).groupby(column[fitted].fillna("").astype("str").to_numpy()).mean()
        told = column[~fitted].fillna("").astype("str").map(means).fillna(ranks[fitted].mean()).to_numpy()
    left = ranks[~fitted]
    whole = float(((left - ranks[fitted].mean()) ** 2).sum())
    return max(0.0, 1 - float(((left - told) ** 2).sum()) / whole) if whole else 0.0


def parts_of(label: Column, columns: Sequence[Column], y: np.ndarray) -> dict[str, str]:
    """Return the numbers that make up the outcome exactly when they are added up, each with what it belongs to."""
    there = np.flatnonzero(~np.isnan(y))
    there = there[:: max(1, len(there) // 2_000)]
    left = y[there]
    numbers = [c.original for c in columns if c.kind in ("number", "integer")]
    X = {c.original: np.nan_to_num(c.numbers[there]) for c in columns if c.original in numbers}

    def exact(names: Sequence[str]) -> bool:
        matrix = np.column_stack([np.ones(len(left)), *(X[name] for name in names)])
        fitted = matrix @ np.linalg.lstsq(matrix, left, rcond=None)[0]
        return bool(np.abs(left - fitted).max() <= 1e-6 * np.abs(left).max())

    found: dict[str, str] = {}
    while numbers and len(left) >= 10 * len(numbers) and exact(numbers):
        names = numbers
        for name in list(names):
            fewer = [other for other in names if other != name]
            if fewer and exact(fewer):
                names = fewer
        for name in names:
            others = " and ".join(f"`{other}`" for other in names if other != name)
            found[name] = f"{f'with {others} ' if others else ''}makes up `{label.original}` exactly: known with it"
        numbers = [name for name in numbers if name not in names]
    return found
