"""Drift between periods, counted exactly: how far a column's distribution moved, and whether that is more than usual."""

import csv
import io
from dataclasses import astuple, dataclass, fields
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import chi2

from ringbound.display.figures import Plot, panels
from ringbound.display.tables import Shown
from ringbound.errors import RecordError

BINS = 10
TOP_CATEGORIES = 20
NOTICEABLE = 0.1
"""Population stability index below which a shift is called small (Siddiqi, Credit Risk Scorecards, 2006, ch. 5)."""


@dataclass(frozen=True)
class Shift:
    """How far one column moved from the period before to `period`, the bound it is held to, and whether it exceeds it."""

    period: str
    column: str
    psi: float
    bound: float
    drifted: bool


@dataclass(frozen=True)
class DriftTable(Shown):
    """Every column's shifts, period by period."""

    shifts: list[Shift]
    digits = 3

    @property
    def frame(self) -> pd.DataFrame:
        """One row per column and pair of consecutive periods."""
        return pd.DataFrame([astuple(s) for s in self.shifts], columns=[f.name for f in fields(Shift)])

    @property
    def drifted(self) -> pd.DataFrame:
        """The shifts that count as drift."""
        return self.frame[self.frame["drifted"]]

    def write(self, file: Path) -> None:
        """Write the table as CSV."""
        self.frame.to_csv(file, index=False)

    def figure(self) -> Plot:
        """Draw the index of every column and period, dark for large."""
        table = self.frame
        grid = table.pivot(index="column", columns="period", values="psi").loc[list(dict.fromkeys(table["column"]))]
        figure, axes = panels(9, 0.35 * len(grid) + 0.6)
        axes.imshow(grid, cmap="Blues", vmin=0, vmax=0.2, aspect="auto")
        axes.set_xticks(range(len(grid.columns)), grid.columns, fontsize=8)
        axes.set_yticks(range(len(grid)), grid.index, fontsize=8)
        for row, name in enumerate(grid.index):
            for place, value in enumerate(grid.loc[name]):
                colour = "white" if value > 0.12 else "#333"
                axes.text(place, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=colour)
        axes.set_title("Population stability index against the period before")
        return Plot(figure)


def stability_index(before: np.ndarray, after: np.ndarray) -> float:
    """Return the population stability index of two count vectors over the same k bins; half a row is added to each bin."""
    p, q = before + 0.5, after + 0.5
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum((q - p) * np.log(q / p)))


def noise_index(n_before: int, n_after: int, bins: int, quantile: float = 0.99) -> float:
    """Return the index that samples of these sizes from one distribution exceed with probability 1 - `quantile`.

    Under no drift the index is about chi-square with k - 1 degrees of freedom, scaled by 1/n + 1/m (Yurdakul,
    Statistical Properties of Population Stability Index, 2018, ch. 3).
    """
    return float(chi2.ppf(quantile, bins - 1) * (1 / max(n_before, 1) + 1 / max(n_after, 1)))


def _counts(before: pd.Series, after: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Count both columns in common bins: tenths of `before` or its most frequent categories, the rest, the missing."""
    if pd.api.types.is_numeric_dtype(before):
        numbers = [s.to_numpy("float64", na_value=np.nan) for s in (before, after)]
        known = numbers[0][~np.isnan(numbers[0])]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.array([])
        places = [np.where(np.isnan(x), len(edges) + 1, np.searchsorted(edges, x)) for x in numbers]
        return tuple(np.bincount(p, minlength=len(edges) + 2).astype(float) for p in places)  # type: ignore[return-value]
    top = sorted(before.value_counts().head(TOP_CATEGORIES).index)
    codes = {text: code for code, text in enumerate(top)}
    places = [s.map(codes).fillna(len(top)).where(s.notna(), len(top) + 1).to_numpy(int) for s in (before, after)]
    return tuple(np.bincount(p, minlength=len(top) + 2).astype(float) for p in places)  # type: ignore[return-value]


def drift_table(parts: dict[str, pd.DataFrame], columns: list[str]) -> DriftTable:
    """Compare consecutive parts column by column.

    A shift counts as drift when its index exceeds all of: a noticeable effect (0.1), what samples of these sizes show by
    chance, and three times the median of the same column's earlier shifts. Large samples alone alarm nothing.

    >>> random = np.random.default_rng(1)
    >>> sizes = {"1": random.normal(0, 1, 3000), "2": random.normal(0, 1, 3000), "3": random.normal(1, 1, 3000)}
    >>> months = {month: pd.DataFrame({"size": some}) for month, some in sizes.items()}
    >>> drift_table(months, ["size"]).drifted["period"].tolist()
    ['3']
    """
    shifts = []
    for column in columns:
        history: list[float] = []
        for earlier, later in pairwise(parts):
            before, after = _counts(parts[earlier][column], parts[later][column])
            psi = stability_index(before, after)
            usual = 3 * float(np.median(history)) if history else 0.0
            bound = max(NOTICEABLE, noise_index(int(before.sum()), int(after.sum()), len(before)), usual)
            shifts.append(Shift(str(later), column, psi, bound, psi > bound))
            history.append(psi)
    return DriftTable(shifts)


def read_drift(text: str, name: str) -> list[Shift]:
    """Return the shifts that the text of a drift file of the revision `name` holds; `RecordError` where it is none."""
    rows = list(csv.DictReader(io.StringIO(text)))
    try:
        return [
            Shift(
                r["period"],
                r["column"],
                float(r["psi"]),
                float(r["bound"]),
                {"True": True, "False": False}[r["drifted"]],
            )
            for r in rows
        ]
    except (KeyError, ValueError, TypeError) as error:
        raise RecordError(f'{name}: drift.csv is not one of ours ({error!r}); run "dvc repro validate"') from error
