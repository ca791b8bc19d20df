"""The ladder at work: each fault is answered by the right rung, for the right reason, at once, and passes by itself."""

import asyncio
import json
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ringbound.errors import FeatureError
from ringbound.features.events import EventSource
from ringbound.features.history import PAST, deliveries
from ringbound.features.live import LiveFeatures
from ringbound.models.bundle import load_bundle
from ringbound.proofs.audit import audit
from ringbound.serving import predictor as predictor_module
from ringbound.serving.predictor import Predictor
from ringbound.serving.service import build_service
from ringbound.serving.settings import ServiceSettings
from ringbound.store import CLOCKS, Event, SetClock, Store
from ringbound.testing.parcels import FEATURES, PROBLEM

HOUR = 3_600_000_000
QUESTION = dict(PROBLEM.examples[0])
DEADLINE_S = 0.2


@pytest.fixture
def store(events, tmp_path) -> Store:
    """A store of its own with the last week of events."""
    store = Store(f"sqlite:///{tmp_path}/store.db")
    for name in events.sources:
        store.append(name, deliveries(events, name, events.until - 8 * 24 * HOUR, events.until).events, PAST)
    return store


@pytest.fixture
def predictor(bundle_folder, store) -> Predictor:
    return Predictor(
        load_bundle(bundle_folder), LiveFeatures(FEATURES, store, clock=CLOCKS["event"], retained=7 * 24 * HOUR)
    )


@pytest.fixture
def service(bundle_folder, store, monkeypatch):
    """The service with a short deadline, and a store that is tried again soon."""
    monkeypatch.setattr(predictor_module, "RETRY_S", 0.3)
    url = str(store.engine.url)
    return build_service(ServiceSettings(bundle_folder, url, clock="event", deadline_ms=DEADLINE_S * 1000)).inner()


def ask(service, *, rows: int = 1) -> list[dict]:
    """Ask as BentoML does; the answers, which must be there soon after the deadline."""
    asked = [service.predictor.Row.model_validate(QUESTION)] * rows
    started = time.monotonic()
    answered = asyncio.run(service.predict(rows=asked))
    assert time.monotonic() - started < DEADLINE_S + 0.5
    return [answer.model_dump() for answer in answered.predictions]


def rung(service) -> tuple[str, str | None]:
    (answer,) = ask(service)
    return answer["rung"], answer["reason"]


def recovers(service, within_s: float = 3.0) -> None:
    ends = time.monotonic() + within_s
    while rung(service) != ("full", None):
        assert time.monotonic() < ends, "it does not come back"
        time.sleep(0.05)


def recorded(service) -> list:
    return service.predictor.live.store.predictions(10_000)


def test_a_sound_service_answers_from_the_full_model_and_records_it(service):
    (answer,) = ask(service)
    assert (answer["rung"], answer["reason"], answer["recorded"]) == ("full", None, True)
    (kept,) = recorded(service)
    assert (kept.prediction_id, kept.rung, kept.reason) == (answer["prediction_id"], "full", None)


def test_a_model_that_raises_is_stepped_over(service, monkeypatch):
    monkeypatch.setattr(type(service.predictor.bundle.full.model), "predict", _raises)
    if isinstance(service.predictor.bundle.reduced.model, type(service.predictor.bundle.full.model)):
        expected = ("prior", "model")  # both are linear
    else:
        expected = ("reduced", "model")
    assert rung(service) == expected
    monkeypatch.undo()
    recovers(service)


def test_a_model_that_answers_no_number_is_stepped_over(service, monkeypatch):
    real = type(service.predictor.bundle.full).answer_matrix
    full = service.predictor.bundle.full
    spoilt = lambda rung, X: np.full(len(X), np.nan) if rung is full else real(rung, X)  # noqa: E731
    monkeypatch.setattr(type(full), "answer_matrix", spoilt)
    assert rung(service) == ("reduced", "model")
    monkeypatch.undo()
    recovers(service)


def test_a_model_that_hangs_is_not_waited_for(service, monkeypatch):
    full, real, go_on = (
        service.predictor.bundle.full,
        type(service.predictor.bundle.full).answer_matrix,
        threading.Event(),
    )

    def hangs(rung, X):
        if rung is full:
            go_on.wait(20)
        return real(rung, X)

    monkeypatch.setattr(type(full), "answer_matrix", hangs)
    assert [rung(service) for _ in range(5)] == [("reduced", "model")] * 5
    go_on.set()
    monkeypatch.undo()
    recovers(service)
    assert {"model", None} <= {kept.reason for kept in recorded(service)}, (
        "what was answered meanwhile is recorded late"
    )


def test_a_store_that_raises_is_left_alone_and_tried_again(service, monkeypatch):
    calls = []

    def gone(*_):
        calls.append(1)
        raise predictor_module.StoreError("store: cannot be read: gone; try again")

    monkeypatch.setattr(service.predictor.live.store, "tail", gone)
    answers = [ask(service)[0] for _ in range(20)]
    assert {(a["rung"], a["reason"], a["recorded"]) for a in answers} == {("reduced", "store", False)}
    assert len(calls) < 5, "it is tried on every request"
    monkeypatch.undo()
    recovers(service)
    kept = {one.prediction_id: one for one in recorded(service)}
    assert {a["prediction_id"] for a in answers} <= kept.keys(), "what could not be recorded is recorded later"


def test_a_store_that_is_locked_holds_nobody_up(service, store):
    locker = sqlite3.connect(store.engine.url.database, isolation_level=None, check_same_thread=False)
    locker.execute("BEGIN EXCLUSIVE")
    answers = [ask(service)[0] for _ in range(5)]
    assert {(a["rung"], a["reason"], a["recorded"]) for a in answers} == {("reduced", "store", False)}
    locker.execute("ROLLBACK")
    recovers(service, within_s=12)
    assert {a["prediction_id"] for a in answers} <= {one.prediction_id for one in recorded(service)}


def test_a_store_whose_folder_is_gone_is_no_error_for_who_asks(service, store):
    folder = Path(store.engine.url.database).parent
    service.predictor.live.store._reading = None
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert rung(service)[1] == "store"


def silent_after(hours: str, store: Store, folder: Path) -> Predictor:
    """Return a predictor whose arrivals are stale after some hours without any."""
    bundle = load_bundle(folder)
    sources = [replace(FEATURES.sources["arrivals"], stale=hours), FEATURES.sources["pickups"]]
    live = LiveFeatures(FEATURES, store, clock=SetClock(0, takes_history=True))
    live.features.sources = {source.name: source for source in sources}
    return Predictor(bundle, live)


@pytest.fixture
def _sources():
    """The sources as they were."""
    before = FEATURES.sources
    yield
    FEATURES.sources = before


@pytest.mark.usefixtures("_sources")
def test_a_silent_feed_is_told_and_the_rung_below_answers(bundle_folder, store):
    newest = store.end().newest
    predictor = silent_after("6h", store, bundle_folder)
    at = lambda hours: QUESTION | {"at": _text(newest + hours * HOUR), "promised": _text(newest + (hours + 2) * HOUR)}  # noqa: E731
    answers = predictor.predict([at(-30), at(5), at(7), at(1000)])
    assert [(a["rung"], a["reason"]) for a in answers] == [
        ("full", None),
        ("full", None),
        ("reduced", "stale: arrivals"),
        ("reduced", "stale: arrivals"),
    ]
    fields = {"depot": "north", "courier": None, "route": 1.0, "late_min": 0.0}
    store.append("arrivals", [Event("fresh", newest + 999 * HOUR, fields)], PAST)
    assert [a["rung"] for a in predictor.predict([at(1000)])] == ["full"]


def test_a_time_of_staleness_is_a_length_of_time():
    with pytest.raises(FeatureError, match="expected a window like"):
        EventSource("x", [], stale="soon")


def test_every_rung_passes_the_audit(predictor, questions):
    predictor.predict(questions[-200:])  # of the last two days
    predictor.step_down(rows_of(predictor, questions[-100:]), "model")
    predictor.predict(questions[-1:])
    done = audit(predictor.bundle, predictor.live.store, newest=1000)
    full, reduced = (len(r.encoder.names) for r in (predictor.bundle.full, predictor.bundle.reduced))
    assert (done.predictions, done.mismatches, done.values) == (301, [], 201 * full + 100 * reduced)


def test_the_reduced_rung_answers_as_it_was_measured(predictor, questions):
    """The contract of the ladder: a stepped-down answer is that rung's, to the bit."""
    rows = rows_of(predictor, questions[:500])
    columns = predictor_module.columns_from_rows(rows, predictor.fields)
    values = FEATURES.compute(columns, predictor.bundle.references, names=FEATURES.plain)
    answers = predictor.step_down(rows, "overload")
    assert [a["probability"] for a in answers] == predictor.bundle.reduced.answer(values).tolist()


def test_requests_that_wait_together_are_answered_together(service, monkeypatch):
    sizes, real = [], service.predictor.answer
    monkeypatch.setattr(service.gatherer, "_answer", lambda rows: sizes.append(len(rows)) or real(rows))

    async def many() -> list:
        rows = [service.predictor.Row.model_validate(QUESTION)]
        return await asyncio.gather(*(service.predict(rows=rows) for _ in range(64)))

    answered = asyncio.run(many())
    assert len({a.predictions[0].prediction_id for a in answered}) == 64
    assert len(sizes) < 16
    assert sum(sizes) == 64


def test_one_wrong_request_spoils_no_other(service):
    good = [service.predictor.Row.model_validate(QUESTION)]
    bad = [service.predictor.Row.model_validate(QUESTION | {"at": "2019-01-01T00:00:00Z"})]

    async def together() -> list:
        return await asyncio.gather(*(service.predict(rows=rows) for rows in (good, bad, good, bad, good)))

    answers = asyncio.run(together())
    assert [getattr(a, "status_code", 200) for a in answers] == [200, 400, 200, 400, 200]
    assert json.loads(answers[1].body)["error"].startswith("at: expected 2020-")


def rows_of(predictor: Predictor, questions: list[dict]) -> list:
    return [predictor.Row.model_validate(question) for question in questions]


def _raises(*_):
    raise RuntimeError("out of order")


def _text(time_us: int) -> str:
    return f"{np.datetime64(time_us, 'us')}Z"


def test_a_record_that_was_written_though_nobody_heard_of_it_holds_nothing_up(service, monkeypatch):
    """The connection goes after the commit: the same records come again, and all others with them."""
    store, real = service.predictor.live.store, Store.record

    def lost(predictions):
        real(store, predictions)
        raise predictor_module.StoreError("store: cannot be written: connection lost; try again")

    monkeypatch.setattr(store, "record", lost)
    assert not ask(service)[0]["recorded"]
    monkeypatch.undo()
    recovers(service)
    assert ask(service)[0]["recorded"]


def test_many_vectors_have_the_time_that_many_rows_take(service, monkeypatch):
    real = service.predictor.describe
    monkeypatch.setattr(service.predictor, "describe", lambda rows: time.sleep(DEADLINE_S * 1.5) or real(rows))
    row = service.predictor.Row.model_validate(QUESTION)
    assert asyncio.run(service.features(rows=[row])).status_code == 503
    recovers(service)  # the thread is at the first question still
    assert len(asyncio.run(service.features(rows=[row] * 1000)).vectors) == 1000
