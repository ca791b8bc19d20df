"""Which questions are left undecided, so that it can be seen what comes where nothing is decided.

Where a decision changes what comes (a parcel that is said to be late is sent ahead), outcomes show the model with its effect.
A share of questions, chosen by a salted hash, is left alone; what came of them, weighted by how likely each was to be left
(inverse propensity: Horvitz and Thompson, Journal of the American Statistical Association 47, 1952), is free of it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ringbound.features.columns import Category, Column


@dataclass(frozen=True)
class Exposure:
    """A `share` of questions that is left undecided: the same for the same values of the request fields `by`, everywhere.

    >>> from ringbound.features.columns import Category
    >>> who = {"who": Category.from_texts(["cid", "ann", "cid"])}
    >>> Exposure(0.5, ("who",), "late-parcels").undecided(who).tolist()
    [False, True, False]
    """

    share: float
    by: tuple[str, ...]
    salt: str

    def undecided(self, columns: Mapping[str, Column]) -> np.ndarray:
        """Return which of n rows, by their request columns, are left undecided, (n,) of booleans."""
        values = [_texts(columns[name]) for name in self.by]
        return np.array([self._fraction(list(row)) < self.share for row in zip(*values, strict=True)], bool)

    def _fraction(self, row: list[str]) -> float:
        found = hashlib.sha256(f"{self.salt}\n{json.dumps(row)}".encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(found[:6]) / 2**48

    def decided(
        self, columns: Mapping[str, Column], decisions: np.ndarray | None, n: int
    ) -> tuple[Sequence[bool | None], Sequence[float]]:
        """Return n rows' decisions, None where one is left undecided, and how likely each was to be decided so, or not."""
        if decisions is None:
            return [None] * n, [1.0] * n
        if not self.share:
            return decisions.tolist(), [1.0] * n
        left = self.undecided(columns)
        plain = [None if alone else decision for alone, decision in zip(left, decisions.tolist(), strict=True)]
        return plain, np.where(left, self.share, 1 - self.share).tolist()


def _texts(column: Column) -> list[str]:
    if isinstance(column, Category):
        return ["" if text is None else text for text in column.texts().tolist()]
    values = column.astype("datetime64[us]").astype(np.int64) if column.dtype.kind == "M" else column
    return [repr(value) for value in values.tolist()]
