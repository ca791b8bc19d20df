import numpy as np

from ringbound.features.asof import MINUTE
from ringbound.features.history import PAST
from ringbound.proofs.audit import audit
from ringbound.store.records import Event
from ringbound.store.schema import PREDICTIONS


def test_predictions_are_what_the_log_says(predictor, questions):
    for start in range(0, 300, 50):
        predictor.predict(questions[start : start + 50])
    done = audit(predictor.bundle, predictor.live.store, newest=200)
    assert (done.predictions, done.mismatches, done.others) == (200, [], 0)
    assert done.values == 200 * len(predictor.bundle.full.encoder.names)


def test_events_that_come_in_between_are_no_mismatch(predictor, questions):
    """An event stamped before a question, and written while it was answered, was not known to it."""
    question = questions[900]
    predictor.predict([question])
    fields = {name: question[name] for name in ("depot", "courier", "route")} | {"late_min": 500.0}
    at = int(np.datetime64(question["at"].removesuffix("Z"), "us").astype(np.int64))
    predictor.live.store.append("arrivals", [Event("new", at - MINUTE, fields)], PAST)
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
    place = predictor.bundle.full.encoder.names.index("waiting_wait_mean_6h")
    vector[place] = np.nextafter(vector[place], np.inf)
    with predictor.live.store.engine.begin() as connection:
        connection.execute(PREDICTIONS.update().values(vector=vector.tobytes()))
    (mismatch,) = audit(predictor.bundle, predictor.live.store, newest=10).mismatches
    assert mismatch.startswith(f"{answer['prediction_id']}, waiting_wait_mean_6h: used ")


def test_predictions_of_other_models_are_counted_apart(predictor, questions):
    predictor.predict(questions[:3])
    with predictor.live.store.engine.begin() as connection:
        connection.execute(PREDICTIONS.update().values(model_version="another"))
    done = audit(predictor.bundle, predictor.live.store, newest=10)
    assert (done.predictions, done.others) == (0, 3)
