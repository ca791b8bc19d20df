import json
import subprocess
import threading
from pathlib import Path

import pytest

from ringbound.errors import RecordError, RegistryError
from ringbound.evaluation.records import Metrics
from ringbound.evaluation.uncertainty import Estimate
from ringbound.models.bundle import Learnt, ModelFacts
from ringbound.problem.task import task_to_json
from ringbound.release.gates import GateResult, Verdict
from ringbound.release.registry import Registry, describe, history
from ringbound.testing.parcels import ENTRY, PROBLEM
from ringbound.workspace import layout


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def registry(tmp_path, monkeypatch):
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Ann")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "ann@example.org")
    git(tmp_path, "init", "-q", "-b", "main")
    return Registry(tmp_path, "late-parcels")


def commit(
    registry: Registry, model: str, *, decision="promote", champion="prior", environment="prod", judged=None
) -> None:
    """Commit a model and a verdict on it."""
    learnt = Learnt(1000, "2013-01-01", "2013-10-31", "d1", "trees", {"leaves": 7}, 1)
    facts = ModelFacts(
        version=model, problem="late-parcels", entry=ENTRY, task=task_to_json(PROBLEM.task), features="f1",
        default=0.3, cascade=None, rungs=["full", "default"], left_out={}, warning="", learnt=learnt,
    )  # fmt: skip
    results = [GateResult("better", "passed" if decision == "promote" else "open", "log_loss 0.50 → 0.49")]
    estimates = {"auc": Estimate(0.7, 0.6, 0.8)}
    facts.write(registry.root / layout.MODEL)
    Verdict(decision, environment, judged or model, champion, results).write(registry.root / layout.VERDICT)
    Metrics(model, estimates, estimates, 10, "95% intervals").write(registry.root / layout.METRICS)
    out = {"path": "data/clean", "md5": "c1.dir"}
    (registry.root / "dvc.lock").write_text(json.dumps({"stages": {"validate": {"outs": [out]}}}))
    (registry.root / "params.yaml").write_text("tune:\n  seed: 1\n")
    git(registry.root, "add", "-A")
    git(registry.root, "commit", "-q", "-m", model)


def two_versions(registry: Registry) -> None:
    """Register v1 and v2 and promote one after the other."""
    commit(registry, "m1")
    registry.register()
    registry.promote("v1", "prod")
    commit(registry, "m2", champion="m1")
    registry.register()
    registry.promote("v2", "prod")


def test_an_environment_has_what_was_promoted_last_and_rolls_back(registry):
    two_versions(registry)
    assert registry.holder("prod").version == "v2"
    registry.rollback("prod", reason="complaints")
    assert registry.holder("prod").version == "v1"
    with pytest.raises(RegistryError, match="nothing before it"):
        registry.rollback("prod")


def test_a_rollback_after_another_promotion_goes_back_to_what_stood_before_it(registry):
    two_versions(registry)
    registry.rollback("prod")
    commit(registry, "m3", champion="m1")
    registry.register()
    registry.promote("v3", "prod")
    assert registry.rollback("prod").version == "v1"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"decision": "inconclusive"}, "its verdict is inconclusive"),
        ({"decision": "keep"}, "its verdict is keep"),
        ({"champion": "m0"}, "against m0, but prod has m1"),
        ({"judged": "m9"}, "its verdict is of model m9"),
    ],
)
def test_a_version_without_a_passing_verdict_is_refused_unless_forced_with_a_reason(registry, changes, says):
    commit(registry, "m1")
    registry.register()
    registry.promote("v1", "prod")
    commit(registry, "m2", **{"champion": "m1"} | changes)
    registry.register()
    with pytest.raises(RegistryError, match=says):
        registry.promote("v2", "prod")
    with pytest.raises(RegistryError, match="expected a reason"):
        registry.promote("v2", "prod", force=True)
    assert registry.holder("prod").version == "v1"
    registry.promote("v2", "prod", force=True, reason="the board wants it")
    assert registry.holder("prod").version == "v2"
    assert "the board wants it" in history(registry.entries())[-1]
    assert says in history(registry.entries())[-1]


def test_without_any_verdict_is_refused(registry):
    commit(registry, "m1")
    git(registry.root, "rm", "-q", layout.VERDICT)
    git(registry.root, "commit", "-q", "-m", "no verdict")
    registry.register()
    with pytest.raises(RegistryError, match="no verdict"):
        registry.promote("v1", "prod")


def test_what_is_not_there_is_named(registry):
    commit(registry, "m1")
    registry.register()
    with pytest.raises(RegistryError, match="HEAD is v1 already"):
        registry.register()
    with pytest.raises(RegistryError, match=r"expected a version of \['v1'\]; got 'v7'"):
        registry.promote("v7", "prod")
    with pytest.raises(RegistryError, match="or an environment that has one; got 'staging'"):
        registry.version("staging")


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(registry):
    commit(registry, "m1")
    registry.register()
    commit(registry, "m2")
    registry.register()
    said, gate = [], threading.Barrier(2)
    assign = registry._assign

    def together(*arguments):
        gate.wait()  # both have seen the same state
        return assign(*arguments)

    registry._assign = together

    def promote(version):
        try:
            registry.promote(version, "prod")
        except RegistryError as error:
            said.append(str(error))

    threads = [threading.Thread(target=promote, args=(version,)) for version in ("v1", "v2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 1
    assert f"another was first: promote {registry.holder('prod').version} to prod, by Ann" in said[0]
    assert len(registry.changes("prod")) == 1


def test_of_two_clones_the_one_that_pushes_second_is_told_and_has_the_winners_state(registry, tmp_path_factory):
    commit(registry, "m1")
    registry.register()
    commit(registry, "m2")
    registry.register()
    bare, other = tmp_path_factory.mktemp("bare"), tmp_path_factory.mktemp("other")
    git(bare, "init", "-q", "--bare")
    git(registry.root, "push", "-q", "--tags", str(bare), "main")
    git(other, "clone", "-q", "-b", "main", str(bare), ".")
    second = Registry(other, "late-parcels")
    mine, theirs = registry.promote("v1", "prod"), second.promote("v2", "prod")
    second.push(theirs, "origin")
    with pytest.raises(RegistryError, match="another was first: promote v2 to prod"):
        registry.push(mine, str(bare))
    assert registry.holder("prod").version == "v2"


def test_show_says_data_params_metrics_verdict_features_commit_who_and_when(registry):
    two_versions(registry)
    said = describe(registry, "prod")
    for part in ("late-parcels v2: model m2", "prod", "by Ann", registry.version("v2").commit, "f1", "1,000 rows",
                 "data/clean  md5 c1.dir", '"seed": 1', "auc 0.7000 (0.6000 to 0.8000)", "promote, against m1"):  # fmt: skip
        assert part in said, part


def test_gto_reads_the_same_registry(registry):
    import gto.api

    two_versions(registry)
    registry.rollback("prod")
    shown = gto.api.show(str(registry.root))["late-parcels"]
    assert shown["version"] == "v2.0.0"
    with gto.api.GitRegistry.from_url(str(registry.root)) as theirs:
        tags = {event.ref for event in theirs.get_artifacts()["late-parcels"].get_events()}
    assert {"late-parcels@v1.0.0", "late-parcels@v2.0.0", "late-parcels#prod#3"} <= tags


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> other\n", "conflict"),
        ("{", "model.json"),
        ('{"format": 2, "version": "m9"}', "format 2"),
    ],
)
def test_a_described_model_that_cannot_be_read_is_one_line(registry, content, says):
    commit(registry, "m1")
    (registry.root / layout.MODEL).write_text(content)
    git(registry.root, "commit", "-qam", "spoilt")
    with pytest.raises(RecordError, match=says) as error:
        registry.register()
    assert "\n" not in str(error.value)


def test_a_reason_is_kept_as_it_was_given(registry):
    commit(registry, "m1")
    registry.register()
    registry.promote("v1", "prod", reason="#123 asked for it")
    assert "#123 asked for it" in history(registry.entries())[-1]
    with pytest.raises(RegistryError, match="expected a version of"):
        registry.version("")
