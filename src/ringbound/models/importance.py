"""Which features a model leans on: how much worse it gets when one of them is shuffled among the rows.

Breiman, Machine Learning 45 (2001), section 10. Features that say the same share their importance.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd


def permutation_importance(
    answer: Callable[[np.ndarray], np.ndarray],
    X: np.ndarray,
    y: np.ndarray,
    loss: Callable[[np.ndarray, np.ndarray], np.ndarray],
    names: list[str],
    *,
    rounds: int,
    seed: int,
) -> pd.DataFrame:
    """Return, for each column of X (n, p), the rise of the mean loss when it is shuffled: mean and spread over `rounds`."""
    base = loss(y, answer(X)).mean()
    random = np.random.default_rng(seed)
    orders = [random.permutation(len(X)) for _ in range(rounds)]
    found = []
    for j, name in enumerate(names):
        rises = []
        for order in orders:
            shuffled = X.copy()
            shuffled[:, j] = X[order, j]
            rises.append(loss(y, answer(shuffled)).mean() - base)
        found.append((name, np.mean(rises), np.std(rises)))
    table = pd.DataFrame(found, columns=["feature", "rise", "spread"])
    return table.sort_values("rise", ascending=False, kind="stable", ignore_index=True)
