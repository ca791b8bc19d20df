"""Learning anew in a workspace of somebody else's problem, with the commands that people have."""

import json
import os
import random
import signal
import subprocess
import time

import pytest

from houses import Houses
from ringbound.workspace.paths import parse_yaml

THROUGH = "2020-07-01T00:00:00Z"


@pytest.fixture(scope="module")
def houses(tmp_path_factory) -> Houses:
    """A workspace whose first version serves, and which has learnt up to the end of May."""
    made = Houses(tmp_path_factory.mktemp("retrain") / "a workspace", "linear")
    made.serve_first(through="2020-06-01T00:00:00Z")
    return made


def retrain(houses: Houses, *more: str, check: bool = True) -> subprocess.CompletedProcess:
    return houses.call("ringbound", "retrain", "--if", *more, check=check)


def begin(houses: Houses) -> subprocess.Popen:
    command = ["ringbound", "retrain", "--if", "always", "--through", THROUGH]
    return subprocess.Popen(
        command, cwd=houses.root, env=houses.environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def model_of(houses: Houses, revision: str) -> dict:
    return json.loads(houses.call("git", "show", f"{revision}:data/reports/model.json").stdout)


def files_of(houses: Houses) -> dict[str, bytes]:
    """What who works here has, and what serves."""
    folders = ("data/models", "data/bento", "data/reports", "notebooks", "src/houses")
    found = [file for folder in folders for file in (houses.root / folder).rglob("*") if file.is_file()]
    return {str(file): file.read_bytes() for file in [*found, houses.root / "params.yaml", houses.root / "dvc.lock"]}


def test_without_a_cause_nothing_is_done(houses):
    said = retrain(houses, "schedule", "--every", "400d", "--through", THROUGH).stdout
    assert said == "nothing to do: no cause by schedule since 2020-06-01\n"
    assert not (houses.root / "data/ops/retrain/work").exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("always", "--through", "2020-05-01"), "expected a time after 2020-06-01T00:00:00Z, up to which is learnt"),
        (("drift", "--through", THROUGH), "store: expected one that is there"),
        (("always", "--through", "soon"), "--through: expected a time like"),
    ],
)
def test_what_does_not_fit_is_one_line(houses, more, says):
    done = retrain(houses, *more, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert says in done.stderr


def test_killed_at_any_point_it_goes_on_and_ends_as_if_it_had_not_been(houses):
    before, dice = files_of(houses), random.Random(1)
    for _ in range(10):
        process = begin(houses)
        time.sleep(dice.uniform(0.5, 12))
        whole = dice.random() < 0.5  # the machine, or this process alone, whose children then go on
        with_all = os.killpg if whole else os.kill
        if process.poll() is None:
            with_all(process.pid, signal.SIGKILL)
        process.wait()
        assert houses.call("ringbound", "registry", "show", "prod").stdout.startswith("house-prices v1:")
        assert files_of(houses) == before
        if (houses.root / "data/ops/retrain").is_dir() and not (houses.root / "data/ops/retrain/run.json").exists():
            break
    versions = houses.call("ringbound", "registry", "list").stdout
    if "v2" not in versions:
        said = retrain(houses, "always", "--through", THROUGH).stdout
        assert "v2: model " in said
    versions = houses.call("ringbound", "registry", "list").stdout
    assert versions.count("\nv") == 1, versions
    assert files_of(houses) == before
    assert not (houses.root / "data/ops/retrain/work").exists()
    assert houses.call("git", "status", "--short").stdout == ""
    branch = "retrain/2020-07-01T00-00-00"
    record = json.loads(houses.call("git", "show", f"{branch}:data/reports/retraining.json").stdout)
    assert (record["cause"], record["before"], record["through"]) == ("asked for", "2020-06-01T00:00:00Z", THROUGH)
    assert record["base"] == houses.call("git", "rev-parse", "HEAD").stdout.strip()
    verdict = json.loads(houses.call("git", "show", f"{branch}:data/reports/verdict.json").stdout)
    assert verdict["challenger"] == model_of(houses, branch)["version"]
    assert verdict["champion"] == model_of(houses, "HEAD")["version"]


def test_after_a_sweep_a_version_is_fetched_and_made_again_by_hand_to_the_byte(houses, tmp_path):
    branch = "retrain/2020-07-01T00-00-00"
    houses.call("ringbound", "ops", "gc", "--yes")
    houses.call("ringbound", "registry", "fetch", "v2")
    houses.call("git", "worktree", "add", "-q", str(tmp_path / "by hand"), "HEAD")
    hand = object.__new__(Houses)
    hand.root = tmp_path / "by hand"
    hand.environment = houses.environment | {"PYTHONPATH": str(hand.root / "src")}
    params = hand.root / "params.yaml"
    params.write_text(params.read_text().replace("2020-06-01T00:00:00Z", THROUGH))
    theirs = houses.call("git", "show", f"{branch}:params.yaml").stdout
    assert parse_yaml(params.read_text(), "params.yaml") == parse_yaml(theirs, "params.yaml")
    hand.call("dvc", "repro", "tune")
    made = json.loads((hand.root / "data/reports/model.json").read_text())
    assert made["version"] == model_of(houses, branch)["version"]
    locks = [(hand.root / "dvc.lock").read_text(), houses.call("git", "show", f"{branch}:dvc.lock").stdout]
    outputs = [
        {name: stage["outs"] for name, stage in parse_yaml(lock, "dvc.lock")["stages"].items()} for lock in locks
    ]
    for stage in ("ingest", "features", "tune"):
        assert outputs[0][stage] == outputs[1][stage]
    houses.call("git", "worktree", "remove", "--force", str(hand.root))


def test_of_two_at_once_one_runs_and_the_other_says_who_does(houses):
    first = begin_later(houses)
    folder = houses.root / "data/ops/retrain"
    deadline = time.monotonic() + 300  # of a machine that has much else to do
    while not ((folder / "run.json").exists() and (folder / "lock").read_text() == str(first.pid)):
        assert first.poll() is None, "the first has ended before it began"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    second = retrain(houses, "always", check=False)
    assert (second.returncode, second.stderr.count("\n")) == (1, 1)
    assert f"expected that nobody else does; process {first.pid} does; wait for it" in second.stderr
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()


def begin_later(houses: Houses) -> subprocess.Popen:
    command = ["ringbound", "retrain", "--if", "always", "--through", "2020-07-10T00:00:00Z"]
    return subprocess.Popen(
        command, cwd=houses.root, env=houses.environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_model_that_fails_a_gate_is_a_version_and_never_serves(houses):
    """Nothing is new between these two days: the model is no better than what serves, and a gate that nobody passes fails."""
    houses.call("git", "checkout", "-q", "-b", "strict")
    params = houses.root / "params.yaml"
    params.write_text(params.read_text().replace("latency_ratio: 5.0", "latency_ratio: 0.0001"))
    houses.call("git", "commit", "-qam", "a gate that nobody passes")
    assert (houses.root / "data/ops/retrain/run.json").is_file(), (
        "of the run that was killed, before there was this commit"
    )
    said = retrain(houses, "always", "--through", "2020-07-10", "--then", "promote").stdout
    assert "verdict promote" not in said
    assert "failed: latency" in said
    assert houses.call("ringbound", "registry", "show", "prod").stdout.startswith("house-prices v1:")
    assert "v3" in houses.call("ringbound", "registry", "list").stdout
