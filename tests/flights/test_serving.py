"""The service of the flights, in a clone of its own: the same bits as in batch, nothing lost, its page and its proofs."""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from postgresql import PostgreSQL
from ringbound.features.history import PAST, deliveries
from ringbound.features.offline import EventTables
from ringbound.problem.training import read_requests
from ringbound.proofs.receipts import check_seals
from ringbound.store import Store
from services import Service
from workspace_clone import ROOT, Clone


@pytest.fixture(scope="module")
def clone(built) -> Clone:
    return built


@pytest.fixture(scope="module")
def service(clone):
    """The service at the time at which the clone's history ends, with that history in its store."""
    said = clone.call("ringbound", "features", "load").stdout
    assert "departures: " in said
    found = Service(clone, "--clock", "event", "--workers", "2")
    yield found
    found.stop()


@pytest.fixture(scope="module")
def recent(clone) -> list[dict]:
    """The questions of the last day of the clone's history."""
    import pandas as pd

    from ringbound.problem.training import read_requests

    rows = read_requests(clone.root / "data/features")
    rows = rows[rows["at"].between(pd.Timestamp("2013-04-09T01:00Z"), pd.Timestamp("2013-04-09T22:00Z"))]
    times = {name: rows[name].dt.strftime("%Y-%m-%dT%H:%M:%SZ") for name in ("sched_dep", "sched_arr", "at")}
    return json.loads(rows.assign(**times).to_json(orient="records"))


def test_online_and_batch_give_the_same_bits(clone, service, recent):
    status, online = service.post("predict", {"rows": recent})
    assert status == 200
    with (clone.root / "rows.jsonl").open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in recent)
    scored = {}
    for events in ("data/clean", f"sqlite:///{clone.root}/data/ops/store.db"):
        clone.call(
            "ringbound", "score", "--input", "rows.jsonl", "--output", "scored.jsonl", "--quiet", "--events", events
        )
        scored[events] = (clone.root / "scored.jsonl").read_text()
        again = clone.call(
            "ringbound", "receipts", "rescore", "scored.jsonl", "--input", "rows.jsonl", "--events", events
        )
        assert again.stdout.startswith(f"{len(recent):,} rows identical")
    assert len(set(scored.values())) == 1
    rows = [json.loads(line) for line in scored["data/clean"].splitlines()]
    for answer, row in zip(online["predictions"], rows, strict=True):
        assert answer["probability"] == row["probability"]
        assert answer["decision"] == row["decision"]
        assert answer["model_version"] == row["model_version"]
    assert len({answer["prediction_id"] for answer in online["predictions"]}) == len(recent) > 700


def test_predictions_pass_the_audit(clone, service, recent):
    service.post("predict", {"rows": recent[:100]})
    assert re.search(
        r"[1-9]\d* predictions by model \w+, [\d,]+ values: 0 mismatches",
        clone.call("ringbound", "features", "audit").stdout,
    )


def test_answers_are_made_again_from_their_records(clone, service, recent):
    service.post("predict", {"rows": recent[:100], "explain": True})
    assert re.search(
        r"^([1-9]\d\d) of \1 predictions identical",
        clone.call("ringbound", "receipts", "verify", "--sample", "500").stdout,
    )
    assert re.search(r"seals: 0 wrong", clone.call("ringbound", "receipts", "check").stdout)
    name = service.post("predict", {"rows": recent[:1]})[1]["predictions"][0]["prediction_id"]
    with urllib.request.urlopen(f"{service.address}/receipts/{name}") as answer:
        told = json.load(answer)
    assert json.loads(clone.call("ringbound", "receipts", "show", name).stdout) == told
    assert told["lineage"]["learnt"]["rows"] > 1000
    assert told["lineage"]["code"]
    outcome = {"prediction_id": name, "time": "2013-04-10T03:00:00Z", "outcome": True}
    assert service.post("outcomes", {"outcomes": [outcome]})[1]["accepted"] == 1
    said = clone.call("ringbound", "outcomes").stdout
    assert re.search(r"predictions +outcomes +mean probability +mean outcome +log_loss", said)
    assert re.search(rf"{told['lineage']['model']} +full +[1-9]\d+ +1 +0\.\d+ +1\.0 +\d\.\d+", said)
    status = clone.call("ringbound", "ops", "status").stdout
    assert re.search(rf"{told['lineage']['model']} +full +[1-9]\d+ +1 +\d+\.\d", status)
    assert "arrivals: 0.0 h behind the newest, stale after 12h" in status
    store = Store(f"sqlite:///{clone.root}/data/ops/store.db", archive=clone.root / "data/ops/archive")
    store.put_away(2**62)
    with urllib.request.urlopen(f"{service.address}/receipts/{name}") as answer:
        assert json.load(answer)["answer"] == told["answer"], "it is read from the archive"
    assert clone.call("ringbound", "outcomes").stdout == said
    assert re.search(r"seals: 0 wrong", clone.call("ringbound", "receipts", "check").stdout)
    assert re.match(
        r"0 predictions, .* moved to", clone.call("ringbound", "ops", "archive", "--older-than", "1min").stdout
    )


def test_vectors_are_the_training_tables(clone, service, recent):
    import pandas as pd

    rows = recent[::10]
    _, found = service.post("features", {"rows": rows})
    table = pd.read_parquet(clone.root / "data/features/table")
    asked = pd.read_parquet(clone.root / "data/features/requests")
    key = ["carrier", "flight", "origin", "sched_dep"]
    wanted = pd.DataFrame(rows).assign(sched_dep=pd.to_datetime([row["sched_dep"] for row in rows])).reset_index()
    places = asked[key].reset_index(names="place").merge(wanted[[*key, "index"]], on=key).sort_values("index")["place"]
    trained = table.loc[places, found["names"]].astype(object)
    trained = trained.where(trained.notna(), None).to_numpy().tolist()
    assert found["vectors"] == trained
    assert found["features"] == json.loads((clone.root / "data/features/features.json").read_text())["hash"]


def counted(service: Service, rung: str) -> float:
    """Return how many answers of a rung the service has counted, over all its workers."""
    told = urllib.request.urlopen(f"{service.address}/metrics").read().decode()
    return sum(map(float, re.findall(rf'ringbound_answers_total\{{[^}}]*rung="{rung}"[^}}]*\}} (\S+)', told)))


def test_a_second_service_leaves_the_first_its_counts(clone, service, recent):
    for _ in range(8):  # both workers have counted
        assert service.post("predict", {"rows": recent[:1]})[0] == 200
    before = counted(service, "full")
    other = Service(clone, "--clock", "event")
    try:
        assert counted(service, "full") == before >= 8
        assert counted(other, "full") == 0
        service.post("predict", {"rows": recent[:1]})
        assert counted(service, "full") == before + 1
    finally:
        other.stop()


def test_what_one_worker_acknowledged_another_knows_at_once(clone, service, recent):
    other = Service(clone, "--clock", "event")
    try:
        question = {**recent[-1], "carrier": "ZZ", "at": "2013-04-10T01:00:00Z"}
        fields = {name: question[name] for name in ("carrier", "flight", "tailnum", "origin", "dest")}
        place = service.post("features", {"rows": [question]})[1]["names"].index("carrier_delay_mean_3h")
        for number in range(1, 21):
            sent = fields | {"id": f"zz{number}", "time": "2013-04-10T00:30:00Z", "dep_delay": number}
            (one, two) = (service, other) if number % 2 else (other, service)
            status, done = one.post("events", {"source": "departures", "events": [sent]})
            assert (status, done["accepted"]) == (200, 1)
            told = [asked.post("features", {"rows": [question]})[1]["vectors"][0] for asked in (two, one, two, one)]
            assert [vector[place] for vector in told] == [sum(range(1, number + 1)) / number] * 4
            assert told == [told[0]] * 4
    finally:
        other.stop()


EXAMPLE = {"carrier": "UA", "flight": 1, "origin": "EWR", "dest": "IAH",
           "sched_dep": "2013-04-10T02:30:00Z", "sched_arr": "2013-04-10T05:30:00Z"}  # fmt: skip


def send_all(service_of, count: int, on_batch) -> None:
    """Send `count` events in batches, each until it is acknowledged, as a careful client does."""
    for start in range(0, count, 100):
        one = {"time": "2013-04-10T00:00:00Z", "dep_delay": 1} | {
            n: EXAMPLE[n] for n in ("carrier", "flight", "origin", "dest")
        }
        events = [one | {"id": f"{number:05}"} for number in range(start, start + 100)]
        on_batch(start)
        deadline = time.monotonic() + 60
        while True:
            try:
                status, _ = service_of().post("events", {"source": "departures", "events": events})
                if status == 200:
                    break
                assert status == 503
            except (urllib.error.URLError, ConnectionError, OSError, ValueError):
                pass
            assert time.monotonic() < deadline
            time.sleep(0.05)


def departures_now(service: Service) -> float:
    question = EXAMPLE | {"at": "2013-04-10T00:30:00Z"}
    _, found = service.post("features", {"rows": [question]})
    return found["vectors"][0][found["names"].index("origin_departures_1h")]


def test_a_worker_killed_amid_ten_thousand_events_loses_and_repeats_none(clone, tmp_path):
    options = ("--clock", "event", "--store", f"sqlite:///{tmp_path}/store.db")
    running = [Service(clone, *options)]

    def kill_and_start() -> None:
        running[-1].kill()
        running.append(Service(clone, *options, port=running[0].port))

    def kill_now_and_then(start):
        if start in (3000, 7000):  # while batches are on their way
            threading.Thread(target=kill_and_start).start()

    try:
        send_all(lambda: running[-1], 10_000, kill_now_and_then)
        assert len(running) == 3
        assert departures_now(running[-1]) == 10_000
    finally:
        running[-1].stop()


def ask_until(service: Service, question: dict, stop: threading.Event, answered: list[str], told: list[str]) -> None:
    """Ask and tell outcomes, over and over, and note what was acknowledged; whatever fails is asked again."""
    while not stop.is_set():
        try:
            status, answer = service.post("predict", {"rows": [question] * 3})
            if status == 200:
                ids = [one["prediction_id"] for one in answer["predictions"] if one["recorded"]]
                answered += ids
                outcomes = [{"prediction_id": name, "time": "2013-04-10T05:00:00Z", "outcome": False} for name in ids]
                if service.post("outcomes", {"outcomes": outcomes})[0] == 200:
                    told += ids
        except (urllib.error.URLError, ConnectionError, OSError, ValueError):
            time.sleep(0.05)


def nothing_is_lost(store: Store, answered: list[str], told: list[str]) -> None:
    """See what was acknowledged in the store, once, and its records as they were sealed."""
    kept = {one.prediction_id: one.outcome for one in store.judged()}
    assert len(answered) == len({*answered})
    assert set(answered) <= set(kept)
    assert set(told) <= {name for name, outcome in kept.items() if outcome == 0}
    outcomes = store.outcomes(0, 100_000)
    assert len(outcomes) == len({one.prediction_id for one in outcomes})
    assert check_seals(store).wrong == []


def reached(holds, within_s: float = 60) -> None:
    ends = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends, "it takes too long"
        time.sleep(0.05)


def test_of_two_replicas_one_may_be_killed_and_the_store_be_away(clone, tmp_path):
    server = PostgreSQL(tmp_path)
    store, stop = server.database(), threading.Event()
    replicas = [Service(clone, "--clock", "event", "--store", store) for _ in range(2)]
    answered, told = ([], []), ([], [])
    try:
        event = {name: EXAMPLE[name] for name in ("carrier", "flight", "origin", "dest")}
        event |= {"id": "e1", "time": "2013-04-10T00:00:00Z", "dep_delay": 7}
        assert replicas[0].post("events", {"source": "departures", "events": [event]})[1]["accepted"] == 1
        vectors = [replica.post("features", {"rows": [EXAMPLE]})[1]["vectors"] for replica in replicas]
        assert vectors[0] == vectors[1]  # what one acknowledged, the other knows
        asking = [
            threading.Thread(target=ask_until, args=(replicas[i], EXAMPLE, stop, answered[i], told[i]), daemon=True)
            for i in (0, 1, 0, 1)
        ]
        for thread in asking:
            thread.start()
        reached(lambda: min(map(len, told)) > 100)
        replicas[0].kill()
        gone, others = len(told[0]), len(told[1])
        reached(lambda: len(told[1]) > others + 100)
        replicas.append(Service(clone, "--clock", "event", "--store", store, port=replicas[0].port))
        reached(lambda: len(told[0]) > gone + 100)
        stop.set()
        for thread in asking:
            thread.join(30)
        nothing_is_lost(Store(store), answered[0] + answered[1], told[0] + told[1])
        server.kill()
        waiting = []
        for replica in replicas[1:]:
            status, answer = replica.post("predict", {"rows": [EXAMPLE]})
            (one,) = answer["predictions"]
            assert (status, one["reason"], one["recorded"]) == (200, "store", False)
            waiting.append(one["prediction_id"])
        server.start()
        for replica in replicas[1:]:
            reached(lambda one=replica: one.post("predict", {"rows": [EXAMPLE]})[1]["predictions"][0]["recorded"])
        assert {*Store(store).find(waiting)} == {*waiting}
        for replica in replicas[1:]:
            replica.stop()
    finally:
        stop.set()
        for replica in replicas[1:]:
            replica.kill()
        server.stop()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_answer_and_no_outcome_that_was_acknowledged_is_lost_with_a_worker(clone, tmp_path, kind):
    server = PostgreSQL(tmp_path) if kind == "postgresql" else None
    store = server.database() if server else f"sqlite:///{tmp_path}/store.db"
    answered, told, stop = [], [], threading.Event()
    service = Service(clone, "--clock", "event", "--store", store)
    try:
        asking = [
            threading.Thread(target=ask_until, args=(service, EXAMPLE, stop, answered, told), daemon=True)
            for _ in range(4)
        ]
        for thread in asking:
            thread.start()
        for _ in range(3):
            before = len(told)
            deadline = time.monotonic() + 60
            while len(told) < before + 60:
                assert time.monotonic() < deadline, "the worker is not replaced"
                time.sleep(0.02)
            service.kill_worker()
        time.sleep(0.5)
        service.stop()  # amid questions: what it has taken it answers
        stop.set()
        for thread in asking:
            thread.join(30)
        nothing_is_lost(Store(store), answered, told)
    finally:
        stop.set()
        service.kill()
        if server:
            server.stop()


def test_postgresql_killed_amid_ten_thousand_events_loses_and_repeats_none(clone, tmp_path):
    server = PostgreSQL(tmp_path)
    try:
        service = Service(clone, "--clock", "event", "--store", server.database())

        def kill_once(start):
            if start == 5000:
                server.kill()
                status, answer = service.post("features", {"rows": [EXAMPLE]})
                assert (status, answer["error"].partition(":")[0]) == (503, "store")
                threading.Timer(0.5, server.start).start()

        try:
            send_all(lambda: service, 10_000, kill_once)
            assert departures_now(service) == 10_000
        finally:
            service.stop()
    finally:
        server.stop()


def test_questions_that_cannot_be_answered_rightly_are_refused_in_one_line(service, recent):
    status, answer = service.post("predict", {"rows": [recent[0] | {"at": "2013-03-01T00:00:00Z"}]})
    assert status == 400
    assert answer["error"].startswith("row 0: at: expected 2013-04-0")
    status, answer = service.post("events", {"source": "departures", "events": [{"id": "a"}]})
    assert status == 400
    assert answer["error"].startswith("event 0: ")


def test_a_bento_serves_with_what_it_asks_for_and_nothing_else(clone, tmp_path):
    with tarfile.open(clone.root / "data/bento/model.bento") as packed:
        packed.extractall(tmp_path)
    environment = {name: value for name, value in clone.environment.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, Path(__file__).parent / "alone.py", tmp_path], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert [0 < one["probability"] < 1 for one in json.loads(done.stdout)] == [True, True]


def test_bentoml_imports_the_bento(clone, tmp_path):
    environment = clone.environment | {"BENTOML_HOME": str(tmp_path)}
    archive = str(clone.root / "data/bento/model.bento")
    subprocess.run(
        [sys.executable, "-m", "bentoml", "import", archive], env=environment, check=True, capture_output=True
    )
    assert [file.name for file in tmp_path.glob("bentos/*/*/bento.yaml")] == ["bento.yaml"]


def test_readmes_curl_answers(clone, service):
    """The command as README shows it, sent to this service."""
    block = re.search(r"```sh\n(curl .*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    assert block, "README shows no curl"
    command = block.group(1).replace("http://127.0.0.1:3000", service.address)
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    (answer,) = json.loads(result.stdout)["predictions"]
    assert 0 < answer["probability"] < 1


def test_the_examples_of_the_page_are_answered(service):
    """Whoever opens the page and presses *Execute* gets answers."""
    with urllib.request.urlopen(f"{service.address}/docs.json") as answer:
        described = json.load(answer)

    def examples_in(node):
        if isinstance(node, dict):
            if "rows" in node.get("properties", {}):
                yield from node["properties"]["rows"].get("examples", [])
            for part in node.values():
                yield from examples_in(part)
        elif isinstance(node, list):
            for part in node:
                yield from examples_in(part)

    found = list(examples_in(described))
    assert found, "the page has no examples"
    for rows in found:
        status, answer = service.post("predict", {"rows": rows})
        assert status == 200, answer
        assert len(answer["predictions"]) == len(rows) > 1


def test_requests_that_do_not_fit_are_refused_with_the_place(service, recent):
    status, answer = service.post("predict", {"rows": [recent[0], recent[1] | {"dest": "Houston"}]})
    assert status == 400
    assert answer["error"].startswith("row 1: dest: ")
    for rows in ([], recent[:1] * 1001):
        assert service.post("predict", {"rows": rows})[0] == 400


def test_with_keys_each_may_ask_what_its_key_is_for_over_https(clone, recent, tmp_path):
    store = f"sqlite:///{tmp_path}/store.db"
    refused = clone.call("ringbound", "serve", "--host", "0.0.0.0", "--store", store, check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "expected keys before it listens on 0.0.0.0" in refused.stderr
    token = clone.call("ringbound", "keys", "add", "shop", "--role", "predict", "--store", store).stdout.strip()
    listed = clone.call("ringbound", "keys", "list", "--store", store).stdout
    assert "shop" in listed
    assert token not in listed
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    options = [
        "--host",
        "0.0.0.0",
        "--store",
        store,
        "--tls-cert",
        str(cert),
        "--tls-key",
        str(key),
        "--clock",
        "event",
    ]
    service = Service(clone, *options, scheme="https", token=token)
    try:
        status, answer = service.post("predict", {"rows": [without_time(recent[0])]})
        assert (status, len(answer["predictions"])) == (200, 1)
        assert service.post("outcomes", {"outcomes": []})[0] == 403
        desk = clone.call("ringbound", "keys", "add", "desk", "--role", "ingest", "--store", store).stdout.strip()
        time.sleep(1)
        name = answer["predictions"][0]["prediction_id"]
        told = {"prediction_id": name, "time": "2014-01-02T00:00:00Z", "outcome": True}
        service.token = desk
        assert service.post("outcomes", {"outcomes": [told]})[1]["accepted"] == 1
        assert [one.told_by for one in Store(store).outcomes_of(name)] == ["desk"]
        service.token = token
        clone.call("ringbound", "keys", "revoke", "shop", "--store", store)
        time.sleep(1)
        assert service.post("predict", {"rows": recent[:1]})[0] == 401
    finally:
        service.stop()


def without_time(row: dict) -> dict:
    return {name: value for name, value in row.items() if name != "at"}


def test_probes_metrics_and_documentation(service, recent):
    for path in ("/livez", "/readyz", "/metrics", "/"):
        assert urllib.request.urlopen(service.address + path).status == 200
    assert "default-src 'self'" in urllib.request.urlopen(service.address).headers["content-security-policy"]
    with urllib.request.urlopen(f"{service.address}/docs.json") as answer:
        described = json.dumps(json.load(answer))
    assert "2013-11-27T17:15:00-05:00" in described
    status, _ = service.post("predict", {"rows": recent[:1]})
    assert status == 200
    assert counted(service, "full") >= 1
    assert "IATA code of the airline" in described


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium")
def test_documentation_page_renders_in_a_browser(service, tmp_path):
    result = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path}",
         "--virtual-time-budget=5000", "--dump-dom", service.address + "/"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "/predict" in result.stdout
    assert "Service APIs" in result.stdout


def test_a_week_is_served_and_what_went_wrong_is_seen_and_acknowledged(clone, tmp_path):
    """One turn: days pass, questions and outcomes come, an alert is opened, the page shows it, somebody looks into it."""
    store = f"sqlite:///{tmp_path}/loop.db"
    log = Store(store)
    days = pd.date_range("2013-04-01", periods=8, tz="UTC")
    pass_time(clone, log, days[0] - pd.Timedelta(days=40), days[0])
    service = Service(clone, "--clock", "event", "--store", store)
    try:
        questions, late = questions_of(clone, days[0], days[-1])
        outcomes = []
        for day, following in pairwise(days):
            pass_time(clone, log, day, following)
            today = [place for place, row in enumerate(questions) if day <= pd.Timestamp(row["at"]) < following]
            status, answer = service.post("predict", {"rows": [questions[place] for place in today]})
            assert status == 200, answer
            for given, place in zip(answer["predictions"], today, strict=True):
                known = (pd.Timestamp(questions[place]["at"]) + pd.Timedelta("9h")).isoformat()
                upside_down = {"prediction_id": given["prediction_id"], "time": known, "outcome": not late[place]}
                outcomes.append(upside_down)
        through = ["--through", "2013-04-10T00:00:00Z", "--window", "14d", "--store", store]
        derived = clone.call("ringbound", "outcomes", "derive", *through).stdout
        assert f" of {len(questions):,} questions" in derived, derived
        came = {one.prediction_id: bool(one.outcome) for one in log.judged() if one.outcome is not None}
        assert len(came) > 0.9 * len(questions)  # the last have not arrived by the end of what is logged
        table = {one["prediction_id"]: not one["outcome"] for one in outcomes}
        assert came == {name: table[name] for name in came}
        for start in range(0, len(outcomes), 1000):
            status, told = service.post("outcomes", {"outcomes": outcomes[start : start + 1000]})
            assert status == 200, told
        assert "nothing is known yet" in urllib.request.urlopen(f"{service.address}/monitor").read().decode()
        command = ["ringbound", "monitor", *through]
        done = clone.call(*command, "--out", str(tmp_path / "out"), check=False)
        assert done.returncode == 3, done.stdout + done.stderr
        assert re.search(r"critical +performance +open", done.stdout), done.stdout
        assert re.search(r"critical +feedback/anonymous +open", done.stdout), "arrivals say otherwise"
        assert json.loads((tmp_path / "out/report.json").read_text())["rows"] == len(questions)
        page = urllib.request.urlopen(f"{service.address}/monitor").read().decode()
        assert "answers lose more than promised" in page
        example = re.search(r'href="(/receipts/\w+)"', page)
        assert example
        receipt = json.load(urllib.request.urlopen(service.address + example[1]))
        assert receipt["prediction_id"] == example[1].rpartition("/")[2]
        assert clone.call("ringbound", "alerts", "--store", store, check=False).returncode == 3
        for name in re.findall(r"^\w+ +(\S+)  open", done.stdout, re.MULTILINE):
            why = ["--reason", "outcomes are sent upside down"]
            clone.call("ringbound", "alerts", "acknowledge", name, *why, "--store", store)
        assert clone.call("ringbound", "alerts", "--store", store).returncode == 0
        assert "outcomes are sent upside down" in urllib.request.urlopen(f"{service.address}/monitor").read().decode()
        again = clone.call(*command, "--out", str(tmp_path / "out"), check=False)
        assert again.returncode == 0, again.stdout  # nothing new
    finally:
        service.stop()


def pass_time(clone: Clone, log: Store, since: pd.Timestamp, until: pd.Timestamp) -> None:
    """Put into a log what became known from one time to another."""
    from flights.features import FEATURES

    tables = EventTables(clone.root / "data/clean", FEATURES.sources)
    for name in FEATURES.sources:
        events = deliveries(tables, name, since.value // 1000, until.value // 1000).events
        for start in range(0, len(events), 10_000):
            log.append(name, events[start : start + 10_000], PAST)


def questions_of(clone: Clone, since: pd.Timestamp, until: pd.Timestamp) -> tuple[list[dict], list[bool]]:
    """Return every other question of some days that has an outcome, as it is sent, and whether the flight was late."""
    rows = read_requests(clone.root / "data/features")
    files = sorted((clone.root / "data/features/table").glob("*.parquet"))
    late = pd.concat([pd.read_parquet(file, columns=["late"]) for file in files], ignore_index=True)["late"]
    chosen = rows[(rows["at"] >= since) & (rows["at"] < until) & late.notna()].sort_values("at").iloc[::2]
    times = {name: chosen[name].dt.strftime("%Y-%m-%dT%H:%M:%SZ") for name in ("sched_dep", "sched_arr", "at")}
    return json.loads(chosen.assign(**times).to_json(orient="records")), late[chosen.index].astype(bool).tolist()
