"""Why a model answers as it does: what each column adds to its margin, compared with not knowing that column.

Exact Shapley values, path-dependent: an unknown column's rows are shared out as those were that the model learnt from
(Lundberg et al., Nature Machine Intelligence 2020). For one leaf of value v, whose path asks d columns, column j adds

    v (o_j - z_j) ∫ Π over i≠j of (o_i t + z_i (1 - t)) dt, over t from 0 to 1,

where o_i says whether the row follows the path in column i, and z_i is the share of learnt rows that did: the weights of
the Shapley value are such integrals of t^k (1 - t)^(d-1-k). The integrand is a polynomial of degree d - 1, which
Gauss-Legendre quadrature integrates exactly with d / 2 points.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import scipy.sparse
import treelite

from ringbound.errors import ModelError
from ringbound.models.linear import LinearModel, SeveralLinear
from ringbound.models.trees import TreeModel

LEAF, CATEGORICAL = 0, 2
LESS, AT_MOST = 2, 3
"""Kinds of nodes and of comparisons, in Treelite's numbers."""
FIELDS = (
    "node_type", "cleft", "cright", "split_index", "default_left", "cmp", "threshold", "leaf_value", "leaf_vector",
    "leaf_vector_begin", "leaf_vector_end", "category_list", "category_list_begin", "category_list_end",
    "category_list_right_child", "data_count", "data_count_present",
)  # fmt: skip
MARGINS = ("sigmoid", "exponential", "identity", "identity_multiclass")
"""How a margin becomes the answer: by the logistic function, the exponential or, a regression's or a forest's, as it is."""
BLOCK = 4_000_000
"""Numbers held at once."""


@dataclass(frozen=True)
class Effects:
    """What each column adds to the margin of n rows, (n, columns): with `base`, these add up to `margin`, (n,).

    `base` is one number or, where different classes are explained, (n,). The margin is the log-odds of a probability before
    calibration, the logarithm of a count; of a regression or a forest it is the answer itself.
    """

    base: float | np.ndarray
    values: np.ndarray

    @property
    def margin(self) -> np.ndarray:
        """What the effects add up to, (n,)."""
        return np.asarray(self.base + self.values.sum(axis=1))


def explainer_of(model: TreeModel | LinearModel | SeveralLinear) -> Callable[[np.ndarray], Effects]:
    """Return what says, for X (n, columns), what each column adds to the model's margin.

    >>> from ringbound.models.linear import LinearModel, Scale
    >>> explain = explainer_of(LinearModel([Scale(0, 1.0, 2.0)], [3.0, 0.0], 0.5, "identity"))
    >>> explain(np.array([[5.0]])).values
    array([[6.]])
    """
    if isinstance(model, SeveralLinear):
        return _of_likeliest(model, [explainer_of(part) for part in model.parts])
    if isinstance(model, TreeModel) and model.classes > 2:
        several = [TreeExplainer(_paths(model.model, one), model.columns).effects for one in range(model.classes)]
        return _of_likeliest(model, several)
    if isinstance(model, TreeModel):
        return TreeExplainer(_paths(model.model), model.columns).effects
    return lambda X: Effects(model.intercept, np.column_stack([np.empty((len(X), 0)), *model.terms(X)]))


def _of_likeliest(
    model: TreeModel | SeveralLinear, several: Sequence[Callable[[np.ndarray], Effects]]
) -> Callable[[np.ndarray], Effects]:
    """Return what explains, of each row, by how much the margin of its likeliest class is above the mean of all classes'.

    That a margin moves with all others together changes no probability, so their mean is taken off.
    """

    def explain(X: np.ndarray) -> Effects:
        each = [one(X) for one in several]
        values, base = np.stack([one.values for one in each]), np.array([np.asarray(one.base) for one in each])
        chosen = np.argmax(model.predict(X), axis=1)
        rows = np.arange(len(X))
        return Effects((base - base.mean())[chosen], values[chosen, rows] - values.mean(axis=0))

    return explain


@dataclass
class Paths:
    """All trees' nodes and leaves as columns, and the way to each leaf.

    A node asks column `asks`: whether a number is at most (`strict`: below) `threshold`, or, where `categories` has a row
    for it, whether a category is listed there. Missing goes left where `missing_left`. A leaf of `values` has one slot for
    each column on its way: `slots` are (leaf, place, column, z); `steps` are (slot, node, left), in order of slots.
    """

    base: float
    asks: list[int] = field(default_factory=list)
    threshold: list[float] = field(default_factory=list)
    strict: list[bool] = field(default_factory=list)
    missing_left: list[bool] = field(default_factory=list)
    listed: list[tuple[frozenset[int], bool] | None] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    slots: list[tuple[int, int, int, float]] = field(default_factory=list)
    steps: list[tuple[int, int, bool]] = field(default_factory=list)


def _paths(model: treelite.Model, of_class: int | None = None) -> Paths:
    """Read a model, or the trees of one of its classes; `ModelError` where its answer is not made of one margin.

    By its fields, not from `dump_as_json`: that has no text for the infinite thresholds by which missing values are told
    from all others.
    """
    header = model.get_header_accessor().get_field
    kind, targets, classes = header("postprocessor"), int(header("num_target")[0]), int(np.max(header("num_class")))
    if of_class is None and (kind not in MARGINS or targets != 1 or classes > 2):
        raise ModelError(
            f"explain: expected trees with one answer, by {', '.join(MARGINS)}; "
            f"got {kind}, {targets} targets, {classes} classes"
        )
    share = 1 / model.num_tree if header("average_tree_output")[0] else 1.0
    classes_of = header("class_id")
    paths = Paths(float(header("base_scores")[-1 if of_class is None else of_class]))
    for number in range(model.num_tree):
        if of_class is not None and classes_of[number] != of_class:
            continue
        field = model.get_tree_accessor(number).get_field
        _walk({name: field(name) for name in FIELDS}, 0, [], share, paths)
    return paths


def _walk(
    tree: dict[str, np.ndarray], at: int, way: list[tuple[int, int, bool, float]], share: float, paths: Paths
) -> None:
    kind = tree["node_type"][at]
    if kind == LEAF:
        first, end = tree["leaf_vector_begin"][at], tree["leaf_vector_end"][at]
        value = tree["leaf_vector"][end - 1] if end > first else tree["leaf_value"][at]
        leaf = len(paths.values)
        paths.values.append(share * float(value))
        for place, column in enumerate(sorted({step[1] for step in way})):
            steps = [step for step in way if step[1] == column]
            paths.steps += [(len(paths.slots), number, left) for number, _, left, _ in steps]
            paths.slots.append((leaf, place, column, float(np.prod([z for *_, z in steps]))))
        return
    number, column = len(paths.asks), int(tree["split_index"][at])
    paths.asks.append(column)
    paths.missing_left.append(bool(tree["default_left"][at]))
    if kind == CATEGORICAL:
        codes = tree["category_list"][tree["category_list_begin"][at] : tree["category_list_end"][at]]
        paths.listed.append((frozenset(codes.tolist()), not tree["category_list_right_child"][at]))
        paths.threshold.append(np.nan)
        paths.strict.append(False)
    elif tree["cmp"][at] in (LESS, AT_MOST):
        paths.listed.append(None)
        paths.threshold.append(float(tree["threshold"][at]))
        paths.strict.append(bool(tree["cmp"][at] == LESS))
    else:
        raise ModelError("explain: expected trees that compare by < or <=; got another operator")
    for child, left in ((int(tree["cleft"][at]), True), (int(tree["cright"][at]), False)):
        if not (tree["data_count_present"][at] and tree["data_count_present"][child] and tree["data_count"][at]):
            raise ModelError("explain: expected trees that say how many rows each node has learnt from; these do not")
        z = float(tree["data_count"][child] / tree["data_count"][at])
        _walk(tree, child, [*way, (number, column, left, z)], share, paths)


class TreeExplainer:
    """What each of `columns` adds to the margin of a tree ensemble."""

    def __init__(self, paths: Paths, columns: int):
        self.columns = columns
        self._asks = np.array(paths.asks, np.intp)
        self._threshold = np.array(paths.threshold)
        self._strict = np.array(paths.strict, bool)
        self._missing_left = np.array(paths.missing_left, bool)
        self._categorical = np.flatnonzero([listed is not None for listed in paths.listed])
        lists = [listed for listed in paths.listed if listed is not None]
        width = 1 + max((max(codes, default=0) for codes, _ in lists), default=0)
        self._left_of = np.array([[(code in codes) == left for code in range(width)] for codes, left in lists], bool)
        self._left_else = np.array([not left for _, left in lists], bool)
        steps = np.array(paths.steps, np.intp).reshape(-1, 3)
        self._step_node, self._step_left = steps[:, 1], steps[:, 2].astype(bool)
        self._first_step = np.flatnonzero(np.diff(steps[:, 0], prepend=-1))
        slots = np.array(paths.slots).reshape(-1, 4)
        self._leaf, self._place = slots[:, 0].astype(np.intp), slots[:, 1].astype(np.intp)
        self._depth = int(self._place.max(initial=-1)) + 1
        self._values = np.array(paths.values)
        self._z = np.ones((self._depth, len(self._values)))
        self._z[self._place, self._leaf] = slots[:, 3]
        self.base = paths.base + float((self._values * self._z.prod(axis=0)).sum())
        # Where each slot's effect goes.
        n = len(slots)
        where = (self._place * len(self._values) + self._leaf, slots[:, 2].astype(np.intp))
        shape = (self._depth * len(self._values), columns)
        self._column = scipy.sparse.csr_matrix((np.ones(n), where), shape=shape)

    @cached_property
    def _quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        points, weights = np.polynomial.legendre.leggauss(max(1, (self._depth + 1) // 2))
        return (points + 1) / 2, weights / 2

    def effects(self, X: np.ndarray) -> Effects:
        """Return what each column adds for X (n, columns), NaN for missing."""
        if X.shape[1] != self.columns:
            raise ModelError(f"explain: expected {self.columns} columns; got {X.shape[1]}")
        if not self._depth:
            return Effects(self.base, np.zeros(X.shape))
        block = max(1, BLOCK // (len(self._values) * (3 * self._depth + 2)))
        parts = [self._block(X[start : start + block]) for start in range(0, len(X), block)]
        return Effects(self.base, np.vstack(parts) if parts else np.empty(X.shape))

    def _block(self, X: np.ndarray) -> np.ndarray:
        n, leaves, depth = len(X), len(self._values), self._depth
        follows = np.ones((n, depth, leaves), bool)
        astray = self._left(X)[:, self._step_node] != self._step_left
        follows[:, self._place, self._leaf] = ~np.logical_or.reduceat(astray, self._first_step, axis=1)
        integral = np.zeros((n, depth, leaves))
        for t, weight in zip(*self._quadrature, strict=True):
            factors = self._z * (1 - t) + follows * t
            others = np.full((n, leaves), weight)
            before = np.empty_like(factors)
            for place in range(depth):
                before[:, place] = others
                others = others * factors[:, place]
            after = np.ones((n, leaves))
            for place in reversed(range(depth)):
                integral[:, place] += before[:, place] * after
                after *= factors[:, place]
        integral *= (follows - self._z) * self._values
        return np.asarray(integral.reshape(n, -1) @ self._column)

    def _left(self, X: np.ndarray) -> np.ndarray:
        """Return whether each row goes left at each node, (n, nodes)."""
        asked = X[:, self._asks]
        left = np.where(self._strict, asked < self._threshold, asked <= self._threshold)
        if len(self._categorical):
            codes = asked[:, self._categorical]
            known = (codes >= 0) & (codes < self._left_of.shape[1])
            places = np.where(known, codes, 0).astype(np.intp)
            within = self._left_of[np.arange(len(self._categorical)), places]
            left[:, self._categorical] = np.where(known, within, self._left_else)
        return np.where(np.isnan(asked), self._missing_left, left)
