"""The audit of skew in production: the vectors that predictions were made from are recomputed from the log."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ringbound.features.columns import Column
from ringbound.features.join import windowed_values
from ringbound.features.live import from_log
from ringbound.features.replay import differs
from ringbound.models.bundle import Bundle
from ringbound.serving.request import columns_from_rows, row_model
from ringbound.store import Store


@dataclass(frozen=True)
class Audited:
    """What an audit found: predictions recomputed, values compared, mismatches in words, predictions of other models."""

    predictions: int
    values: int
    mismatches: list[str]
    others: int


def audit(bundle: Bundle, store: Store, *, newest: int) -> Audited:
    """Recompute the vectors of the `newest` predictions that this bundle made, offline, from the log as it was then."""
    kept = store.predictions(newest)
    mine = [prediction for prediction in kept if prediction.model_version == bundle.version]
    Row = row_model(bundle.features.request)
    rows = [Row.model_validate(json.loads(prediction.row)) for prediction in mine]
    columns = columns_from_rows(rows, bundle.features.request)
    windowed = _windowed(bundle, store, mine, columns)
    vectors = (
        bundle.full.encoder.matrix(bundle.features.compute(columns, bundle.references, windowed))
        if mine
        else np.empty((0, 0))
    )
    mismatches = []
    for prediction, vector in zip(mine, vectors, strict=True):
        used = np.frombuffer(prediction.vector, np.float64)
        for place in np.flatnonzero(differs(used, vector)):
            name = bundle.full.encoder.names[place]
            mismatches.append(
                f"{prediction.prediction_id}, {name}: used {used[place]!r}, the log says {vector[place]!r}"
            )
    return Audited(len(mine), vectors.size, mismatches, len(kept) - len(mine))


def _windowed(
    bundle: Bundle, store: Store, predictions: Sequence[Any], columns: Mapping[str, Column]
) -> dict[str, np.ndarray]:
    """Return the windowed features of predictions, from the events that the log had when each was made."""
    features = bundle.features
    at = np.array([prediction.at for prediction in predictions], np.int64)
    positions = np.array([prediction.position for prediction in predictions], np.int64)
    found = {name: np.empty(len(at)) for name in features.windowed}
    if not len(at) or not features.views:
        return found
    longest = max(view.longest for view in features.views)
    logged = {name: store.since(name, int(at.min()) - longest, int(at.max())) for name in features.sources}
    # Nearly always all events up to a question were in the log by then. Where one was being written just then, the
    # predictions before and after it are computed apart.
    late = np.array(sorted({row[0] for rows in logged.values() for row in rows if row[0] > positions.min()}), np.int64)
    groups = np.searchsorted(late, positions, "right")
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        until = positions[members].max()
        events = {
            name: from_log(source, [row for row in logged[name] if row[0] <= until])
            for name, source in features.sources.items()
        }
        keys = {name: column[members] for name, column in columns.items()}
        for name, values in windowed_values(features.views, features.sources, events, at[members], keys).items():
            found[name][members] = values
    return found
