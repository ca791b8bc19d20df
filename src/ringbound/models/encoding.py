"""From feature columns to the float64 matrix that every candidate model takes."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from ringbound.features.columns import Category, Column

MOST_CATEGORIES = 254
"""scikit-learn's histogram gradient boosting keeps at most 255 bins a feature, one of them for missing values."""


def learn_vocabularies(features: Mapping[str, Column], names: Sequence[str]) -> dict[str, list[str]]:
    """Return, for each categorical feature, its texts in order of frequency, then name; the rarest past 254 are left out."""
    learnt = {}
    for name in names:
        column = features[name]
        assert isinstance(column, Category), name
        counts: Counter[str] = Counter()
        totals = np.bincount(column.codes[column.codes >= 0], minlength=len(column.values))
        for text, total in zip(column.values, totals, strict=True):
            if total:
                counts[text] += int(total)
        learnt[name] = sorted(counts, key=lambda text: (-counts[text], text))[:MOST_CATEGORIES]
    return learnt


class Encoder:
    """Turn features into a matrix: numbers as they are, texts as their place in a learnt vocabulary, else NaN."""

    def __init__(self, numbers: Sequence[str], vocabularies: Mapping[str, Sequence[str]]):
        self.numbers = list(numbers)
        self.vocabularies = {name: list(texts) for name, texts in vocabularies.items()}
        self._positions = {n: {text: i for i, text in enumerate(texts)} for n, texts in self.vocabularies.items()}

    @property
    def names(self) -> list[str]:
        """The matrix's columns: numbers, then categories."""
        return [*self.numbers, *self.vocabularies]

    @property
    def sizes(self) -> list[int]:
        """The size of each column's vocabulary, 0 for numbers."""
        return [0] * len(self.numbers) + [len(texts) for texts in self.vocabularies.values()]

    def matrix(self, features: Mapping[str, Column]) -> np.ndarray:
        """Return (n, columns) float64, row-major."""
        n = len(features[self.names[0]])
        result = np.empty((n, len(self.names)), dtype=np.float64)
        for j, name in enumerate(self.names):
            column = features[name]
            if isinstance(column, Category):
                codes = column.index(self._positions[name])
                result[:, j] = np.where(codes < 0, np.nan, codes)
            else:
                result[:, j] = column
        return result
