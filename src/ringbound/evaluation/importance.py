"""Which features a model leans on: how much worse it gets when one of them is shuffled among the rows.

Breiman, Machine Learning 45 (2001), section 10. Features that say the same share their importance.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ringbound.display.figures import BLUE, Plot, panels
from ringbound.display.tables import Shown
from ringbound.models.bundle import Bundle
from ringbound.problem.declaration import Problem
from ringbound.problem.training import Rows

MOST_ROWS = 12_000
ROUNDS = 2


@dataclass(frozen=True)
class ImportanceTable(Shown):
    """The rise of the mean loss by feature, most first, with its spread over rounds."""

    table: pd.DataFrame
    problem: Problem

    @property
    def frame(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def figure(self, most: int = 15) -> Plot:
        """Draw the features it leans on most."""
        top = self.table.head(most)[::-1]
        figure, axes = panels(7, 0.25 * len(top) + 0.8)
        names = [self.problem.word(name) for name in top["feature"]]
        axes.barh(names, top["rise"], xerr=top["spread"], color=BLUE, height=0.6)
        title = f"The {len(top)} features it leans on most"
        axes.set(xlabel=f"rise of the {self.problem.task.loss} when shuffled", title=title)
        axes.tick_params(axis="y", labelsize=8)
        return Plot(figure)


def importance_table(bundle: Bundle, rows: Rows, *, seed: int) -> ImportanceTable:
    """Shuffle each feature of the full model among at most 12,000 of the rows, twice.

    >>> from ringbound.testing import examples
    >>> importance_table(examples.bundle(), examples.later(), seed=1).frame["feature"].head(2).tolist()
    ['weight', 'depot_late_mean_3h']
    """
    size = min(MOST_ROWS, len(rows))
    some = rows.where(np.random.default_rng(seed).choice(len(rows), size, replace=False))
    encoder = bundle.full.encoder
    table = permutation_importance(
        bundle.full.answer_matrix,
        encoder.matrix(some.features),
        some.y,
        bundle.task.losses,
        encoder.names,
        rounds=ROUNDS,
        seed=seed,
    )
    return ImportanceTable(table, rows.problem)


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
    rows = []
    for j, name in enumerate(names):
        rises = []
        for order in orders:
            shuffled = X.copy()
            shuffled[:, j] = X[order, j]
            rises.append(loss(y, answer(shuffled)).mean() - base)
        rows.append((name, np.mean(rises), np.std(rises)))
    table = pd.DataFrame(rows, columns=["feature", "rise", "spread"])
    return table.sort_values("rise", ascending=False, kind="stable", ignore_index=True)
