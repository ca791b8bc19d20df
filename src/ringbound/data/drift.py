"""Drift between periods, counted exactly: how far a column's distribution moved, and whether that is more than usual."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd

from ringbound.display.figures import Plot, panels
from ringbound.display.tables import Shown
from ringbound.errors import RecordError

BINS = 10
TOP_CATEGORIES = 20
ALL = "all before"
RARE = 0.001
FEWEST = 100
"""Ways in which blocks can change sides, fewer of which say nothing of one time in a hundred."""
NOTICEABLE = 0.1
"""Population stability index below which a shift is called small (Siddiqi, Credit Risk Scorecards, 2006, ch. 5)."""


@dataclass(frozen=True)
class Shift:
    """How far one column moved to `period` from the one it is held against, the bound, and whether it counts as drift.

    `gone` and `new` name categories that are on one side alone.
    """

    period: str
    against: str
    column: str
    psi: float
    bound: float
    drifted: bool
    gone: str
    new: str


@dataclass(frozen=True)
class DriftTable(Shown):
    """Every column's shifts, period by period."""

    shifts: list[Shift]
    digits = 3

    @property
    def frame(self) -> pd.DataFrame:
        """One row per column, period and what it is held against."""
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
        table = self.frame[self.frame["against"] != ALL]
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


def stability_index(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the population stability index of counts (…, k) over the same k bins; half a row is added to each bin."""
    p, q = before + 0.5, after + 0.5
    p, q = p / p.sum(axis=-1, keepdims=True), q / q.sum(axis=-1, keepdims=True)
    return ((q - p) * np.log(q / p)).sum(axis=-1)


def drift_table(
    parts: Mapping[str, pd.DataFrame], columns: Sequence[str], *, block: str, draws: int = 200, seed: int = 0
) -> DriftTable:
    """Compare each part with the one before it, and with all before it, column by column.

    A shift counts as drift when its index exceeds all of: a noticeable effect (0.1), what is left to chance, and, against
    the part before, three times the median of the same column's earlier shifts. Chance is what shows when whole blocks, the
    column `block`, change sides at random, 99 times in a hundred: rows of one day are not independent, so many rows alone
    alarm nothing; days in a row that are alike still alarm more often than that. Good, Permutation, Parametric and Bootstrap
    Tests of Hypotheses, 2005, ch. 3.

    A category that was there on many days and is there on none counts as drift however rare it is: a small one that is
    lost moves no index. So does one that is new. One that stays away is named once.

    >>> random = np.random.default_rng(1)
    >>> sizes = {"1": random.normal(0, 1, 3000), "2": random.normal(0, 1, 3000), "3": random.normal(1, 1, 3000)}
    >>> months = {m: pd.DataFrame({"size": some, "day": np.arange(3000) // 100}) for m, some in sizes.items()}
    >>> drift_table(months, ["size"], block="day").drifted[["period", "against"]].values.tolist()
    [['3', '2'], ['3', 'all before']]
    """
    names = list(parts)
    if len(names) < 2:
        return DriftTable([])
    rows = pd.concat(parts.values(), ignore_index=True)
    part = np.repeat(np.arange(len(names)), [len(some) for some in parts.values()])
    blocks = pd.factorize(pd.MultiIndex.from_arrays([part, rows[block]]))[0]
    shifts = []
    for column in columns:
        values = _values(rows[column])
        history: list[float] = []
        absent: set[int] = set()  # categories that were named as gone and have not come back
        for k in range(1, len(names)):
            for against, first in ((names[k - 1], k - 1), (ALL, 0)):
                if against == ALL and k == 1:
                    continue
                chosen = (part >= first) & (part <= k)
                later = part[chosen] == k
                shift = _shift(values[chosen], blocks[chosen], later, draws, seed)
                usual = 3 * float(np.median(history)) if history and against != ALL else 0.0
                bound = max(NOTICEABLE, shift.chance, usual)
                absent -= set(np.unique(values[part == k]).tolist())
                gone, new = (_named(rows[column], sorted(set(codes) - absent)) for codes in (shift.gone, shift.new))
                absent |= set(shift.gone)
                nothing = later.all() or not later.any()  # on one side
                drifted = bool(shift.psi > bound or gone or new or nothing)
                shifts.append(Shift(names[k], against, column, shift.psi, bound, drifted, gone, new))
                if against != ALL:
                    history.append(shift.psi)
    return DriftTable(shifts)


@dataclass(frozen=True)
class _Found:
    """What one comparison found: the index, what chance shows, and the codes of categories that are gone and new."""

    psi: float
    chance: float
    gone: list[int]
    new: list[int]


def _values(column: pd.Series) -> np.ndarray:
    """Return numbers as float64, (n,), and texts as codes, (n,) int64, -1 for missing."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy("float64", na_value=np.nan)
    return pd.factorize(column, sort=True)[0].astype(np.int64)


def _named(column: pd.Series, codes: list[int]) -> str:
    """Return categories by their names."""
    return ", ".join(str(pd.factorize(column, sort=True)[1][code]) for code in codes) if codes else ""


def _shift(values: np.ndarray, blocks: np.ndarray, later: np.ndarray, draws: int, seed: int) -> _Found:
    """Compare the rows that are not `later`, (n,) of booleans, with those that are."""
    texts = values.dtype == np.int64
    places, bins = (_of_texts if texts else _of_numbers)(values, values[~later])
    of_block, block = np.unique(blocks, return_inverse=True)
    side = np.zeros(len(of_block), bool)
    side[block] = later
    counts = np.bincount(block * bins + places, minlength=len(of_block) * bins).reshape(-1, bins).astype(float)
    total = counts.sum(axis=0)
    psi = float(stability_index(total - counts[side].sum(axis=0), counts[side].sum(axis=0)))
    if comb(len(side), int(side.sum())) < FEWEST:  # too few ways to change sides: chance has nothing to say
        return _Found(psi, 0.0, [], [])
    random = np.random.default_rng(seed).random((draws, len(side)))
    drawn = (random.argsort(axis=1).argsort(axis=1) < side.sum()).astype(float) @ counts
    chance = float(np.quantile(stability_index(total - drawn, drawn), 0.99))
    if not texts:
        return _Found(psi, chance, [], [])
    gone, new = _one_sided(values, block, side)
    return _Found(psi, chance, gone, new)


def _one_sided(codes: np.ndarray, block: np.ndarray, side: np.ndarray) -> tuple[list[int], list[int]]:
    """Return the categories that are on one side alone, on so many blocks that chance would hardly put all of them there."""
    pairs = np.unique(codes[codes >= 0] * len(side) + block[codes >= 0])
    code, later = pairs // len(side), side[pairs % len(side)]
    days, on_later = np.bincount(code, minlength=1), np.bincount(code, later.astype(float), minlength=1)
    found = []
    for here, those in ((0, ~side), (1, side)):
        alone = np.flatnonzero((days > 0) & (on_later == (days if here else 0)))
        chance = [_all_on_one_side(int(days[one]), int(those.sum()), len(side)) for one in alone]
        found.append([int(one) for one, p in zip(alone, chance, strict=True) if p < RARE / int((days > 0).sum())])
    return found[0], found[1]


def _all_on_one_side(days: int, side: int, total: int) -> float:
    """Return the probability that `days` of `total` blocks, drawn at random, are all among `side` of them."""
    return float(np.prod([(side - i) / (total - i) for i in range(min(days, side))]))


def _of_numbers(values: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the bin of each number, and how many there are: between tenths of `before`, on each of them, and missing.

    A tenth has a bin of its own, so that where most values are one, those below it count like those above it.
    """
    known = before[~np.isnan(before)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="nearest")) if len(known) else known
    places = np.searchsorted(edges, values, "left") + np.searchsorted(edges, values, "right")
    return np.where(np.isnan(values), 2 * len(edges) + 1, places), 2 * len(edges) + 2


def _of_texts(codes: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the bin of each category, and how many there are: the most frequent of `before`, the rest, and missing."""
    counts = np.bincount(before[before >= 0], minlength=int(codes.max(initial=0)) + 1)
    top = np.argsort(-counts, kind="stable")[:TOP_CATEGORIES]
    top = top[counts[top] > 0]
    place = np.full(len(counts) + 1, len(top))  # -1 finds the last
    place[top] = np.arange(len(top))
    place[-1] = len(top) + 1
    return place[codes], len(top) + 2


def read_drift(text: str, name: str) -> list[Shift]:
    """Return the shifts that the text of a drift file of the revision `name` holds; `RecordError` where it is none."""
    rows = list(csv.DictReader(io.StringIO(text)))
    try:
        return [
            Shift(
                r["period"],
                r["against"],
                r["column"],
                float(r["psi"]),
                float(r["bound"]),
                {"True": True, "False": False}[r["drifted"]],
                r["gone"],
                r["new"],
            )
            for r in rows
        ]
    except (KeyError, ValueError, TypeError) as error:
        raise RecordError(f'{name}: drift.csv is not one of ours ({error!r}); run "dvc repro validate"') from error
