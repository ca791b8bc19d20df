"""The table of a few rates that answers where no model can: cheap, hard to break, and the baseline to beat."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ringbound.features.columns import Category, Column
from ringbound.problem.task import Task


@dataclass(frozen=True)
class PriorTable:
    """Mean outcomes, or their quantiles, by a few features.

    `widths` maps each feature to a bin's width, or to None for a category. A group that was never seen, or that misses a
    value, gets `default`, that of all.
    """

    widths: dict[str, float | None]
    values: dict[str, Any]
    default: Any

    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        """Return (n,) answers, of classes (n, classes)."""
        return np.array([self.values.get(key, self.default) for key in _keys(features, self.widths)], dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers and texts."""
        return {"widths": self.widths, "values": self.values, "default": self.default}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "PriorTable":
        """Undo `to_json`."""
        return cls(dict(plain["widths"]), dict(plain["values"]), plain["default"])


def learn_prior(
    features: Mapping[str, Column], y: np.ndarray, widths: Mapping[str, float | None], task: Task, weight: float = 50.0
) -> PriorTable:
    """Return the constant that loses least by group, for outcomes y (n,), drawn towards that of all as by `weight` rows.

    Robbins, Proceedings of the Third Berkeley Symposium, 1956 (empirical Bayes), with a fixed weight.
    """
    import pandas as pd

    overall = task.constant(y)
    places = pd.Series(np.arange(len(y))).groupby(pd.Series(_keys(features, widths)), sort=True).indices
    values = {
        str(key): _plain((len(rows) * task.constant(y[rows]) + weight * overall) / (len(rows) + weight))
        for key, rows in places.items()
    }
    return PriorTable(dict(widths), values, _plain(overall))


def _plain(answer: Any) -> Any:
    return np.asarray(answer, np.float64).tolist()


def _keys(features: Mapping[str, Column], widths: Mapping[str, float | None]) -> list[str]:
    parts = []
    for name, width in sorted(widths.items()):  # in whichever order they were declared, or are kept in a file
        column = features[name]
        if isinstance(column, Category):
            parts.append(["" if text is None else str(text) for text in column.texts().tolist()])
        else:
            assert width is not None, name
            parts.append(["" if np.isnan(x) else str(int(x)) for x in np.floor(column / width)])
    return ["\t".join(key) for key in zip(*parts, strict=True)]
