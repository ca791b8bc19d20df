"""Proof that any engine gives the same: the training table's windowed values are computed again and compared."""

from dataclasses import dataclass

import numpy as np

from ringbound.compute.engines import open_engine
from ringbound.features.definition import AT
from ringbound.features.offline import asof_join, by_month
from ringbound.proofs.history import History


@dataclass(frozen=True)
class RecomputeResult:
    """How many values were computed again, and whether they are the table's, byte for byte."""

    values: int
    same: bool


def recompute(history: History, *, engine: str = "local", scheduler: str = "") -> RecomputeResult:
    """Compute every windowed value of the table again, month by month, by an engine."""
    features, requests = history.features, history.requests.reset_index(drop=True)
    recomputed = np.empty((len(requests), len(features.windowed)))
    shards = by_month(requests, AT.name)
    with open_engine(engine, scheduler) as opened:
        for shard, values in zip(shards, asof_join(features, history.tables, shards, engine=opened), strict=True):
            recomputed[shard.index] = np.array(list(values.values())).T
    table = history.table[list(features.windowed)].to_numpy(np.float64)
    return RecomputeResult(recomputed.size, recomputed.tobytes() == table.tobytes())
