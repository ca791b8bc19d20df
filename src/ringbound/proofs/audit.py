"""The audit of skew in production: the vectors that predictions were made from are recomputed from the log."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ringbound.features.columns import Column, differs
from ringbound.features.events import Stretch
from ringbound.features.logged import from_log
from ringbound.features.lookup import values_as_of
from ringbound.models.bundle import Bundle
from ringbound.serving.request import columns_from_rows, row_model
from ringbound.store import Prediction, Store


@dataclass(frozen=True)
class AuditResult:
    """What an audit found: predictions recomputed, values compared, mismatches in words, predictions of other models.

    Of rungs that are made from no vector, like a constant, there is nothing to recompute.
    """

    predictions: int
    values: int
    mismatches: list[str]
    others: int


def audit(bundle: Bundle, store: Store, *, newest: int) -> AuditResult:
    """Recompute the vectors of the `newest` predictions that this bundle made, offline, from the log as it was then."""
    predictions = store.predictions(newest)
    mine = [prediction for prediction in predictions if prediction.model_version == bundle.version]
    mismatches, compared, recomputed = [], 0, 0
    for prediction, vector in zip(mine, vectors(bundle, store, mine), strict=True):
        if vector is None:
            continue
        used = np.frombuffer(prediction.vector, np.float64)
        recomputed += 1
        compared += len(vector)
        names = bundle.rung(prediction.rung).encoder.names
        for place in np.flatnonzero(differs(used, vector)):
            one, other = float(used[place]), float(vector[place])
            mismatches.append(f"{prediction.prediction_id}, {names[place]}: used {one!r}, the log says {other!r}")
    return AuditResult(recomputed, compared, mismatches, len(predictions) - len(mine))


def vectors(bundle: Bundle, store: Store, predictions: Sequence[Prediction]) -> list[np.ndarray | None]:
    """Return the vectors of predictions that this bundle made, recomputed offline from the log as it was for each.

    None for a rung that is made from no vector, like a constant.
    """
    mine = [prediction for prediction in predictions if prediction.vector]
    columns = request_columns(bundle, mine)
    windowed = _windowed(bundle, store, mine, columns)
    features = bundle.features.compute(columns, bundle.references, windowed)
    found: dict[str, np.ndarray] = {}
    for name, rung in (("full", bundle.full), ("reduced", bundle.reduced)):
        made = [place for place, prediction in enumerate(mine) if prediction.rung == name]
        if rung is not None and made:
            rows = rung.encoder.matrix(features)[made]
            found |= {mine[place].prediction_id: row for place, row in zip(made, rows, strict=True)}
    return [found.get(prediction.prediction_id) for prediction in predictions]


def request_columns(bundle: Bundle, predictions: Sequence[Prediction]) -> dict[str, Column]:
    """Return what predictions were asked, as columns."""
    Row = row_model(bundle.features.request)
    rows = [Row.model_validate(json.loads(prediction.row)) for prediction in predictions]
    return columns_from_rows(rows, bundle.features.request)


def _windowed(
    bundle: Bundle, store: Store, predictions: Sequence[Prediction], columns: Mapping[str, Column]
) -> dict[str, np.ndarray]:
    """Return the windowed features of predictions, from the events that the log had when each was made."""
    features = bundle.features
    at = np.array([prediction.at for prediction in predictions], np.int64)
    positions = np.array([prediction.position for prediction in predictions], np.int64)
    windowed = {name: np.empty(len(at)) for name in features.windowed}
    if not len(at) or not features.views:
        return windowed
    # As the log was before the first of these predictions: what was voided later was there for it.
    logged = {
        name: store.since(name, int(at.min()) - features.lookback[name], int(at.max()), voided=True)
        for name in features.sources
    }
    void = {}
    for name, some in logged.items():
        there = {event.id for event in some}
        void[name] = {i: seq for i, seq in store.voided(name).items() if i in there}
    # Nearly always all events up to a question were in the log by then. Where one was being written or voided just then,
    # the predictions before and after it are computed apart.
    steps = {event.seq for rows in logged.values() for event in rows} | {
        s for one in void.values() for s in one.values()
    }
    late = sorted(step for step in steps if step > positions.min())
    groups = np.searchsorted(np.array(late, np.int64), positions, "right")
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        until = positions[members].max()
        events = Stretch(
            {
                name: from_log(source, [e for e in logged[name] if e.seq <= until < void[name].get(e.id, until + 1)])
                for name, source in features.sources.items()
            }
        )
        keys = features.keys({name: column[members] for name, column in columns.items()})
        for name, values in values_as_of(features, events, at[members], keys).items():
            windowed[name][members] = values
    return windowed
