"""The one look-up of windowed values: offline, in batch, in audits, replays and proofs."""

from collections.abc import Mapping

import numpy as np

from ringbound.features.columns import Column
from ringbound.features.definition import FeatureSet
from ringbound.features.events import EventReader, Events
from ringbound.features.join import windowed_values


def known_events(features: FeatureSet, events: EventReader, at: np.ndarray) -> dict[str, Events]:
    """Return all events of each source that a question asked at one of `at` (n,) int64 microseconds may look back on."""
    first, last = (int(at.min()), int(at.max())) if len(at) else (0, 0)
    return {name: events.read(name, first - features.lookback[name], last) for name in features.sources}


def values_as_of(
    features: FeatureSet, events: EventReader, at: np.ndarray, keys: Mapping[str, Column]
) -> dict[str, np.ndarray]:
    """Return every windowed feature, (n,) float64 each, of n requests asked at `at` (n,) int64 microseconds.

    `keys` are the requests' columns, of which those that entities name are used. A value counts the events that were
    known then and no others.
    """
    return windowed_values(features.views, features.sources, known_events(features, events, at), at, keys)
