"""A predictor whose answers are proven."""

import itertools

import pytest

from ringbound.features.asof import LATEST, MINUTE
from ringbound.features.history import PAST, deliveries
from ringbound.features.live import LiveFeatures
from ringbound.models.bundle import load_bundle
from ringbound.serving.predictor import Predictor
from ringbound.store import CLOCKS, Store
from ringbound.testing.parcels import FEATURES

ALL_DAYS = 60 * 24 * 60 * MINUTE


@pytest.fixture
def predictor(bundle_folder, events, tmp_path):
    """A predictor on a store of its own, with all events but the last of each source."""
    store = Store(f"sqlite:///{tmp_path}/store.db")
    for name in events.sources:
        store.append(name, deliveries(events, name, 0, LATEST).events[:-500], PAST)
    bundle = load_bundle(bundle_folder)
    made = itertools.count()
    return Predictor(
        bundle, LiveFeatures(FEATURES, store, clock=CLOCKS["event"], retained=ALL_DAYS), now=lambda: next(made)
    )  # fmt: skip
