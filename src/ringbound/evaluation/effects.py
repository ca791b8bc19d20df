"""What moves a model's answers: the Shapley values of its features over many rows (Lundberg et al., 2020)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ringbound.display.figures import BLUE, GREY, Plot, panels
from ringbound.display.tables import Shown
from ringbound.errors import ModelError
from ringbound.models.bundle import Bundle
from ringbound.problem.declaration import Problem
from ringbound.problem.training import Rows

MOST_ROWS = 5_000
SHOWN = 12


@dataclass(frozen=True)
class EffectTable(Shown):
    """The mean size of each feature's effect on the margin, largest first; `X` and `effects` (n, features) are the rows'."""

    table: pd.DataFrame
    problem: Problem
    X: np.ndarray
    effects: np.ndarray
    names: list[str]
    numbers: int
    digits = 3

    @property
    def caption(self) -> str:
        """What the numbers are."""
        unit = self.problem.task.says_margin
        return f"mean |effect| on {len(self.X):,} {self.problem.rows}, in {unit}; {SHOWN} of {len(self.table)} features"

    @property
    def frame(self) -> pd.DataFrame:
        """The largest, and which way a high value pushes, where it is one way."""
        return self.table.head(SHOWN)

    def figure(self, most: int = 4) -> Plot:
        """Draw how the effect depends on the value, for the numbers that move most: a dot a row, and the mean by tenths."""
        chosen = [self.names.index(name) for name in self.table["feature"] if name in self.names[: self.numbers]][:most]
        figure, axes = panels(3.2 * len(chosen), 2.8, len(chosen))
        for axis, j in zip(np.atleast_1d(axes), chosen, strict=True):
            known = ~np.isnan(self.X[:, j])
            values, effects = self.X[known, j], self.effects[known, j]
            axis.axhline(0, color=GREY, linewidth=0.8)
            axis.plot(values, effects, ".", markersize=1.5, alpha=0.25, color=BLUE, rasterized=True)
            tenths = pd.qcut(values, 10, labels=False, duplicates="drop")
            means = pd.DataFrame({"value": values, "effect": effects}).groupby(tenths).mean()
            axis.plot(means["value"], means["effect"], "o-", color="black", markersize=3, linewidth=1)
            axis.set(xlabel=self.problem.word(self.names[j]), xlim=np.quantile(values, [0.005, 0.995]))
            axis.xaxis.label.set_size(8)
        np.atleast_1d(axes)[0].set_ylabel("effect on the margin")
        return Plot(figure)


def effect_table(bundle: Bundle, rows: Rows, *, seed: int) -> EffectTable:
    """Explain the full model's answers for at most 5,000 of the rows.

    >>> from ringbound.testing import examples
    >>> found = effect_table(examples.bundle(), examples.later(), seed=1)
    >>> found.frame["feature"].head(2).tolist()
    ['weight', 'depot_late_mean_3h']
    """
    if bundle.task.classes:
        raise ModelError("effects: expected answers of one number; of classes, explanations say why row by row")
    size = min(MOST_ROWS, len(rows))
    some = rows.where(np.random.default_rng(seed).choice(len(rows), size, replace=False))
    encoder = bundle.full.encoder
    X = encoder.matrix(some.features)
    effects = bundle.full.explain(X).values
    sizes = np.abs(effects).mean(axis=0)
    order = np.argsort(-sizes, kind="stable")
    names = [encoder.names[j] for j in order]
    table = pd.DataFrame(
        {
            "feature": names,
            "mean |effect|": sizes[order],
            "share": sizes[order] / sizes.sum(),
            "a high value": [_pushes(X[:, j], effects[:, j]) if j < len(encoder.numbers) else "" for j in order],
        }
    )
    return EffectTable(table, rows.problem, X, effects, encoder.names, len(encoder.numbers))


def _pushes(values: np.ndarray, effects: np.ndarray) -> str:
    """Say which way high values push, where the ranks of values and effects agree or disagree clearly."""
    known = ~np.isnan(values)
    ranks = pd.DataFrame({"value": values[known], "effect": effects[known]}).rank()
    together = ranks["value"].corr(ranks["effect"])
    return "raises" if together > 0.3 else "lowers" if together < -0.3 else "both ways"
