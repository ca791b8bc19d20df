"""A tree ensemble as a Treelite checkpoint, evaluated by Treelite's GTIL."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import treelite

from ringbound.errors import BundleError
from ringbound.models.linear import softmax

SMALL = 64
"""Rows up to which one thread is faster than waking others."""


@dataclass(frozen=True)
class TreeModel:
    """A Treelite model that takes `columns` float64 columns, NaN for missing."""

    model: treelite.Model
    columns: int

    @cached_property
    def classes(self) -> int:
        """How many classes have a margin of their own; up to two where one answer is made."""
        return int(np.max(self.model.get_header_accessor().get_field("num_class")))

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return (n,) answers for X (n, columns), of several classes (n, classes).

        Threads share out whole rows, so their number changes no bit.
        """
        if X.shape[1] != self.columns:
            raise BundleError(f"tree model: expected {self.columns} columns; got {X.shape[1]}")
        if not len(X):
            return np.empty((0, self.classes) if self.classes > 2 else 0)
        threads = 1 if len(X) <= SMALL else -1
        if self.classes > 2:  # treelite takes its softmax of 32 bits
            margins = treelite.gtil.predict(self.model, np.ascontiguousarray(X), nthread=threads, pred_margin=True)
            return softmax(margins.reshape(len(X), -1).astype(np.float64, copy=False))
        answers = treelite.gtil.predict(self.model, np.ascontiguousarray(X), nthread=threads)
        return answers.reshape(len(X), -1)[:, -1].astype(np.float64, copy=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as a checkpoint."""
        return _from_checkpoint, (self.model.serialize_bytes(), self.columns)

    def write(self, file: Path) -> None:
        """Write the checkpoint."""
        self.model.serialize(str(file))

    @classmethod
    def read(cls, file: Path, columns: int) -> "TreeModel":
        """Read a checkpoint."""
        return cls(treelite.Model.deserialize(str(file)), columns)


def _from_checkpoint(content: bytes, columns: int) -> TreeModel:
    return TreeModel(treelite.Model.deserialize_bytes(content), columns)
