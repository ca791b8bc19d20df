"""How a column is counted: in bins that were learnt once, so that counts of days and hosts add up exactly, in any order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import numpy as np
from scipy.special import gammaln, xlogy

from ringbound.features.columns import Category, Column

BINS, MOST_TEXTS = 20, 20
EXAMPLES = 3


@dataclass(frozen=True)
class Bins:
    """The bins of one column: numbers between `edges` and on each of them, texts that are among `texts`, or none of them.

    A value is strange that is outside of `low` to `high`, or a text that is not `known`: the model has learnt from none such.
    Without bounds it has learnt from no value at all.
    """

    name: str
    kind: Literal["numbers", "texts"] = "numbers"
    edges: list[float] = field(default_factory=list)
    low: float | None = None
    high: float | None = None
    texts: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)

    @property
    def of_texts(self) -> bool:
        """Whether the column has texts."""
        return self.kind == "texts"

    @property
    def size(self) -> int:
        """The number of bins."""
        return len(self.texts) + 1 if self.of_texts else 2 * len(self.edges) + 1

    def labels(self) -> list[str]:
        """What each bin holds, in words."""
        if self.of_texts:
            return [*self.texts, "others"]
        if not self.edges:
            return ["all"]
        words = [f"below {self.edges[0]:g}"]
        for low, high in zip(self.edges, [*self.edges[1:], None], strict=True):
            words += [f"{low:g}", f"above {low:g}" if high is None else f"to {high:g}"]
        return words

    def places(self, column: Column) -> tuple[np.ndarray, np.ndarray]:
        """Return the bin of each row, (n,), -1 where the value is missing, and whether it is strange, (n,)."""
        if isinstance(column, Category):
            place = {text: place for place, text in enumerate(self.texts)}
            unknown = set(column.values) - set(self.known)
            of_value = np.array([*[place.get(text, len(self.texts)) for text in column.values], -1])
            strange = np.array([*[text in unknown for text in column.values], False])
            return of_value[column.codes], strange[column.codes]
        places = np.searchsorted(self.edges, column, "left") + np.searchsorted(self.edges, column, "right")
        missing = np.isnan(column)
        with np.errstate(invalid="ignore"):
            strange = ~((column >= _or(self.low, np.inf)) & (column <= _or(self.high, -np.inf)))
        return np.where(missing, -1, places), strange & ~missing


def _or(bound: float | None, otherwise: float) -> float:
    return otherwise if bound is None else bound


@dataclass
class Counts:
    """A column's rows by bin, those without a value, and those whose value is strange, with the texts of these."""

    bins: list[int]
    missing: int = 0
    strange: int = 0
    texts: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    """Ids of a few rows that lack a value or have a strange one."""

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(self.bins) + self.missing

    def __add__(self, other: "Counts") -> "Counts":
        texts = dict(self.texts)
        for text, number in other.texts.items():
            texts[text] = texts.get(text, 0) + number
        texts = dict(sorted(texts.items(), key=lambda one: (-one[1], one[0]))[:MOST_TEXTS])
        bins = [one + more for one, more in zip(self.bins, other.bins, strict=True)]
        examples = [*self.examples, *other.examples][:EXAMPLES]
        return Counts(bins, self.missing + other.missing, self.strange + other.strange, texts, examples)


def learn_bins(name: str, column: Column) -> Bins:
    """Return the bins of a column: twentieths of the numbers, the most frequent texts.

    >>> learn_bins("size", np.arange(100.0)).edges[:2], learn_bins("depot", Category.from_texts(["a", "b", "a"])).texts
    ([5.0, 10.0], ['a', 'b'])
    """
    if isinstance(column, Category):
        texts = column.texts()[column.codes >= 0]
        known, sizes = np.unique(texts.astype(str), return_counts=True)
        order = np.lexsort((known, -sizes))
        return Bins(name, "texts", texts=known[order][:MOST_TEXTS].tolist(), known=known.tolist())
    there = column[~np.isnan(column)]
    if not len(there):
        return Bins(name)
    edges = np.unique(np.quantile(there, np.linspace(0, 1, BINS + 1)[1:-1], method="nearest"))
    return Bins(name, edges=edges.tolist(), low=float(there.min()), high=float(there.max()))


def count(bins: Bins, column: Column, groups: np.ndarray, number: int, ids: Sequence[str] = ()) -> list[Counts]:
    """Count a column's rows, (n,), in each of a `number` of groups; `groups` (n,) says in which one a row is."""
    places, strange = bins.places(column)
    wide = bins.size + 1
    found = np.bincount(groups * wide + places + 1, minlength=number * wide).reshape(number, wide).tolist()
    odd = np.bincount(groups, strange, minlength=number).astype(int).tolist()
    counts = [Counts(row[1:], row[0], some) for row, some in zip(found, odd, strict=True)]
    if len(ids):
        _add_examples(counts, column, groups, places, strange, ids)
    return counts


def _add_examples(
    counts: list[Counts],
    column: Column,
    groups: np.ndarray,
    places: np.ndarray,
    strange: np.ndarray,
    ids: Sequence[str],
) -> None:
    """Note which texts are strange, and a few rows that lack a value or have a strange one."""
    for group in np.unique(groups[strange]) if isinstance(column, Category) else ():
        assert isinstance(column, Category)
        codes, sizes = np.unique(column.codes[strange & (groups == group)], return_counts=True)
        found: dict[str, int] = {}
        for code, size in zip(codes.tolist(), sizes.tolist(), strict=True):
            found[column.values[code]] = found.get(column.values[code], 0) + size
        counts[group].texts = dict(sorted(found.items(), key=lambda one: (-one[1], one[0]))[:MOST_TEXTS])
    odd = np.concatenate([np.flatnonzero(strange), np.flatnonzero(places < 0)])
    for group in np.unique(groups[odd]).tolist():
        counts[group].examples = [ids[row] for row in odd[groups[odd] == group][:EXAMPLES].tolist()]


def distance(some: Sequence[int] | np.ndarray, others: Sequence[int] | np.ndarray) -> float:
    """Return the squared Hellinger distance of two counts over the same bins, 0 (alike) to 1; 0 where one is empty.

    Hellinger, Journal für die reine und angewandte Mathematik 136 (1909).

    >>> distance([5, 5], [10, 10]), distance([5, 0], [0, 7])
    (0.0, 1.0)
    """
    p, q = np.asarray(some, float), np.asarray(others, float)
    if not p.sum() or not q.sum():
        return 0.0
    return float(max(0.0, 1 - np.sqrt(p / p.sum() * (q / q.sum())).sum()))


@cache
def _mean_roots() -> tuple[np.ndarray, np.ndarray]:
    """Return means up to 60, and the mean of the root of a Poisson variable of each of these."""
    means, counts = np.linspace(0, 60, 1201), np.arange(200)
    with np.errstate(divide="ignore"):
        chances = np.exp(xlogy(counts, means[:, None]) - means[:, None] - gammaln(counts + 1))
    return means, chances @ np.sqrt(counts)


def chance(some: Sequence[int] | np.ndarray, others: Sequence[int] | np.ndarray) -> float:
    """Return how far so many rows as `some` are from `others` on average where they are like them, as `distance` has it.

    It is more, the fewer the rows and the more the bins; counts are taken to be Poisson's.

    >>> chance([50, 50], [500, 500]) > chance([500, 500], [500, 500])
    True
    """
    p, q = np.asarray(some, float), np.asarray(others, float)
    if not p.sum() or not q.sum():
        return 0.0
    n, share = p.sum(), q / q.sum()
    means = n * share
    near = np.interp(means, *_mean_roots())
    roots = np.where(means < 60, near, np.sqrt(means) * (1 - 1 / (8 * np.maximum(means, 1))))
    mine = 1 - float((np.sqrt(share) * roots).sum() / np.sqrt(n))
    theirs = float((np.count_nonzero(q) - 1) / (8 * q.sum()))
    return mine + theirs


def total(parts: Sequence[Mapping[str, Counts]]) -> dict[str, Counts]:
    """Add up the counts of several days, column by column."""
    result: dict[str, Counts] = {}
    for part in parts:
        for name, counts in part.items():
            result[name] = result[name] + counts if name in result else counts
    return result
