"""The ladder at work: each fault is answered by the right rung, for the right reason, at once, and passes by itself."""

import asyncio
import json
import shutil
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from ringbound.errors import BundleError, FeatureError
from ringbound.features.events import EventSource
from ringbound.features.history import PAST, deliveries
from ringbound.features.live import LiveFeatures
from ringbound.models.bundle import load_bundle
from ringbound.proofs.audit import audit
from ringbound.serving import predictor as predictor_module
from ringbound.serving.hot_path import HotPath
from ringbound.serving.predictor import Asked, Predictor
from ringbound.serving.service import build_service
from ringbound.serving.settings import ServiceSettings
from ringbound.store import CLOCKS, Event, SetClock, Store
from ringbound.testing.parcels import FEATURES, PROBLEM

HOUR = 3_600_000_000
QUESTION = dict(PROBLEM.examples[0])
DEADLINE_S = 0.4
JSON = [(b"content-type", b"application/json")]


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
def serve(bundle_folder, monkeypatch):
    """Makes services with a short deadline, and a store that is tried again soon; they end with the test."""
    monkeypatch.setattr(predictor_module, "RETRY_S", 0.3)
    made = []

    def make(url: str, folder: Path = bundle_folder):
        settings = ServiceSettings(folder, url, clock="event", deadline_ms=DEADLINE_S * 1000)
        made.append(build_service(settings).inner())
        return made[-1]

    yield make
    for service in made:
        service.shutdown()


@pytest.fixture
def service(serve, store):
    """The service on the store."""
    return serve(str(store.engine.url))


def ask(service, *, rows: int = 1) -> list[dict]:
    """Ask as BentoML does; the answers, which must be there soon after the deadline."""
    asked = [service.serving.predictor.Row.model_validate(QUESTION)] * rows
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
    return service.serving.predictor.live.store.predictions(10_000)


def test_a_sound_service_answers_from_the_full_model_and_records_it(service):
    (answer,) = ask(service)
    assert (answer["rung"], answer["reason"], answer["recorded"]) == ("full", None, True)
    (kept,) = recorded(service)
    assert (kept.prediction_id, kept.rung, kept.reason) == (answer["prediction_id"], "full", None)


def test_a_model_that_raises_is_stepped_over(service, monkeypatch):
    monkeypatch.setattr(type(service.serving.predictor.bundle.full.model), "predict", _raises)
    if isinstance(service.serving.predictor.bundle.reduced.model, type(service.serving.predictor.bundle.full.model)):
        expected = ("prior", "model")  # both are linear
    else:
        expected = ("reduced", "model")
    assert rung(service) == expected
    monkeypatch.undo()
    recovers(service)


def test_a_model_that_fails_is_not_tried_on_every_request(service, monkeypatch):
    tried = []
    full = service.serving.predictor.bundle.full
    monkeypatch.setattr(
        type(full),
        "answer_matrix",
        lambda self, X: tried.append(self is full) or (_raises() if self is full else np.full(len(X), 0.5)),
    )
    for _ in range(10):
        rung(service)
    assert sum(tried) < 5
    monkeypatch.undo()
    recovers(service)


def test_one_row_that_has_no_number_takes_no_other_along(service, monkeypatch):
    real = type(service.serving.predictor.bundle.full).answer_matrix
    full = service.serving.predictor.bundle.full

    def first_is_none(self, X):
        answers = real(self, X).copy()
        answers[: 1 if self is full else 0] = np.inf
        return answers

    monkeypatch.setattr(type(full), "answer_matrix", first_is_none)
    answers = ask(service, rows=3)
    assert [(one["rung"], one["reason"]) for one in answers] == [("reduced", "model"), ("full", None), ("full", None)]
    monkeypatch.undo()
    assert rung(service) == ("full", None), "nothing rests for it"


def test_an_answer_that_cannot_be_explained_is_an_answer(service, monkeypatch):
    monkeypatch.setattr(predictor_module, "explanations", _raises)
    body = json.dumps({"rows": [QUESTION], "explain": True}).encode()
    status, told = asyncio.run(post(service, "/predict", body))
    (answer,) = told["predictions"]
    assert (status, answer["rung"], answer["explanation"]) == (200, "full", None)


def test_a_model_that_answers_no_number_is_stepped_over(service, monkeypatch):
    real = type(service.serving.predictor.bundle.full).answer_matrix
    full = service.serving.predictor.bundle.full
    spoilt = lambda rung, X: np.full(len(X), np.nan) if rung is full else real(rung, X)  # noqa: E731
    monkeypatch.setattr(type(full), "answer_matrix", spoilt)
    assert rung(service) == ("reduced", "model")
    monkeypatch.undo()
    recovers(service)


def test_a_model_that_hangs_is_not_waited_for(service, monkeypatch):
    full, real, go_on = (
        service.serving.predictor.bundle.full,
        type(service.serving.predictor.bundle.full).answer_matrix,
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

    monkeypatch.setattr(service.serving.predictor.live.store, "tail", gone)
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


def file_of(store: Store) -> Path:
    return Path(store.engine.url.database)


def moved(files: list[Path], folder: Path) -> list[Path]:
    """Move files to a folder, which is made."""
    folder.mkdir(exist_ok=True)
    return [file.rename(folder / file.name) for file in files]


def family(file: Path) -> list[Path]:
    """Return the files of an SQLite store."""
    return sorted(file.parent.glob(f"{file.name}*"))


def send(service, name: str) -> int:
    """Send an event and return the status."""
    event = {"id": name, "time": QUESTION["at"], "depot": "north", "courier": "c07", "route": 1, "late_min": 30}
    body = json.dumps({"source": "arrivals", "events": [event]}).encode()
    status, _ = asyncio.run(post(service, "/events", body))
    return status


async def post(service, path: str, body: bytes) -> tuple[int, dict]:
    """Send a request as a server does."""
    messages: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": body}

    async def send(message: dict) -> None:
        messages.append(message)

    await HotPath(None, service=lambda: service.serving)(
        {"type": "http", "method": "POST", "path": path, "headers": JSON}, receive, send
    )
    return messages[0]["status"], json.loads(messages[1]["body"])


def test_nothing_is_acknowledged_into_a_file_that_is_gone(service, store, tmp_path):
    """What is written to a deleted file is read by the same connection for hours, and by nobody after it."""
    assert send(service, "before") == 200
    away = moved(family(file_of(store)), tmp_path / "away")
    assert rung(service) == ("reduced", "store")
    assert send(service, "while") == 503
    assert not file_of(store).exists(), "no new store is made in its place"
    moved(away, file_of(store).parent)
    recovers(service)
    assert send(service, "while") == 200
    kept = [event.id for event in Store(str(store.engine.url)).tail(0, 100_000)]
    assert kept[-2:] == ["before", "while"]
    assert ask(service)[0]["recorded"]
    assert {one.rung for one in recorded(service)} == {"full", "reduced"}, "those of the time without are there too"


def test_a_folder_that_is_gone_is_no_error_for_who_asks(service, store):
    for file in family(file_of(store)):
        file.unlink()
    file_of(store).parent.rmdir()
    assert rung(service) == ("reduced", "store")


@pytest.mark.parametrize("other", ["store", "backup", "text"])
def test_another_file_in_its_place_is_not_used_and_the_right_one_is_when_it_is_back(service, store, tmp_path, other):
    """SQLite would apply the log of the one to the other, and what was acknowledged would lie in the wrong one."""
    if other == "store":
        Store(f"sqlite:///{tmp_path}/other.db").append("arrivals", [Event("x", 1, {})], CLOCKS["event"])
    elif other == "backup":
        with sqlite3.connect(file_of(store)) as now, sqlite3.connect(tmp_path / "other.db") as then:
            now.backup(then)
    else:
        (tmp_path / "other.db").write_text("no store")
    content = (tmp_path / "other.db").read_bytes()
    (away,) = moved([file_of(store)], tmp_path / "away")  # its -wal stays, as when somebody copies a file over it
    (tmp_path / "other.db").rename(file_of(store))
    for number in range(3):
        assert rung(service) == ("reduced", "store")
        assert send(service, f"while{number}") == 503
    assert file_of(store).read_bytes() == content
    away.replace(file_of(store))
    recovers(service)
    assert send(service, "after") == 200
    assert [event.id for event in Store(str(store.engine.url)).tail(0, 100_000)][-1] == "after"


def test_a_store_that_is_overwritten_is_one_line_and_the_ladder(service, store, caplog):
    for file in family(file_of(store)):
        with file.open("r+b") as opened:
            opened.write(b"\xa5" * file.stat().st_size)
    for _ in range(3):
        assert rung(service)[0] in ("full", "reduced")
        time.sleep(0.35)
    assert send(service, "a") == 503
    assert rung(service) == ("reduced", "store")
    assert "Traceback" not in caplog.text


def test_what_waits_for_the_store_is_recorded_though_nobody_asks_again(service, store, tmp_path):
    away = moved(family(file_of(store)), tmp_path / "away")
    for _ in range(3):
        assert rung(service) == ("reduced", "store")
    moved(away, file_of(store).parent)
    deadline = time.monotonic() + 5
    while len(store.predictions(10)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_service_that_stops_records_what_it_has_answered(service, store):
    asked = [Asked(service.serving.predictor.Row.model_validate(QUESTION))]
    service.serving.predictor.step_down(asked, "overload")
    service.shutdown()
    assert [one.reason for one in store.predictions(10)] == ["overload"]


def test_an_answer_that_nobody_got_is_not_recorded(service, store, monkeypatch):
    """Past its deadline a request is answered by a lower rung; what the thread comes to later was never told."""
    real, slow = service.serving.predictor._known, threading.Event()
    monkeypatch.setattr(service.serving.predictor, "_known", lambda rows: (slow.wait(1) and None) or real(rows))
    given = ask(service)
    assert (given[0]["rung"], given[0]["recorded"]) == ("reduced", False)
    monkeypatch.undo()
    slow.set()
    while given[-1]["rung"] != "full":
        given += ask(service)
        assert len(given) < 100
    given += ask(service)
    assert {one.prediction_id for one in store.predictions(200)} == {one["prediction_id"] for one in given}


def test_what_cannot_be_recorded_at_all_does_not_take_the_others_along(service, store, monkeypatch):
    recorder, kept = service.serving.predictor.recorder, store.record
    monkeypatch.setattr(recorder, "flush", lambda store: False)
    ask(service, rows=3)
    monkeypatch.undo()
    monkeypatch.setattr(Store, "record", lambda self, some: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        recorder.flush(service.serving.store)
    monkeypatch.undo()
    assert recorder.flush(service.serving.store)
    assert len(store.predictions(10)) == 3
    assert kept


def test_a_full_disk_costs_no_answer(service, store):
    engines = [service.serving.store.engine, service.serving.predictor.live.store.engine]
    pages = sqlite3.connect(file_of(store)).execute("PRAGMA page_count").fetchone()[0]
    full = lambda connection, _: connection.execute(f"PRAGMA max_page_count={pages}")  # noqa: E731
    for engine in engines:
        sa.event.listen(engine, "connect", full)
        engine.dispose()
    statuses = [send(service, f"{n:099}") for n in range(400)]
    assert statuses[-1] == 503
    assert statuses.count(200) == len([e for e in store.tail(0, 100_000) if len(e.id) == 99])
    answers = ask(service, rows=1000)
    assert {(one["rung"], one["recorded"]) for one in answers} == {("full", False)}
    for engine in engines:
        sa.event.remove(engine, "connect", full)
        engine.dispose()
    recovers(service)
    assert send(service, "a") == 200
    assert len(recorded(service)) > 1000


@pytest.mark.parametrize("content", [None, b"no store" * 1000])
def test_a_service_that_starts_without_its_store_answers_and_finds_it_later(serve, store, tmp_path, content):
    place = tmp_path / "later" / "store.db"
    if content:
        place.parent.mkdir()
        place.write_bytes(content)
    service = serve(f"sqlite:///{place}")
    features = json.dumps({"rows": [QUESTION]}).encode()
    assert asyncio.run(post(service, "/features", features))[0] == 503
    assert rung(service) == ("reduced", "store")
    assert send(service, "a") == 503
    place.unlink(missing_ok=True)
    moved(family(file_of(store)), place.parent)
    assert asyncio.run(post(service, "/features", features))[0] == 200
    recovers(service)
    assert send(service, "a") == 200
    assert [one.rung for one in recorded(service)].count("reduced") >= 1


def test_a_store_is_for_its_owner_alone(store):
    assert {file.stat().st_mode & 0o077 for file in family(file_of(store))} == {0}


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
    columns = predictor_module.columns_from_rows([one.row for one in rows], predictor.fields)
    values = FEATURES.compute(columns, predictor.bundle.references, names=FEATURES.plain)
    answers = predictor.step_down(rows, "overload")
    assert [a["probability"] for a in answers] == predictor.bundle.reduced.answer(values).tolist()


def test_requests_that_wait_together_are_answered_together(service, monkeypatch):
    sizes, real = [], service.serving.predictor.answer
    monkeypatch.setattr(
        service.serving.arms.champion.gatherer, "_answer", lambda rows: sizes.append(len(rows)) or real(rows)
    )

    async def many() -> list:
        rows = [service.serving.predictor.Row.model_validate(QUESTION)]
        return await asyncio.gather(*(service.predict(rows=rows) for _ in range(64)))

    answered = asyncio.run(many())
    assert len({a.predictions[0].prediction_id for a in answered}) == 64
    assert len(sizes) < 16
    assert sum(sizes) == 64


def test_one_wrong_request_spoils_no_other(service, monkeypatch):
    monkeypatch.setattr(service.serving.predictor, "refusal", lambda row: None)  # what it remembers changes meanwhile
    good = [service.serving.predictor.Row.model_validate(QUESTION)]
    bad = [service.serving.predictor.Row.model_validate(QUESTION | {"at": "2019-01-01T00:00:00Z"})]

    async def together() -> list:
        return await asyncio.gather(*(service.predict(rows=rows) for rows in (good, bad, good, bad, good)))

    answers = asyncio.run(together())
    assert [getattr(a, "status_code", 200) for a in answers] == [200, 400, 200, 400, 200]
    assert json.loads(answers[1].body)["error"].startswith("row 0: at: expected 2020-")


def rows_of(predictor: Predictor, questions: list[dict]) -> list:
    return [Asked(predictor.Row.model_validate(question)) for question in questions]


def _raises(*_):
    raise RuntimeError("out of order")


def _text(time_us: int) -> str:
    return f"{np.datetime64(time_us, 'us')}Z"


def test_a_record_that_was_written_though_nobody_heard_of_it_holds_nothing_up(service, monkeypatch):
    """The connection goes after the commit: the same records come again, and all others with them."""
    store, real = service.serving.predictor.live.store, Store.record

    def lost(predictions):
        real(store, predictions)
        raise predictor_module.StoreError("store: cannot be written: connection lost; try again")

    monkeypatch.setattr(store, "record", lost)
    assert not ask(service)[0]["recorded"]
    monkeypatch.undo()
    recovers(service)
    assert ask(service)[0]["recorded"]


def test_many_vectors_have_the_time_that_many_rows_take(service, monkeypatch):
    real = service.serving.predictor.describe
    monkeypatch.setattr(service.serving.predictor, "describe", lambda rows: time.sleep(DEADLINE_S * 1.5) or real(rows))
    row = service.serving.predictor.Row.model_validate(QUESTION)
    assert asyncio.run(service.features(rows=[row])).status_code == 503
    recovers(service)  # the thread is at the first question still
    assert len(asyncio.run(service.features(rows=[row] * 1000)).vectors) == 1000


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["full"], "reduced"),
        (["full", "reduced"], "prior"),
        (["full", "reduced", "prior"], "default"),
        (["references"], "prior"),
    ],
)
def test_a_model_whose_file_is_damaged_is_stepped_over(serve, bundle_folder, store, tmp_path, caplog, files, expected):
    folder = shutil.copytree(bundle_folder, tmp_path / "models")
    for name in files:
        (file,) = folder.glob(f"{name}.*")
        file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(BundleError, match="the file is not the one bundled"):
        load_bundle(folder)
    service = serve(str(store.engine.url), folder)
    found = ask(service)[0]
    assert (found["rung"], found["reason"], found["recorded"]) == (expected, "model", True)
    assert f"{files[0]}." in caplog.text


def test_a_bundle_whose_description_is_damaged_is_refused(bundle_folder, store, tmp_path):
    folder = shutil.copytree(bundle_folder, tmp_path / "models")
    text = (folder / "bundle.json").read_text()
    (folder / "bundle.json").write_text(text.replace('"default": 0.', '"default": 0.1'))
    with pytest.raises(BundleError, match=r"bundle\.json: the file is not the one bundled"):
        build_service(ServiceSettings(folder, str(store.engine.url), clock="event"))
