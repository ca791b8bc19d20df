"""Every rung of a bundle on rows that nothing was fitted or chosen on, each metric with its interval."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ringbound.display.figures import BLUE, GREY, OCHRE, RED, Plot, panels
from ringbound.display.tables import Shown
from ringbound.evaluation.answers import lowest_rung
from ringbound.evaluation.records import Estimates, Ladder, Metrics
from ringbound.evaluation.tenths import calibration_table
from ringbound.evaluation.uncertainty import bootstrap, stretches
from ringbound.models.baseline import baseline_answers
from ringbound.models.bundle import Bundle
from ringbound.models.cascade import frontier
from ringbound.models.ladder import SHARES
from ringbound.problem.classification import YesNo
from ringbound.problem.declaration import PRIOR
from ringbound.problem.metrics import auc
from ringbound.problem.training import Rows

MOST_WRITTEN = 12
"""Classes up to which shares are written into their fields."""
COLOURS = {"full": BLUE, "reduced": OCHRE, "prior": GREY}


@dataclass(frozen=True)
class LadderResult(Shown):
    """What each rung of `bundle` answered for `rows`, and how good that is.

    `baseline` is the name of what a model is to beat, which may be one of the rungs, `below` its answers, (n,).
    """

    bundle: Bundle
    rows: Rows
    answers: dict[str, np.ndarray]
    estimates: dict[str, Estimates]
    baseline: str
    below: np.ndarray
    against: Estimates

    @property
    def caption(self) -> str:
        """What was measured, and what its intervals cover."""
        left_out = "; ".join(f"left out: {rung}, {why}" for rung, why in self.bundle.model.left_out.items())
        return f"model {self.bundle.version} on {self.rows.caption}; {self.covers}; {left_out}".rstrip("; ")

    @property
    def covers(self) -> str:
        """What intervals cover: the draw of units of the period, not that other months are otherwise."""
        problem = self.rows.problem
        unit = f"{problem.stretch} {problem.block}s in a row" if problem.stretch > 1 else f"single {problem.block}s"
        return f"95% intervals over the draw of {unit} from these months"

    @cached_property
    def units(self) -> np.ndarray:
        """What levels are resampled by, (n,): stretches of blocks."""
        names, place = np.unique(self.rows.blocks, return_inverse=True)
        return stretches(len(names), self.rows.problem.stretch)[place]

    @property
    def frame(self) -> pd.DataFrame:
        """Each metric of each rung, with its 95% interval."""
        return pd.DataFrame({name: {m: str(e) for m, e in metrics.items()} for name, metrics in self.measured.items()})

    @property
    def measured(self) -> dict[str, Estimates]:
        """The metrics of each rung and, where it is none of them, of the baseline."""
        return self.estimates | {self.baseline: self.against}

    @cached_property
    def decisions(self) -> np.ndarray | None:
        """The full model's decisions, (n,) of booleans; None where nothing is decided."""
        return self.bundle.task.decide(self.answers["full"])

    def metrics(self) -> Metrics:
        """Return the full model and the baseline as a record."""
        return Metrics(
            self.bundle.version, self.estimates["full"], self.baseline, self.against, len(self.rows), self.covers
        )

    def record(self) -> Ladder:
        """Return every rung as a record."""
        return Ladder(self.bundle.version, self.estimates, self.bundle.model.left_out)

    def figure(self) -> Plot:
        """Draw how rungs rank and are calibrated; of numbers what was predicted and came, of classes what was decided."""
        if self.bundle.task.classes:
            return self._confusion()
        if not isinstance(self.bundle.task, YesNo):
            return self._scatter()
        figure, (left, right) = panels(9, 3.4, 2)
        y, task = self.rows.y, self.bundle.task
        for name, p in self.answers.items():
            if name not in COLOURS:
                continue
            order = np.argsort(-p, kind="stable")
            hits, alarms = np.cumsum(y[order]) / y.sum(), np.cumsum(1 - y[order]) / (1 - y).sum()
            step = max(1, len(y) // 1000)
            label = f"{name}, AUC {self.estimates[name]['auc'].value:.3f}"
            left.plot(alarms[::step], hits[::step], color=COLOURS[name], label=label)
            bins = calibration_table(y, p, units=self.units)
            style = {"color": COLOURS[name], "marker": "o", "markersize": 3, "linewidth": 1}
            right.errorbar(bins["predicted"], bins["observed"], yerr=2 * bins["standard_error"], **style)
        left.plot([0, 1], [0, 1], color="#ddd", zorder=0)
        left.set(xlabel=f"{task.no} called {task.yes}", ylabel=f"{task.yes} called {task.yes}", title="Ranking")
        left.legend(frameon=False, fontsize=8)
        right.plot([0, 0.9], [0, 0.9], color="#ddd", zorder=0)
        title = "Calibration, tenths of the rows"
        right.set(xlabel="predicted", ylabel="observed (± 2 standard errors)", title=title)
        return Plot(figure)

    def _confusion(self) -> Plot:
        task, y, answers = self.bundle.task, self.rows.y.astype(int), self.answers["full"]
        n = len(task.classes)
        counts = np.zeros((n, n))
        np.add.at(counts, (y, np.argmax(answers, axis=1)), 1)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        figure, (left, right) = panels(9.5, 3 + 0.15 * n, 2)
        left.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(n, n) if n <= MOST_WRITTEN else ():
            colour = "white" if shares[row, column] > 0.5 else "black"
            left.text(column, row, f"{shares[row, column]:.0%}", ha="center", va="center", color=colour, fontsize=8)
        left.set_xticks(range(n), task.classes, rotation=45, ha="right", fontsize=8)
        left.set_yticks(range(n), task.classes, fontsize=8)
        left.set(xlabel="decided", ylabel="came", title="Of each class, how it was decided")
        for name, given in self.answers.items():
            if name in COLOURS:
                bins = calibration_table(task.came(self.rows.y, given), task.single(given), units=self.units)
                style = {"color": COLOURS[name], "marker": "o", "markersize": 3, "linewidth": 1, "label": name}
                right.errorbar(bins["predicted"], bins["observed"], yerr=2 * bins["standard_error"], **style)
        right.plot([0, 1], [0, 1], color="#ddd", zorder=0)
        title = "Calibration of the likeliest class"
        right.set(xlabel="its probability", ylabel="how often it came (± 2 standard errors)", title=title)
        right.legend(frameon=False, fontsize=8)
        return Plot(figure)

    def _scatter(self) -> Plot:
        figure, (left, right) = panels(9, 3.6, 2)
        y, p = self.rows.y, self.answers["full"]
        left.plot(p, y, ".", color=BLUE, markersize=2, alpha=0.4, rasterized=True)
        span = [float(min(y.min(), p.min())), float(max(y.max(), p.max()))]
        left.plot(span, span, color="#ddd", zorder=0)
        left.set(xlabel="predicted", ylabel="observed", title="Full model")
        for name, answers in self.answers.items():
            if name in COLOURS:
                level = self.bundle.task.level
                came = y if level is None else answers + (y <= answers) - level  # of a quantile: the share below it
                tenths = calibration_table(came, answers, units=self.units)
                style = {"color": COLOURS[name], "marker": "o", "markersize": 3, "linewidth": 1, "label": name}
                gap = tenths["observed"] - tenths["predicted"]
                right.errorbar(tenths["predicted"], gap, yerr=2 * tenths["standard_error"], **style)
        right.axhline(0, color="#ddd", zorder=0)
        says = "observed - predicted" if self.bundle.task.level is None else f"share below - {self.bundle.task.level:g}"
        right.set(xlabel="predicted", ylabel=f"{says} (± 2 standard errors)", title="Tenths of the rows")
        right.legend(frameon=False, fontsize=8)
        return Plot(figure)

    def cascade(self) -> Plot:
        """Draw how good answers are when only some rows ask the full model; the dot is what the bundle carries."""
        figure, axes = panels(6, 2.8)
        y, full = self.rows.y, self.answers["full"]
        weights = np.ones(len(y))
        title = "Cheap first, costly where it matters"
        if "reduced" in self.answers and self.bundle.task.probabilities:
            cheap, losses = self.answers["reduced"], self.bundle.task.losses
            points = frontier(cheap, losses(y, cheap), losses(y, full), SHARES)
            asked = [(cheap >= p.low) & (cheap <= p.high) for p in points.itertuples()]
            along = [auc(y, np.where(costly, full, cheap), weights) for costly in asked]
            axes.plot(points["share"], along, color=BLUE, marker=".", linewidth=1)
            cascade = self.bundle.cascade
            carried = cascade.asks_costly(cheap) if cascade else np.ones(len(y), bool)
            value = auc(y, np.where(carried, full, cheap), weights)
            axes.plot([carried.mean()], [value], marker="o", color=RED, linestyle="none", label="in the bundle")
            axes.legend(frameon=False, fontsize=8)
        else:
            title = "No cascade: the bundle has no reduced model"
        axes.set(xlabel=f"share of {self.rows.problem.rows} that ask the full model", ylabel="AUC", title=title)
        return Plot(figure)


def evaluate_ladder(bundle: Bundle, rows: Rows, *, draws: int, seed: int) -> LadderResult:
    """Answer `rows` by every rung, and measure each with intervals that resample whole stretches of blocks `draws` times.

    >>> from ringbound.testing import examples
    >>> result = evaluate_ladder(examples.bundle(), examples.later(), draws=20, seed=1)
    >>> list(result.estimates)
    ['full', 'reduced', 'default']
    >>> round(result.estimates["full"]["auc"].value, 2)
    0.8
    """
    answers = {rung: answer(rows.features) for rung, answer in bundle.rungs.items()}
    metrics = bundle.task.metrics
    measured: dict[str, Any] = {"draws": draws, "seed": seed, "stretch": rows.problem.stretch, "groups": rows.groups}
    estimates = {rung: bootstrap(rows.y, p, rows.blocks, metrics, **measured) for rung, p in answers.items()}
    lowest = lowest_rung(answers)
    baseline, below, against = lowest, answers[lowest], estimates[lowest]
    if rows.problem.baseline != PRIOR:
        baseline, below = rows.problem.baseline, baseline_answers(rows.problem, rows.features, below)
        against = bootstrap(rows.y, below, rows.blocks, metrics, **measured)
    return LadderResult(bundle, rows, answers, estimates, baseline, below, against)
