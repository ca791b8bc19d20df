"""What proofs are made on: questions of the past, the values they were answered by, and the events behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ringbound.errors import FeatureError
from ringbound.features.columns import Reference
from ringbound.features.definition import FeatureSet
from ringbound.features.offline import EventTables
from ringbound.problem.declaration import Problem
from ringbound.problem.training import read_requests, read_training_table


@dataclass(frozen=True)
class History:
    """`requests` were asked, `table` has every feature's value for each, in the same order; `tables` hold the events."""

    features: FeatureSet
    tables: EventTables
    table: pd.DataFrame
    requests: pd.DataFrame
    references: Mapping[str, Reference]

    def where(self, chosen: np.ndarray) -> "History":
        """Return the history of some of the questions, by a mask (n,)."""
        return replace(self, table=self.table[chosen], requests=self.requests[chosen])


def read_history(problem: Problem, clean: Path, features: Path) -> History:
    """Read the clean events and the training table; `FeatureError` where features look back on no events."""
    if not problem.features.views:
        raise FeatureError("features: expected views; this set looks back on no events")
    training = read_training_table(features, problem)
    tables = EventTables(clean, problem.features.sources)
    return History(problem.features, tables, training.table, read_requests(features), training.references)
