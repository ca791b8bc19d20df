"""From a model to the one that serves: gate, register, promote, report, roll back; through remotes, from fresh clones."""

import json
import re
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from ringbound.release.report import LONGEST
from services import Service
from workspace_clone import Clone


def commit(clone: Clone, message: str) -> None:
    clone.call("git", "add", "-A")
    clone.call("git", "commit", "-q", "-m", message)


def fresh(clone: Clone, folder: Path) -> Clone:
    """Return a fresh git clone: no cache, no outputs."""
    made = object.__new__(Clone)
    made.root = folder / "fresh"
    made.environment = clone.environment | {"PYTHONPATH": str(made.root / "src")}
    clone.call("git", "clone", "-q", str(clone.root), str(made.root))
    return made


def bundle_bytes(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def clone(built, tmp_path_factory) -> Clone:
    """Two versions, both promoted, the second by force; outputs of both in a local remote."""
    found = built
    for name, value in (("user.name", "Ann"), ("user.email", "ann@example.org")):
        found.call("git", "config", name, value)
    found.call("dvc", "remote", "add", "-q", "-d", "storage", str(tmp_path_factory.mktemp("remote")))
    params = found.root / "params.yaml"
    params.write_text(params.read_text().replace("proven_rows: 500", "proven_rows: 50"))
    found.repro()
    found.gated = found.call("ringbound", "gate").stdout
    commit(found, "first")
    found.call("ringbound", "registry", "register", "--note", "the first")
    found.call("ringbound", "registry", "promote", "v1", "prod", "--force", "--reason", "the first of all")
    found.first = bundle_bytes(found.root / "data/models")
    found.call("dvc", "push", "-q")
    params.write_text(params.read_text().replace("seed: 20130101", "seed: 5"))
    found.edit_cell("problem", "code", "miss=3.0", "miss=2.0")
    found.edit_cell("problem", "code", "TASK.threshold == 0.25", "TASK.threshold == 1 / 3")
    found.repro("evaluate", "package")
    found.second_gate = found.call("ringbound", "gate").stdout
    commit(found, "second")
    found.call("ringbound", "registry", "register")
    found.call("dvc", "push", "-q")
    return found


def test_the_first_model_is_gated_against_its_prior(clone):
    assert "leakage: " in clone.gated
    assert re.search(r"skew: 0 mismatches of [\d,]+ values", clone.gated)
    assert re.search(r"(promote|keep|inconclusive): model \w+ against its own baseline", clone.gated)


def test_a_verdict_is_against_what_serves_and_is_the_same_bytes_again(clone):
    verdict = (clone.root / "data/reports/verdict.json").read_bytes()
    first = json.loads(clone.first["bundle.json"])["model"]["version"]
    assert json.loads(verdict)["champion"] == first
    assert "against v1 in prod" in clone.second_gate
    clone.call("ringbound", "gate")
    assert (clone.root / "data/reports/verdict.json").read_bytes() == verdict


def test_the_report_compares_two_commits_without_running_anything(clone):
    lock = clone.lock()
    said = clone.call("ringbound", "report", "--base", "HEAD~1", "--head", "HEAD").stdout
    assert len(said) < LONGEST
    sections = re.findall(r"^#+ (.*)$", said, flags=re.M)
    assert re.match(r"(✅ Promote|❌ Keep|❔ Inconclusive)", sections[0])
    assert sections[1:] == ["Metrics", "Slices", "Calibration", "Decisions that flip", "Bias", "Latency and size", "Data",
                            "Features", "Parameters", "Stages", "Cost"]  # fmt: skip
    assert "| `tune.seed` | 20130101 | 5 |" in said
    assert re.search(r"Unchanged, to the bit: data/raw, data/clean", said)
    assert re.search(r"\| tune \| [^|]*parameters", said)
    assert re.search(r"log_loss \| 0\.\d{4} \| 0\.\d{4} \| [+-]0\.\d{4} \([+-]0\.\d{4} to [+-]0\.\d{4}\)", said)
    assert re.search(r"\| carrier \| \d+ \| [\d.]+% \| [\d.]+% \| [\d.]+% \| [\d.]+% \| \w\w [\d.]+% \|", said)
    assert clone.lock() == lock
    assert "The model is the same" in clone.call("ringbound", "report", "--base", "HEAD").stdout


def test_a_report_says_what_is_missing_and_reports_the_rest(clone, tmp_path):
    other = fresh(clone, tmp_path)
    other.call("dvc", "remote", "remove", "storage")
    said = other.call("ringbound", "report", "--base", "HEAD~1", "--head", "HEAD").stdout
    assert re.search(
        r"could not be compared.*data/evaluation \(md5 \w+\.dir\) is neither in DVC's cache nor", said, flags=re.S
    )
    assert "| `tune.seed` | 20130101 | 5 |" in said


def test_a_remote_and_a_fresh_clone_are_enough_to_roll_back_to_the_same_bytes(clone, tmp_path):
    refused = clone.call("ringbound", "registry", "promote", "v2", "staging", "--force", check=False)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "expected a reason" in refused.stderr
    clone.call("ringbound", "registry", "promote", "v2", "prod", "--force", "--reason", "to be rolled back")
    other = fresh(clone, tmp_path)
    assert not (other.root / "data/models").exists()
    served = other.root / "data/ops/environments/prod/data/models"
    for name, value in (("user.name", "Bob"), ("user.email", "bob@example.org")):
        other.call("git", "config", name, value)
    other.call("ringbound", "registry", "fetch", "prod")
    assert bundle_bytes(served) == bundle_bytes(clone.root / "data/models")
    other.call("ringbound", "registry", "rollback", "prod", "--push", "origin")
    other.call("ringbound", "registry", "fetch", "prod")
    assert bundle_bytes(served) == clone.first
    assert "roll back prod from v2 to v1" in clone.call("ringbound", "registry", "history").stdout
    shown = other.call("ringbound", "registry", "show", "prod").stdout
    assert json.loads(clone.first["bundle.json"])["model"]["version"] in shown
    store = f"sqlite:///{tmp_path}/store.db"
    service = Service(other, "--environment", "prod", "--clock", "event", "--store", store)
    try:
        row = {"carrier": "UA", "flight": 1, "origin": "EWR", "dest": "IAH", "sched_dep": "2013-04-10T02:30:00Z",
               "sched_arr": "2013-04-10T05:30:00Z"}  # fmt: skip
        event = {"id": "1", "time": "2013-04-10T00:00:00Z", "dep_delay": 1} | {
            n: row[n] for n in ("carrier", "flight", "origin", "dest")
        }
        service.post("events", {"source": "departures", "events": [event]})
        status, answer = service.post("predict", {"rows": [row]})
        assert status == 200
        assert answer["predictions"][0]["model_version"] == json.loads(clone.first["bundle.json"])["model"]["version"]
    finally:
        service.stop()
    said = other.call("ringbound", "receipts", "verify", "--sample", "5", "--store", store).stdout
    assert said.startswith("1 of 1 predictions identical"), (
        "the model comes from the commit that made it, and the remote"
    )


def asked_all_the_time(service: Service, row: dict, ended: threading.Event, answers: list) -> None:
    """Ask, over and over, as somebody else each time; every status and answer, and what went wrong."""
    number = 0
    while not ended.is_set():
        number += 1
        try:
            status, answer = service.post("predict", {"rows": [row | {"flight": number % 2000 + 1}]})
            answers.append((status, answer["predictions"][0]["model_version"] if status == 200 else answer))
        except OSError as error:
            answers.append((0, str(error)))


def until(holds, within_s: float = 60) -> None:
    ends = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends, "it takes too long"
        time.sleep(0.1)


def test_a_service_follows_its_environment_through_promotion_rollback_and_roll_out_and_drops_no_request(
    clone, tmp_path
):
    other = fresh(clone, tmp_path)
    for name, value in (("user.name", "Bob"), ("user.email", "bob@example.org")):
        other.call("git", "config", name, value)
    first, second = (
        re.search(r"model (\w+),", other.call("ringbound", "registry", "show", version).stdout)[1]
        for version in ("v1", "v2")
    )
    if other.call("ringbound", "registry", "show", "prod").stdout.split()[1] == "v2:":
        other.call("ringbound", "registry", "rollback", "prod")
    store = ("--store", f"sqlite:///{tmp_path}/store.db")
    service = Service(other, "--environment", "prod", "--clock", "event", *store)
    row = {"carrier": "UA", "flight": 1, "origin": "EWR", "dest": "IAH", "sched_dep": "2013-04-10T02:30:00Z",
           "sched_arr": "2013-04-10T05:30:00Z"}  # fmt: skip
    event = {"id": "1", "time": "2013-04-10T00:00:00Z", "dep_delay": 1} | {
        n: row[n] for n in ("carrier", "flight", "origin", "dest")
    }
    service.post("events", {"source": "departures", "events": [event]})
    ended, answers = threading.Event(), []
    asking = [threading.Thread(target=asked_all_the_time, args=(service, row, ended, answers)) for _ in range(3)]
    try:
        for thread in asking:
            thread.start()
        until(lambda: len(answers) > 20)
        assert {version for _, version in answers} == {first}
        said = other.call("ringbound", "registry", "promote", "v2", "prod", "--force", "--reason", "r", *store).stdout
        assert said.endswith("; services follow\n")
        until(lambda: answers[-1][1] == second, 5)
        other.call("ringbound", "registry", "rollback", "prod", *store)
        until(lambda: answers[-1][1] == first, 5)
        plan = ("--steps", "shadow,50%,100%", "--hold", "1s", "--rows", "30", "--key", "flight", "--apart", "99%",
                "--slower", "100")  # fmt: skip
        refused = other.call("ringbound", "rollout", "start", "v2", *plan, "--promote", *store, check=False)
        assert "v2 may not be promoted in prod: its verdict is" in refused.stderr
        assert refused.stderr.count("\n") == 1
        before = len(answers)
        other.call("ringbound", "rollout", "start", "v2", *plan, *store)
        until(lambda: "[100%]" in other.call("ringbound", "rollout", "status", *store).stdout)
        assert {version for _, version in answers[before:]} == {first, second}
        shown = urllib.request.urlopen(f"{service.address}/rollout").read().decode()
        assert "v2 (model" in shown
        assert "<polyline" in shown
        again = other.call("ringbound", "rollout", "start", "v2", *plan, *store, check=False)
        assert "a roll-out of v2 is on" in again.stderr
        other.call("ringbound", "rollout", "stop", "--reason", "seen enough", *store)
        until(lambda: answers[-1][1] == first, 5)
        history = other.call("ringbound", "rollout", "history", *store).stdout.split("\n")
        kinds = [line.split()[1] for line in history if line]
        assert kinds == ["serve", "serve", "serve", "start", "step", "step", "stop"]
        assert "the registry has what serves" in other.call("ringbound", "rollout", "settle", *store).stdout
    finally:
        ended.set()
        for thread in asking:
            thread.join()
        service.stop()
    assert len(answers) > 200
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == {first, second}


@pytest.fixture
def bucket(monkeypatch):
    """A bucket on an S3-compatible server on the loopback; its address."""
    import boto3
    from moto.server import ThreadedMotoServer

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=address, region_name="us-east-1").create_bucket(Bucket="models")
    yield address
    server.stop()


def test_an_s3_remote_serves_a_fresh_clone(clone, shared_cache, bucket, tmp_path):
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
    writer, reader = fresh(clone, tmp_path / "one"), fresh(clone, tmp_path / "two")
    writer.call("dvc", "cache", "dir", "--local", str(shared_cache))
    for one in (writer, reader):
        one.environment = one.environment | keys
        one.call("dvc", "remote", "add", "-q", "-d", "-f", "storage", "s3://models/ringbound")
        one.call("dvc", "remote", "modify", "-q", "storage", "endpointurl", bucket)
    writer.call("dvc", "push", "-q", "data/models", "data/bento", "data/evaluation")
    reader.call("dvc", "pull", "-q", "data/models")
    assert bundle_bytes(reader.root / "data/models") == bundle_bytes(clone.root / "data/models")
    assert "late-flights v2" in reader.call("ringbound", "registry", "show", "v2").stdout


def test_a_second_registration_and_an_unknown_version_are_one_line(clone):
    for command, says in ((["register"], "HEAD is v2 already"), (["show", "v9"], "expected a version of ['v1', 'v2']")):
        result = clone.call("ringbound", "registry", *command, check=False)
        assert result.returncode == 1
        assert says in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_base_that_is_not_there_is_one_line(clone):
    refused = clone.call("ringbound", "report", "--base", "nosuch", check=False)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "nosuch: expected a commit, branch or tag" in refused.stderr


def test_ladder_measures_every_rung(clone):
    said = clone.call("ringbound", "ladder", "--rows", "20").stdout
    for rung in ("full", "reduced", "prior", "default"):
        assert re.search(rf"^ *{rung} +\d+ +0\.\d{{4}} +0\.\d{{4}}$", said, flags=re.M), said
    assert said.count("in the bundle") == 1


def test_make_model_names_the_environment(clone):
    result = subprocess.run(
        ["make", "-n", "model", "ENVIRONMENT=prod"], cwd=clone.root, capture_output=True, text=True, check=True
    )
    assert "ringbound registry fetch prod" in result.stdout
