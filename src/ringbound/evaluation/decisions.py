"""What decisions are worth: what the model's cost beside those of others, and what they are worth at other costs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ringbound.display.figures import BLUE, GREY, OCHRE, RED, Plot, panels
from ringbound.display.tables import Shown
from ringbound.evaluation.ladder import LadderResult
from ringbound.evaluation.uncertainty import Estimate, mean_of
from ringbound.problem.classification import Classification


@dataclass(frozen=True)
class DecisionTable(Shown):
    """Shares and costs of ways to decide, a row each; empty for a regression, which decides nothing.

    `costs` are per 100 rows in units of a false alarm, with their intervals; `saved` what the model costs less than each
    other way, on the same rows. `benefit` is the decision curve: net benefit by threshold and way.
    """

    table: pd.DataFrame
    costs: dict[str, Estimate] = field(default_factory=dict)
    saved: dict[str, Estimate] = field(default_factory=dict)
    benefit: pd.DataFrame = field(default_factory=pd.DataFrame)
    threshold: float = 0.0
    digits = 3

    @property
    def frame(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def figure(self) -> Plot:
        """Draw what decisions are worth when a false alarm weighs otherwise: the decision curve."""
        figure, axes = panels(6.5, 3.2)
        if not len(self.benefit):
            axes.set(title="No decision curve: nothing is decided")
            return Plot(figure)
        colours = dict(zip(self.benefit, (BLUE, OCHRE, RED, GREY, "#222222"), strict=False))
        for name in self.benefit:
            style = {"linestyle": ":", "color": GREY} if name in ("never", "always") else {"color": colours[name]}
            axes.plot(self.benefit.index, self.benefit[name], label=name, linewidth=1.2, **style)
        axes.axvline(self.threshold, color="#ddd", zorder=0)
        top = float(self.benefit.to_numpy().max())
        axes.set_ylim(-0.15 * top, 1.1 * top)
        axes.set(xlabel="threshold", ylabel="net benefit per row, in yeses", title="Decision curve")
        axes.legend(frameon=False, fontsize=8)
        return Plot(figure)


def decision_table(
    result: LadderResult, others: Mapping[str, np.ndarray] | None = None, *, draws: int, seed: int
) -> DecisionTable:
    """Return what deciding by the full model costs beside the baseline, always, never, and `others`' answers (n,).

    Intervals are over the draw of stretches of blocks; those of `saved` are of differences on the same rows. The decision
    curve is that of Vickers and Elkin, Medical Decision Making 26 (2006).

    >>> from ringbound.testing import examples
    >>> table = decision_table(examples.evaluation(), draws=50, seed=1)
    >>> table.frame.index.tolist(), bool(table.saved["never"].low > 0)
    (['model', 'default', 'never', 'always'], True)
    """
    task, y, rows = result.bundle.task, result.rows.y, result.rows
    if not isinstance(task, Classification):
        return DecisionTable(pd.DataFrame())
    stated = {"model": result.answers["full"], result.baseline: result.below, **(others or {})}
    ways = {name: task.decide(p) for name, p in stated.items()}
    ways |= {"never": np.zeros(len(y), bool), "always": np.ones(len(y), bool)}
    ratio = task.costs.miss / task.costs.false_alarm
    cost = {name: 100 * (ratio * ((y == 1) & ~called) + ((y == 0) & called)) for name, called in ways.items()}

    def mean(values: np.ndarray) -> Estimate:
        one = mean_of(values, rows.blocks, draws=draws, seed=seed, stretch=rows.problem.stretch)
        return Estimate(one.value, *one.interval(mean=True))

    costs = {name: mean(values) for name, values in cost.items()}
    saved = {name: mean(values - cost["model"]) for name, values in cost.items() if name != "model"}
    shown = lambda e: f"{e.value:.1f} ({e.low:.1f} to {e.high:.1f})"  # noqa: E731
    table = pd.DataFrame(
        {
            name: {
                f"called {task.yes}": f"{called.mean():.1%}",
                f"{task.yes} missed": f"{((y == 1) & ~called).sum() / y.sum():.1%}",
                f"cost per 100 {rows.problem.rows}": shown(costs[name]),
                "the model saves": shown(saved[name]) if name in saved else "",
            }
            for name, called in ways.items()
        }
    ).T
    at = np.linspace(0.02, max(0.6, min(0.98, 2 * task.threshold)), 60)
    curve = {name: [_net_benefit(y, p >= t, t) for t in at] for name, p in stated.items()}
    curve |= {"never": [0.0] * len(at), "always": [_net_benefit(y, np.ones(len(y), bool), t) for t in at]}
    return DecisionTable(table, costs, saved, pd.DataFrame(curve, index=at), task.threshold)


def _net_benefit(y: np.ndarray, called: np.ndarray, threshold: float) -> float:
    return float((called & (y == 1)).mean() - (called & (y == 0)).mean() * threshold / (1 - threshold))
