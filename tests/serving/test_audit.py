import itertools

import numpy as np
import pytest

from flights.features import FEATURES
from ringbound.features.asof import LATEST, MINUTE
from ringbound.features.live import LiveFeatures
from ringbound.features.replay import Delivery, deliveries
from ringbound.models.bundle import load_bundle
from ringbound.serving.audit import audit
from ringbound.serving.predictor import Predictor
from ringbound.store import PREDICTIONS, Event, Store, event_clock

MARCH = 40 * 24 * 60 * MINUTE


@pytest.fixture
def predictor(bundle_folder, events, tmp_path):
    """A predictor on a store of its own, with all events of March but the last departures."""
    store = Store(f"sqlite:///{tmp_path}/store.db")
    for name in events.sources:
        store.append(name, deliveries(events, name, 0, LATEST, Delivery())[1][:-500], clock=lambda newest: 0)
    bundle = load_bundle(bundle_folder)
    made = itertools.count()
    return Predictor(
        bundle, LiveFeatures(FEATURES, store, clock=event_clock, retained=MARCH), now=lambda: next(made)
    )  # fmt: skip


def test_predictions_are_what_the_log_says(predictor, questions):
    for start in range(0, 300, 50):
        predictor.predict(questions[start : start + 50])
    done = audit(predictor.bundle, predictor.live.store, newest=200)
    assert (done.predictions, done.mismatches, done.others) == (200, [], 0)
    assert done.values == 200 * len(predictor.bundle.full.encoder.names)


def test_events_that_come_in_between_are_no_mismatch(predictor, questions):
    """An event stamped before a question, and written while it was answered, was not known to it."""
    question = questions[1500]
    predictor.predict([question])
    fields = {name: question[name] for name in ("carrier", "flight", "tailnum", "origin", "dest")} | {
        "dep_delay": 500.0
    }
    at = int(np.datetime64(question["at"].removesuffix("Z"), "us").astype(np.int64))
    predictor.live.store.append("departures", [Event("new", at - MINUTE, fields)], clock=lambda newest: 0)
    predictor.predict([question])
    first, second = (
        np.frombuffer(kept.vector) for kept in reversed(predictor.live.store.predictions(2))
    )  # fmt: skip
    assert not np.array_equal(first, second, equal_nan=True)
    assert audit(predictor.bundle, predictor.live.store, newest=10).mismatches == []


def test_a_vector_that_was_not_what_the_log_says_is_named(predictor, questions):
    (answer,) = predictor.predict(questions[:1])
    (kept,) = predictor.live.store.predictions(1)
    vector = np.frombuffer(kept.vector).copy()
    place = predictor.bundle.full.encoder.names.index("weather_temp_6h")
    vector[place] = np.nextafter(vector[place], np.inf)
    with predictor.live.store.engine.begin() as connection:
        connection.execute(PREDICTIONS.update().values(vector=vector.tobytes()))
    (mismatch,) = audit(predictor.bundle, predictor.live.store, newest=10).mismatches
    assert mismatch.startswith(f"{answer['prediction_id']}, weather_temp_6h: used ")


def test_predictions_of_other_models_are_counted_apart(predictor, questions):
    predictor.predict(questions[:3])
    with predictor.live.store.engine.begin() as connection:
        connection.execute(PREDICTIONS.update().values(model_version="another"))
    done = audit(predictor.bundle, predictor.live.store, newest=10)
    assert (done.predictions, done.others) == (0, 3)
