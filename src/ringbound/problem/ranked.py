"""Metrics of an order: how well the rows of each group are put in order by their answers, as a mean over groups.

A group none of whose rows, or all of whose rows, are relevant says nothing about an order and is left out. Rows of the same
answer are in no order, and count as they would on average.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class OfGroups(Protocol):
    """A metric whose value is a mean over groups of rows."""

    def of_groups(self, y: np.ndarray, p: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of the groups that say something, (m,), and the value of each, (m,).

        `y` (n,) is 1 for rows that are relevant, else 0, `p` (n,) their answers, `groups` (n,) numbers from 0 on.
        """
        ...


@dataclass(frozen=True)
class DiscountedGain:
    """NDCG: what the first `top` rows are worth, place by place less, as a share of what the best order would be worth.

    Järvelin and Kekäläinen, ACM Transactions on Information Systems 20 (2002); with ties as by McSherry and Najork, ECIR
    2008.

    >>> y, p, one = np.array([0.0, 1, 1]), np.array([0.9, 0.5, 0.1]), np.zeros(3, int)
    >>> DiscountedGain(2).of_groups(y, p, one)[1].round(3).tolist()
    [0.387]
    """

    top: int

    def of_groups(self, y: np.ndarray, p: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the groups that say something, and the share of each."""
        said, order = _in_order(y, p, groups)
        discounts = np.where(order.places < self.top, 1 / np.log2(order.places + 2), 0.0)
        gains = np.bincount(order.groups, order.expected * discounts, minlength=len(said))
        relevant = np.bincount(order.groups, order.y, minlength=len(said)).astype(int)
        seen = np.minimum(relevant, self.top)
        best = np.r_[0.0, np.cumsum(1 / np.log2(np.arange(seen.max(initial=0)) + 2))]
        return said, gains / best[seen]

    def __call__(self, y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
        """Return the value where all rows of a weight above 0 are one group; NaN where they say nothing."""
        return _of_one(self, y, p, w)


@dataclass(frozen=True)
class ReciprocalRank:
    """MRR: one divided by the place at which the first relevant row stands, counted from 1.

    Of rows of the same answer any order is as likely, and the mean over these orders counts.

    >>> y, p, one = np.array([0.0, 1, 1]), np.array([0.9, 0.5, 0.1]), np.zeros(3, int)
    >>> ReciprocalRank().of_groups(y, p, one)[1].tolist()
    [0.5]
    """

    def of_groups(self, y: np.ndarray, p: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the groups that say something, and the value of each."""
        said, order = _in_order(y, p, groups)
        _, first = np.unique(order.run_groups[order.relevant > 0], return_index=True)  # runs are in order
        starts, sizes, relevant = (
            part[order.relevant > 0][first] for part in (order.starts, order.sizes, order.relevant)
        )
        # `before` is the chance that none stood earlier in the run.
        values, before = np.zeros(len(said)), np.ones(len(said))
        for place in range(int((sizes - relevant).max(initial=-1)) + 1):
            chance = np.divide(relevant, sizes - place, out=np.ones(len(said)), where=sizes - place > relevant)
            values += before * chance / (starts + place + 1)
            before *= 1 - chance
        return said, values

    def __call__(self, y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
        """Return the value where all rows of a weight above 0 are one group; NaN where they say nothing."""
        return _of_one(self, y, p, w)


@dataclass(frozen=True)
class _Order:
    """Rows by group and answer, the largest first; and runs of rows of one group and answer.

    Of each row: its group, its place in there from 0 on, its outcome, and the mean outcome of its run. Of each run: its
    group, where in there it starts, how many rows it has, and how many of them are relevant.
    """

    groups: np.ndarray
    places: np.ndarray
    y: np.ndarray
    expected: np.ndarray
    run_groups: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    relevant: np.ndarray


def _in_order(y: np.ndarray, p: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, _Order]:
    """Return the numbers of the groups that say something, and their rows in order, by groups numbered anew."""
    rows, relevant = np.bincount(groups), np.bincount(groups, y)
    says = (relevant > 0) & (relevant < rows)
    kept = says[groups]
    anew = (np.cumsum(says) - 1)[groups[kept]]
    order = np.lexsort((-p[kept], anew))
    group, p, y = anew[order], p[kept][order], y[kept][order]
    first = np.r_[True, group[1:] != group[:-1]][: len(group)]
    begins = np.flatnonzero(first | np.r_[True, p[1:] != p[:-1]][: len(group)])
    places = np.arange(len(group)) - np.flatnonzero(first)[group]
    sizes = np.diff(np.r_[begins, len(group)])
    of_run = np.add.reduceat(y, begins) if len(begins) else np.zeros(0)
    expected = np.repeat(of_run / sizes, sizes)
    return np.flatnonzero(says), _Order(group, places, y, expected, group[begins], places[begins], sizes, of_run)


def _of_one(metric: OfGroups, y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    there = w > 0
    _, values = metric.of_groups(y[there], p[there], np.zeros(int(there.sum()), int))
    return float(values[0]) if len(values) else float("nan")
