"""The service itself, made and called without a process; and the page it describes itself on."""

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from starlette.responses import JSONResponse

from ringbound.errors import WorkspaceError
from ringbound.serving.body import OverloadError
from ringbound.serving.hot_path import HotPath
from ringbound.serving.routes import MOST_TAKING
from ringbound.serving.service import build_service
from ringbound.serving.settings import ServiceSettings
from ringbound.testing.parcels import PROBLEM


@pytest.fixture
def settings(bundle_folder, log) -> ServiceSettings:
    return ServiceSettings(bundle=bundle_folder, store=str(log.engine.url), clock="event", deadline_ms=20_000)


@pytest.fixture
def service(settings):
    return build_service(settings).inner()


def call(service, name: str, **given):
    """Call an endpoint as BentoML does."""
    answered = getattr(service, name)(**given)
    return asyncio.run(answered) if asyncio.iscoroutine(answered) else answered


def rows_of(service, rows: list[dict]) -> list:
    return [service.serving.predictor.Row.model_validate(row) for row in rows]


def test_the_examples_of_the_page_are_answered(settings, service):
    described = json.dumps(build_service(settings).openapi_spec.asdict(), default=str)
    for example in PROBLEM.examples:
        assert json.dumps(example["promised"]) in described
    answers = call(service, "predict", rows=rows_of(service, [dict(example) for example in PROBLEM.examples]))
    assert len(answers.predictions) == len(PROBLEM.examples)
    assert all(0 < answer.probability < 1 for answer in answers.predictions)


def test_a_question_that_cannot_be_answered_is_400_in_one_line(service):
    (row,) = rows_of(service, [dict(PROBLEM.examples[0], at="2019-01-01T00:00:00Z")])
    answered = call(service, "predict", rows=[row])
    assert isinstance(answered, JSONResponse)
    assert answered.status_code == 400
    assert json.loads(answered.body)["error"].startswith("row 0: at: expected 2020-")


def test_events_that_come_in_are_in_the_next_answer(settings, tmp_path):
    service = build_service(replace(settings, store=f"sqlite:///{tmp_path}/store.db")).inner()
    event = {"id": "a", "time": "2020-03-29T21:00:00Z", "depot": "north", "courier": "c07", "route": 1, "late_min": 30}
    taken = call(service, "events", source="arrivals", events=[event])
    assert (taken.accepted, taken.duplicates) == (1, 0)
    described = call(service, "features", rows=rows_of(service, [dict(PROBLEM.examples[0])]))
    assert described.vectors[0][described.names.index("depot_late_mean_3h")] == 30


def test_settings_are_what_the_environment_says(tmp_path):
    given = ServiceSettings(
        tmp_path / "bundle", "sqlite:///x.db", clock="event", workers=3, snapshot=tmp_path / "s.npz"
    )
    assert ServiceSettings.from_environment(tmp_path, given.to_environment()) == given
    plain = ServiceSettings.from_environment(tmp_path, {})
    assert plain == ServiceSettings(tmp_path / "bundle", f"sqlite:///{tmp_path}/store.db", open=False), "nobody said so"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CLOCK", "sun", "expected one of wall, event"),
        ("WORKERS", "0", "at least 1"),
        ("WORKERS", "two", "a whole number"),
    ],
)
def test_settings_that_are_none_are_refused(name, value, says):
    with pytest.raises(WorkspaceError, match=f"RINGBOUND_{name}: .*{says}"):
        ServiceSettings.from_environment(Path(), {f"RINGBOUND_{name}": value})


def post(
    settings, body: bytes, content_type: str = "application/json", path: str = "/predict", method: str = "POST"
) -> tuple[int, dict]:
    """Send a request to the hot path, as a server does; what it leaves alone is 418."""
    made = build_service(settings).inner()
    messages: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict) -> None:
        messages.append(message)

    headers = [(b"content-type", content_type.encode())]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    asyncio.run(HotPath(_no_app, service=lambda: made.serving)(scope, receive, send))
    return messages[0]["status"], json.loads(messages[1]["body"])


async def _no_app(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


def test_the_hot_path_answers_what_the_page_says(settings, service):
    rows = [dict(example) for example in PROBLEM.examples]
    status, answered = post(settings, json.dumps({"rows": rows}).encode())
    assert status == 200
    described = call(service, "predict", rows=rows_of(service, rows)).model_dump()["predictions"]
    plain = lambda answers: [{k: v for k, v in a.items() if k != "prediction_id"} for a in answers]  # noqa: E731
    assert plain(answered["predictions"]) == plain(described)


ROW = json.dumps(dict(PROBLEM.examples[0]))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "expected JSON like"),
        (b"{", "expected JSON like"),
        (b"\xff", "expected JSON like"),
        (b"[" * 100_000, "expected JSON like"),
        (b"[1]", "got no object"),
        (b'{"rows": 7}', "rows is not a list"),
        (b'{"rows": []}', "rows: expected 1 to 1000; got 0"),
        (f'{{"rows": [{",".join(["1"] * 1001)}]}}'.encode(), "rows: expected 1 to 1000; got 1001"),
        (b'{"rows": [7]}', "row 0"),
        (f'{{"rows": [{ROW}], "partial": 1}}'.encode(), "partial is not true or false"),
        (f'{{"rows": [{ROW}], "part": true}}'.encode(), "got ['part'] too"),
        (f'{{"rows": [{ROW}], "priority": "high"}}'.encode(), "priority: expected one of normal, low; got 'high'"),
        (f'{{"rows": [{ROW.replace("12", "NaN")}]}}'.encode(), "expected JSON like"),
        (f'{{"rows": [{ROW.replace("12", "9" * 5000)}]}}'.encode(), "row 0: route: expected a finite number"),
        (f'{{"rows": [{ROW.replace("north", chr(92) + "ud800")}]}}'.encode(), "row 0: depot"),
        (f'{{"rows": [{ROW}, {ROW.replace("north", "North")}]}}'.encode(), "row 1: depot"),
    ],
)
def test_a_request_that_does_not_fit_is_400_and_says_where(settings, body, says):
    status, answered = post(settings, body)
    assert (status, list(answered)) == (400, ["error"])
    assert says in answered["error"]
    assert "\n" not in answered["error"]


@pytest.mark.parametrize(
    "kind", ["application/vnd.bentoml+pickle", "multipart/form-data; boundary=x", "application/jsonl", ""]
)
def test_what_is_no_json_is_415(settings, kind):
    status, answered = post(settings, f'{{"rows": [{ROW}]}}'.encode(), kind)
    assert (status, answered["error"][:40]) == (415, "expected Content-Type: application/json;")


def test_a_media_type_may_be_written_as_it_is(settings):
    assert post(settings, f'{{"rows": [{ROW}]}}'.encode(), "Application/JSON; charset=utf-8")[0] == 200


def test_a_request_of_five_megabytes_is_413(settings):
    assert post(settings, b" " * (5 << 20))[0] == 413


@pytest.mark.parametrize("partial", [False, True])
def test_surplus_fields_are_counted_not_named_one_by_one(settings, partial):
    row = {f"x{number}": number for number in range(200_000)}
    status, answered = post(settings, json.dumps({"rows": [row], "partial": partial}).encode())
    says = answered["predictions"][0]["error"] if partial else answered["error"]
    assert (status, says[:16]) == (200 if partial else 400, "row 0: expected ")
    assert "got 200000" in says


def test_a_service_ends_with_the_one_that_watches_over_it(tmp_path):
    child = (
        "import time; from ringbound.serving.service import end_with_parent; end_with_parent(); "
        "print('ready', flush=True); time.sleep(60)"
    )
    code = (
        "import subprocess, sys\n"
        f"started = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE, text=True)\n"
        "assert started.stdout.readline() == 'ready\\n'\n"
        "print(started.pid, flush=True)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    left = Path(f"/proc/{int(parent.stdout.readline())}/status")
    assert parent.wait(30) == 0
    deadline = time.monotonic() + 10
    while left.exists() and "zombie" not in left.read_text():
        assert time.monotonic() < deadline, "it goes on without its parent"
        time.sleep(0.1)


def test_a_row_that_does_not_fit_spoils_no_other_where_that_is_asked_for(settings):
    rows = [json.loads(ROW), json.loads(ROW) | {"depot": "North"}, 7, json.loads(ROW) | {"at": "2019-01-01T00:00:00Z"}]
    status, answered = post(settings, json.dumps({"rows": rows, "partial": True}).encode())
    assert status == 200
    good, *bad = answered["predictions"]
    assert good["rung"] == "full"
    assert [list(row) for row in bad] == [["error"]] * 3
    assert [row["error"][:13] for row in bad] == ["row 1: depot:", "row 2: Input ", "row 3: at: ex"]
    status, answered = post(settings, json.dumps({"rows": rows[1:], "partial": True}).encode())
    assert (status, [list(row) for row in answered["predictions"]]) == (200, [["error"]] * 3)


def test_an_answer_says_what_counted_most(settings, service):
    rows = [dict(example) for example in PROBLEM.examples]
    status, answered = post(settings, json.dumps({"rows": rows, "explain": True}).encode())
    assert status == 200
    for answer in answered["predictions"]:
        told = answer["explanation"]
        sizes = [abs(effect["effect"]) for effect in told["effects"]]
        assert sizes == sorted(sizes, reverse=True)
        assert 1 <= len(sizes) <= 5
        total = told["base"] + told["others"] + sum(effect["effect"] for effect in told["effects"])
        assert total == pytest.approx(told["margin"], abs=1e-9)
        assert {effect["says"] for effect in told["effects"]} == {PROBLEM.word(e["feature"]) for e in told["effects"]}
        assert all((effect["effect"] > 0) == (effect["direction"] == "raises") for effect in told["effects"])
    described = call(service, "predict", rows=rows_of(service, rows), explain=True).predictions
    assert [a.explanation.model_dump() for a in described] == [a["explanation"] for a in answered["predictions"]]


def test_few_rows_are_explained_at_once(settings):
    status, answered = post(settings, json.dumps({"rows": [json.loads(ROW)] * 101, "explain": True}).encode())
    assert (status, answered["error"][:42]) == (400, "explain: expected at most 100 rows; got 10")


def test_more_batches_than_can_be_taken_at_once_are_told_to_come_back(settings, tmp_path, monkeypatch):
    service = build_service(replace(settings, store=f"sqlite:///{tmp_path}/store.db")).inner()
    hang = threading.Event()
    monkeypatch.setattr(service.serving.intake, "take", lambda source, events: hang.wait(5) and {})

    async def run() -> tuple[list, dict]:
        body = b'{"source": "arrivals", "events": []}'
        crowd = [asyncio.create_task(service.serving.routes["/events"](body)) for _ in range(MOST_TAKING + 5)]
        done, _ = await asyncio.wait(crowd, timeout=0.5)
        hang.set()
        await asyncio.gather(*crowd, return_exceptions=True)
        await asyncio.sleep(0.1)
        return [type(one.exception()) for one in done], await service.serving.routes["/events"](body)

    assert asyncio.run(run()) == ([OverloadError] * 5, {})


def test_outcomes_come_in_and_stand_beside_their_predictions(settings, tmp_path):
    settings = replace(settings, store=f"sqlite:///{tmp_path}/store.db")
    service = build_service(settings).inner()
    rows = rows_of(service, [dict(example) for example in PROBLEM.examples])
    ids = [answer.prediction_id for answer in call(service, "predict", rows=rows).predictions]
    told = [{"prediction_id": name, "time": "2020-04-01T10:00:00Z", "outcome": bool(n)} for n, name in enumerate(ids)]
    status, answered = post(settings, json.dumps({"outcomes": told}).encode(), path="/outcomes")
    assert (status, answered) == (
        200,
        {"accepted": 2, "duplicates": 0, "corrections": 0, "superseded": 0, "unknown": 0},
    )
    judged = {one.prediction_id: one.outcome for one in service.serving.store.judged()}
    assert judged == dict(zip(ids, [0.0, 1.0], strict=True))
    status, answered = post(settings, b'{"outcomes": [{}]}', path="/outcomes")
    assert (status, answered["error"][:10]) == (400, "outcome 0:")


def test_a_receipt_is_had_by_its_id(settings, tmp_path):
    settings = replace(settings, store=f"sqlite:///{tmp_path}/store.db", code="v7")
    service = build_service(settings).inner()
    (answer,) = call(service, "predict", rows=rows_of(service, [dict(PROBLEM.examples[0])])).predictions
    name = answer.prediction_id
    status, told = post(settings, b"", path=f"/receipts/{name}", method="GET")
    assert (status, told["answer"], told["lineage"]["code"]) == (200, answer.probability, "v7")
    assert 0 < told["took_ms"] < 10_000
    assert told["seal"]["holds"]
    assert post(settings, json.dumps({"prediction_id": name}).encode(), path="/receipts") == (200, told)
    assert call(service, "receipts", prediction_id=name) == told
    status, told = post(settings, b"", path="/receipts/none", method="GET")
    assert (status, told["error"]) == (
        404,
        "prediction_id: expected that of a prediction in the store; there is none 'none'",
    )
    assert post(settings, b"", path="/receipts", method="GET")[0] == 418


def test_the_page_says_what_events_and_outcomes_have(settings):
    described = json.dumps(build_service(settings).openapi_spec.asdict(), default=str)
    for source in PROBLEM.features.sources.values():
        for field in source.fields:
            assert field.description in described
    assert PROBLEM.task.says_outcome in described


def test_a_failure_is_an_id_for_who_asks_and_a_trace_for_who_operates(settings, service, monkeypatch, caplog):
    monkeypatch.setattr(type(service.serving), "predict", lambda *_, **__: 1 / 0)
    status, answered = post(settings, f'{{"rows": [{ROW}]}}'.encode())
    name = re.fullmatch(r"this service has failed; error (\w{32}) says why to who operates it", answered["error"])[1]
    assert status == 500
    assert name in caplog.text
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("source", ["arrivals", "pickups"])
def test_the_page_has_an_example_of_each_sources_events_that_is_taken(bundle_folder, tmp_path, source):
    settings = ServiceSettings(bundle_folder, f"sqlite:///{tmp_path}/store.db")
    described = build_service(settings).openapi_spec.asdict()["paths"]["/events"]["post"]["requestBody"]
    shown = described["content"]["application/json"]
    assert [one["title"] for one in shown["schema"]["oneOf"]] == ["arrivals", "pickups"]
    batch = shown["examples"][source]["value"]
    assert batch["source"] == source
    assert post(settings, json.dumps(batch).encode(), path="/events")[0] == 200


class Collector:
    """A collector of OpenTelemetry: what was sent to it, as JSON."""

    def __init__(self):
        spans: list[dict] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/v1/traces"
                for one in body["resourceSpans"]:
                    spans.extend(one["scopeSpans"][0]["spans"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.spans = spans
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def test_each_request_is_a_span_of_the_trace_it_came_with(settings):
    collector = Collector()
    made = build_service(replace(settings, traces=collector.address)).inner()
    body = json.dumps({"rows": [dict(PROBLEM.examples[0])]}).encode()
    parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    first = [(b"content-type", b"application/json"), (b"traceparent", parent), (b"x-request-id", b"r-1")]
    assert asyncio.run(through(made, "/predict", body, first))[0] == 200
    assert asyncio.run(through(made, "/predict", b"{", first[:1]))[0] == 400
    made.shutdown()
    collector.server.shutdown()
    good, bad = collector.spans
    assert (good["traceId"], good["parentSpanId"]) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert (good["name"], good["kind"]) == ("POST /predict", 2)
    told = {one["key"]: one["value"] for one in good["attributes"]}
    assert told["request.id"] == {"stringValue": "r-1"}
    assert told["http.response.status_code"] == {"intValue": "200"}
    assert 0 < int(good["endTimeUnixNano"]) - int(good["startTimeUnixNano"]) < 20e9
    assert "parentSpanId" not in bad


def test_a_collector_that_is_away_costs_no_answer(settings):
    made = build_service(replace(settings, traces="http://127.0.0.1:1")).inner()
    body = json.dumps({"rows": [dict(PROBLEM.examples[0])]}).encode()
    assert asyncio.run(through(made, "/predict", body, [(b"content-type", b"application/json")]))[0] == 200
    made.shutdown()


async def through(made, path: str, body: bytes, headers: list) -> tuple[int, bytes]:
    """Ask the hot path of a service."""
    sent: list[dict] = []

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    await HotPath(None, lambda: made.serving)(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]
