"""A linear model as plain numbers, evaluated in one fixed order so that a row's answer never depends on its company."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from ringbound.errors import BundleError
from ringbound.problem.task import Link

MOST_LOG = 700.0
"""The logarithm of an answer at most: that of a number which is still finite."""


@dataclass(frozen=True)
class Scale:
    """How one column enters the model: centred and scaled, or as `size` indicator columns; missing has one of its own."""

    size: int
    mean: float = 0.0
    scale: float = 1.0


def learn_scales(X: np.ndarray, sizes: list[int]) -> list[Scale]:
    """Return a scale for each column of X (n, p); a constant or empty column gets scale 1."""
    scales = []
    for j, size in enumerate(sizes):
        known = X[~np.isnan(X[:, j]), j]
        if size or not len(known):
            scales.append(Scale(size))
            continue
        spread = float(known.std())
        scales.append(Scale(0, float(known.mean()), spread if spread > 0 else 1.0))
    return scales


def design(X: np.ndarray, scales: list[Scale]) -> scipy.sparse.csr_matrix:
    """Return the sparse design matrix for fitting: per column its scaled value or indicators, then a missing indicator."""
    blocks = []
    for j, scale in enumerate(scales):
        x = X[:, j]
        missing = np.isnan(x)
        if scale.size:
            rows = np.flatnonzero(~missing)
            ones = np.ones(len(rows))
            blocks.append(scipy.sparse.csr_matrix((ones, (rows, x[rows].astype(int))), shape=(len(x), scale.size)))
        else:
            blocks.append(scipy.sparse.csr_matrix(np.where(missing, 0.0, (x - scale.mean) / scale.scale)[:, None]))
        blocks.append(scipy.sparse.csr_matrix(missing.astype(float)[:, None]))
    return scipy.sparse.hstack(blocks, format="csr")


@dataclass(frozen=True)
class LinearModel:
    """Scales, their weights in the order of `design`, an intercept, and how an answer is made of their sum."""

    scales: list[Scale]
    weights: list[float]
    intercept: float
    link: Link

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return (n,) answers for X (n, p). Terms are added column by column: BLAS would sum one row otherwise than many."""
        if X.shape[1] != len(self.scales):
            raise BundleError(f"linear model: expected {len(self.scales)} columns; got {X.shape[1]}")
        total = np.full(len(X), self.intercept)
        for term in self.terms(X):
            total = total + term
        if self.link == "identity":
            return total
        if self.link == "log":
            return np.exp(np.minimum(total, MOST_LOG))
        with np.errstate(over="ignore"):  # 1 / (1 + inf) is the 0 that is meant
            return 1.0 / (1.0 + np.exp(-total))

    def terms(self, X: np.ndarray) -> Iterator[np.ndarray]:
        """Yield what each column of X (n, p) adds to the margin, (n,) each."""
        weights, at = np.asarray(self.weights), 0
        for j, scale in enumerate(self.scales):
            x = X[:, j]
            missing = np.isnan(x)
            width = scale.size or 1
            if scale.size:
                known = weights[at : at + width][np.where(missing, 0, x).astype(int)]
            else:
                known = (x - scale.mean) / scale.scale * weights[at]
            yield np.where(missing, weights[at + width], known)
            at += width + 1

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers and lists."""
        scales = [[s.size, s.mean, s.scale] for s in self.scales]
        return {"scales": scales, "weights": self.weights, "intercept": self.intercept, "link": self.link}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "LinearModel":
        """Undo `to_json`."""
        return cls([Scale(*s) for s in plain["scales"]], plain["weights"], plain["intercept"], plain["link"])


@dataclass(frozen=True)
class SeveralLinear:
    """One linear model a class, whose margins' softmax is the answer."""

    parts: list[LinearModel]

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return (n, classes) answers for X (n, p)."""
        return softmax(np.column_stack([part.predict(X) for part in self.parts]))

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers and lists."""
        return {"classes": [part.to_json() for part in self.parts]}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "SeveralLinear":
        """Undo `to_json`."""
        return cls([LinearModel.from_json(part) for part in plain["classes"]])


def softmax(margins: np.ndarray) -> np.ndarray:
    """Return probabilities (n, classes) for margins (n, classes), added up in one order so that a row stands by itself.

    >>> softmax(np.log([[1.0, 2.0, 5.0]])).round(3).tolist()
    [[0.125, 0.25, 0.625]]
    """
    powers = np.exp(margins - margins.max(axis=1, initial=-np.inf, keepdims=True))
    total = np.zeros(len(powers))
    for one in range(powers.shape[1]):
        total = total + powers[:, one]
    return np.asarray(powers / total[:, None])
