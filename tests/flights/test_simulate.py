"""Policies of retraining, lived through on a month of flights."""

import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from flights.problem import PROBLEM
from flights.tune import CANDIDATES
from ringbound.models.bundle import load_bundle
from ringbound.problem.training import read_training_table
from ringbound.simulation.simulate import in_order
from ringbound.simulation.world import World
from services import Service
from workspace_clone import Clone

POLICIES = """
policies:
  - {name: never, when: never}
  - {name: weekly, when: schedule, every: 7, gates: false, canary: 0.0}
"""
DAYS = ("--from", "2013-03-04", "--to", "2013-04-01", "--every", "30")


@pytest.fixture(scope="module")
def clone(built) -> Clone:
    (built.root / "mine.yaml").write_text(POLICIES)
    return built


def test_the_notebook_says_what_each_policy_has_cost(clone):
    lock = clone.lock()
    said = clone.call("ringbound", "simulate", "--policies", "mine.yaml", *DAYS).stdout
    assert said.splitlines()[-1] == "read data/simulation/simulate.html"
    table = pd.read_csv(io.StringIO(said.rpartition("read ")[0]), thousands=",")
    assert set(table["policy"]) == {"never", "weekly", "oracle"}
    assert set(table["year"]) == {"as it was", "with a shift", "with lies"}
    as_it_was = table[table["year"] == "as it was"].set_index("policy")
    assert as_it_was.loc["oracle", "total"] == as_it_was["total"].min()
    assert as_it_was["retrainings"].to_dict() | {"oracle": 0} == {"never": 0, "weekly": 3, "oracle": 0}
    page = (clone.root / "data/simulation/simulate.html").read_text()
    assert "asked again one by one, all the same" in page
    assert clone.lock() == lock
    clone.call("git", "check-ignore", "data/simulation")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("policies: never", "expected `policies:`, a list of mappings"),
        ("policies: [{name: a}]", "expected mappings of"),
        ("policies: [{name: a, when: never, gates: maybe}]", "expected gates as bool"),
        ("{", "is not YAML"),
    ],
)
def test_policies_that_cannot_be_read_are_one_line(clone, text, says):
    (clone.root / "wrong.yaml").write_text(text)
    done = clone.call("ringbound", "simulate", "--policies", "wrong.yaml", *DAYS, check=False)
    assert done.returncode == 1
    assert says in done.stderr.splitlines()[-1]


def test_a_day_that_is_lived_through_is_that_day_over_http_to_the_bit(clone, tmp_path, monkeypatch):
    """A model that a policy has learnt answers the last whole day: as the simulation has it, and served from a Bento."""
    monkeypatch.chdir(clone.root)
    training = read_training_table(clone.root / "data/features", PROBLEM)
    learnt = load_bundle(clone.root / "data/models").model.learnt
    rows, known = in_order(training, pd.Series([], dtype="datetime64[us, UTC]"), every=1)
    first, last = (int(pd.Timestamp(day, tz="UTC").timestamp()) // 86_400 for day in ("2013-04-02", "2013-04-10"))
    world = World(rows, rows.y, known, CANDIDATES, learnt, "flights.problem:PROBLEM", tmp_path, first, last, 7)
    lived = world.answers(first, 0)
    shutil.rmtree(clone.root / "data/models")
    shutil.copytree(tmp_path / f"0-{first}", clone.root / "data/models", ignore=shutil.ignore_patterns("*.npy"))
    clone.call("ringbound", "stage", "package")
    clone.call("ringbound", "features", "load")
    day = np.flatnonzero(
        rows.table["at"].between(*(pd.Timestamp(f"2013-04-09T{hour}", tz="UTC") for hour in ("01", "22")))
    )
    asked = rows.requests.iloc[day]
    times = {name: asked[name].dt.strftime("%Y-%m-%dT%H:%M:%SZ") for name in ("sched_dep", "sched_arr", "at")}
    service = Service(clone, "--clock", "event")
    try:
        status, online = service.post("predict", {"rows": json.loads(asked.assign(**times).to_json(orient="records"))})
    finally:
        service.stop()
    assert status == 200
    assert [answer["probability"] for answer in online["predictions"]] == lived[day].tolist()
    assert {answer["model_version"] for answer in online["predictions"]} == {world.bundle(first, 0).version}
    assert len(day) > 700
