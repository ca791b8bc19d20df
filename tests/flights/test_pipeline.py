"""The whole path in a clone of its own, with few months and few trials: repro, edits, kills, serving, scoring."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from postgresql import PostgreSQL
from ringbound.notebooks.stage import declaration
from ringbound.workspace.paths import load_yaml
from workspace_clone import ROOT, Clone, Service

STAGES = ["code", "ingest", "validate", "features", "problem", "tune", "evaluate", "package"]


@pytest.fixture(scope="module")
def clone(built) -> Clone:
    return built


def test_every_stage_has_made_what_it_declares(clone):
    for stage in STAGES[1:]:
        missing = [path for path in declaration(clone.root, stage).outputs if not (clone.root / path).exists()]
        assert missing == [], stage
    assert {*STAGES} == set(load_yaml(clone.root / "dvc.lock")["stages"])


def test_nothing_runs_twice(clone):
    for left_behind in (
        "notebooks/.ipynb_checkpoints/tune.ipynb",
        "src/flights/__pycache__/tune.pyc",
        "notebooks/tune.py",
    ):
        (clone.root / left_behind).parent.mkdir(exist_ok=True)
        (clone.root / left_behind).write_text("left behind by a tool")
    assert clone.repro() == []
    assert "up to date" in clone.call("dvc", "status").stdout


def test_dvc_runs_stages_where_no_environment_is_active(clone):
    """As an IDE or cron calls it: by its path, with nothing of the environment on PATH."""
    (clone.root / ".venv").symlink_to(sys.prefix)
    try:
        bare = {"PATH": os.defpath, "HOME": os.environ["HOME"], "PYTHONPATH": str(clone.root / "src")}
        command = [".venv/bin/dvc", "repro", "-f", "-s", "code"]
        result = subprocess.run(command, cwd=clone.root, env=bare, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
    finally:
        (clone.root / ".venv").unlink()


def test_what_comes_out_is_there(clone):
    metrics = json.loads((clone.root / "data/reports/metrics.json").read_text())
    assert metrics["model"]["auc"]["value"] > 0.6  # ten days are two weeks, whose interval is wide
    assert metrics["model"]["auc"]["low"] < metrics["model"]["auc"]["value"] < metrics["model"]["auc"]["high"]
    assert "Measured on" in (clone.root / "data/reports/model_card.md").read_text()
    assert json.loads(clone.call("dvc", "metrics", "show", "--json").stdout)
    summary = clone.call("ringbound", "summary").stdout
    assert f"{metrics['model']['auc']['value']:.4f}" in summary


def test_plots_show_without_a_network(clone):
    clone.call("dvc", "plots", "show", "-o", "plots_page")
    page = (clone.root / "plots_page/index.html").read_text()
    assert "<img" in page
    assert "http" not in re.sub(r'"http://www.w3.org[^"]*"', "", page)
    shutil.rmtree(clone.root / "plots_page")


def test_nothing_that_was_known_after_through_is_in_the_tables(clone):
    import pandas as pd

    from ringbound.data.tables import read_table

    for table in ("departures", "arrivals", "weather"):
        assert read_table(clone.root / "data/raw", table)["available_at"].max() <= pd.Timestamp("2013-04-10T00:00Z")


def test_prose_reruns_no_costly_stage_and_code_reruns_its_own(clone):
    lock = clone.lock()
    clone.edit_cell("evaluate", "markdown", "A good average can", "Indeed, a good average can")
    assert clone.repro() == ["code"]
    clone.edit_cell("evaluate", "code", "least_rows=least_rows)\nsliced", "least_rows=least_rows + 1)\nsliced")
    assert clone.repro()[:2] == ["code", "evaluate"]
    clone.edit_cell("evaluate", "code", "least_rows=least_rows + 1)\nsliced", "least_rows=least_rows)\nsliced")
    clone.edit_cell("evaluate", "markdown", "Indeed, a good average can", "A good average can")
    clone.repro()
    assert clone.lock() == lock


def test_a_typo_in_params_is_one_line(clone):
    params = clone.root / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("bad_share", "bad_shaer"))
    result = clone.call("ringbound", "stage", "validate", check=False)
    params.write_text(before)
    assert result.returncode == 1
    assert "unknown ['bad_shaer']; missing ['bad_share']" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("stage", ["ingest", "tune"])
def test_kill_minus_nine_in_a_stage_then_the_next_run_gives_the_same_bytes(clone, stage):
    lock = clone.lock()
    process = subprocess.Popen(
        ["dvc", "repro", "--force", "--single-item", stage], cwd=clone.root, env=clone.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list((clone.root / "data/.staging").glob(f"{stage}.*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(4)
    assert process.poll() is None, "finished before it could be killed"
    # The kernel runs in a session of its own; a machine that dies takes it along.
    subprocess.run(["pkill", "-9", "-f", str(clone.root)], check=False)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert stage in clone.repro()
    assert clone.lock() == lock


def test_force_gives_the_same_bytes(clone):
    lock = clone.lock()
    assert sorted(clone.repro("--force")) == sorted(STAGES)
    assert clone.lock() == lock


@pytest.mark.parametrize("name", [stage for stage in STAGES if stage != "code"])
def test_run_all_works_on_defaults_and_touches_no_output(clone, name, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    for variable, value in clone.environment.items():
        monkeypatch.setenv(variable, value)
    tracked = digests(clone.root / "data")
    notebook = clone.root / f"notebooks/{name}.ipynb"
    nb = nbformat.read(notebook, as_version=4)
    for cell in nb.cells:  # the clone has too few months for two and two
        cell.source = cell.source.replace("valid_months = 3", "valid_months = 2").replace(
            "test_months = 2", "test_months = 1"
        )
    started = time.monotonic()
    NotebookClient(nb, kernel_name="python3", resources={"metadata": {"path": str(notebook.parent)}}).execute()
    print(f"{name}: {time.monotonic() - started:.0f} s")
    assert digests(clone.root / "data") == tracked


def digests(folder: Path) -> dict[str, str]:
    """Return a digest of every file that DVC tracks below a folder."""
    live = {"ops", "scratch", ".staging", "failed"}
    files = [f for f in folder.rglob("*") if f.is_file() and f.relative_to(folder).parts[0] not in live]
    return {f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


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
    assert answer["error"].startswith("at: expected 2013-04-0")
    status, answer = service.post("events", {"source": "departures", "events": [{"id": "a"}]})
    assert status == 400
    assert answer["error"].startswith("event 0: ")


def test_features_commands_hold_the_clone_to_its_promises(clone):
    assert re.search(r"the same bytes as data/features", clone.call("ringbound", "features", "compute").stdout)
    assert (
        "keep to the declared times of being known"
        in clone.call("ringbound", "features", "prove", "--rows", "300").stdout
    )
    said = clone.call(
        "ringbound", "features", "replay", "--month", "2013-03", "--late", "0.02", "--twice", "0.02"
    ).stdout
    assert re.search(r"28,\d+ requests, [\d,]+ values: 0 mismatches", said)


def test_a_month_replayed_is_the_training_table(clone):
    said = clone.call("ringbound", "features", "replay", "--month", "2013-03").stdout
    assert re.search(r"28,\d+ requests, [\d,]+ values: 0 mismatches", said)


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


def test_probes_metrics_and_documentation(service, recent):
    for path in ("/livez", "/readyz", "/metrics", "/"):
        assert urllib.request.urlopen(service.address + path).status == 200
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


def test_reports_render_in_a_browser_without_a_network(clone, tmp_path):
    if not shutil.which("chromium"):
        pytest.skip("no chromium")
    result = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path}",
         "--dump-dom", (clone.root / "data/reports/evaluate.html").as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "Evaluate: how good is it" in result.stdout
    assert "image/png;base64" in result.stdout
