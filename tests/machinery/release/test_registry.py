import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from ringbound.errors import RecordError, RegistryError
from ringbound.evaluation.records import Metrics
from ringbound.evaluation.uncertainty import Estimate
from ringbound.models.facts import Learnt, ModelFacts
from ringbound.release.gates import GateResult, Verdict
from ringbound.release.registry import Registry, describe, fetch_version, history
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
        version=model, problem="late-parcels", entry=ENTRY, task=PROBLEM.task.to_json(), features="f1",
        default=0.3, cascade=None, rungs=["full", "default"], left_out={}, warning="", learnt=learnt,
    )  # fmt: skip
    results = [GateResult("better", "passed" if decision == "promote" else "open", "log_loss 0.50 → 0.49")]
    estimates = {"auc": Estimate(0.7, 0.6, 0.8)}
    facts.write(registry.root / layout.MODEL)
    Verdict(decision, environment, judged or model, champion, results).write(registry.root / layout.VERDICT)
    Metrics(model, estimates, "prior", estimates, 10, "95% intervals").write(registry.root / layout.METRICS)
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


def tag(
    registry: Registry, name: str, revision: str = "HEAD", *, minute: int, year: int = 2026, light: bool = False
) -> None:
    """Tag a commit as someone else would, `minute` minutes into the day."""
    date = f"{year}-01-01T{minute // 60:02}:{minute % 60:02}:00Z"
    command = ["git", "tag", name, revision] if light else ["git", "tag", "-a", "-m", "theirs", name, revision]
    subprocess.run(command, cwd=registry.root, check=True, env=os.environ | {"GIT_COMMITTER_DATE": date})


def read_by_gto(registry: Registry) -> tuple[list[str], dict[str, str]]:
    """Return GTO's versions, in order, and what each stage has by time: version or, without one, commit."""
    import gto.api
    from gto.constants import VersionSort

    with gto.api.GitRegistry.from_url(str(registry.root)) as theirs:
        artifact = theirs.get_artifacts()[registry.name]
        held = artifact.get_vstages(sort=VersionSort.Timestamp, versions_per_stage=1)
        versions = artifact.get_versions(ascending=True)
        return [v.version for v in versions], {stage: of[0].version for stage, of in held.items() if of}


def full(version: str) -> str:
    return f"{version}.0.0" if "." not in version else version


HISTORIES = {
    "light tags are nobody's": ["v1.0.0@0", "light v2.0.0@0", "prod#1@0", "light prod#2@1"],
    "an environment is left": ["v1.0.0@0", "prod#1@0", "prod!#2@0"],
    "taking out the newer gives back the older": ["v1.0.0@0", "v2.0.0@1", "prod#1@0", "prod#2@1", "prod!#3@1"],
    "given again": ["v1.0.0@0", "v2.0.0@1", "prod#1@0", "prod#2@1", "prod#3@0"],
    "out and in again": ["v1.0.0@0", "prod#1@0", "prod!#2@0", "prod#3@0"],
    "semantic versions": ["v0.1.0@0", "v0.10.0@1", "v0.2.0@2", "v0.10.0-rc.1@3", "prod#1@1", "dev#2@3"],
    "without numbers": ["v1.0.0@0", "v1.1.0@1", "prod@0", "dev@1"],
    "a version is taken back": ["v1.0.0@0", "v2.0.0@1", "prod#1@0", "prod#2@1", "v2.0.0!@1"],
    "taken back at another commit": ["v1.0.0@0", "prod#1@0", "v1.0.0!@1"],
    "a stage below a folder": ["v1.0.0@0", "eu/prod#1@0"],
    "no tags of ours": ["v1.0.0@0", "v01.0.0@1", "v1.0@2", "prod#x@1", "#1@1", "prod#1@0"],
    "two environments, two versions": ["v1.0.0@0", "v2.0.0@1", "prod#1@1", "dev#2@0", "prod!#3@1", "prod#4@0"],
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_what_others_tagged_is_read_as_gto_reads_it(registry, history):
    for number in range(4):
        commit(registry, f"m{number}")
    commits = git(registry.root, "rev-list", "--reverse", "HEAD").split()
    for minute, one in enumerate(history):
        light, name = one.startswith("light "), one.removeprefix("light ")
        what, _, place = name.rpartition("@")
        sign = "@" if what.startswith("v") else "#"
        tag(registry, f"{registry.name}{sign}{what}", commits[int(place)], minute=minute, light=light)
    versions, held = read_by_gto(registry)
    assert [full(version) for version in registry.versions()] == versions
    assert {name: full(change.version) for name, change in registry.environments().items()} == held
    assert held or history[-1] == "prod!#2@0"


def test_versions_go_on_after_those_of_others(registry):
    for number in range(2):
        commit(registry, f"m{number}")
    tag(registry, "late-parcels@v2.1.3", "HEAD~1", minute=0)
    tag(registry, "late-parcels@v7.0.0", "HEAD~1", minute=0, light=True)
    assert registry.register().version == "v3"
    assert registry.version("v2.1.3").commit == git(registry.root, "rev-parse", "HEAD~1").strip()
    assert registry.version("v3.0.0").version == "v3"
    with pytest.raises(RegistryError, match=r"expected a version of \['v2.1.3', 'v3'\]"):
        registry.version("v7")


def test_an_environment_whose_commit_is_no_version_is_one_line(registry):
    commit(registry, "m1")
    registry.register()
    registry.promote("v1", "prod")
    commit(registry, "m2")
    tag(registry, "late-parcels#prod#2", minute=0, year=2090)
    for ask in (
        lambda: registry.version("prod"),
        lambda: describe(registry, "prod"),
        lambda: fetch_version(registry, "prod"),
    ):
        with pytest.raises(RegistryError, match=r"prod was given commit .* which is no version; run .*register"):
            ask()


def test_after_a_change_by_others_one_can_still_roll_back(registry):
    two_versions(registry)
    commit(registry, "m3")
    tag(registry, "late-parcels#prod#3", minute=0)
    tag(registry, "late-parcels#prod!#4", minute=1)
    assert registry.rollback("prod").version == "v1"
    assert registry.holder("prod").version == "v1"


@pytest.mark.parametrize(
    ("taken", "has"),
    [("late-parcels@v3.0.0!", "v1"), ("late-parcels@v2.0.0!", "v1"), ("late-parcels#prod#4", "v2")],
)
def test_rollback_goes_to_a_version_that_stands_and_is_another(registry, taken, has):
    two_versions(registry)
    commit(registry, "m3", champion="m2")
    registry.register()
    registry.promote("v3", "prod")
    place = {"late-parcels@v2.0.0!": "HEAD~1"}.get(taken, "HEAD")
    tag(registry, taken, place, minute=0, year=2090)
    if taken.endswith("#4"):  # given again, by a clock that is ahead
        git(registry.root, "tag", "-d", taken)
        tag(registry, taken, place, minute=0, year=2020)
    before = registry.holder("prod").version
    assert registry.rollback("prod").version == has
    assert registry.holder("prod").version == has != before


def test_a_tag_from_a_clock_that_is_ahead_is_no_silent_success(registry):
    two_versions(registry)
    tag(registry, "late-parcels#prod#3", "HEAD~1", minute=0, year=2090)
    assert registry.holder("prod").version == "v1"
    for version in ("v2", "v2.0.0"):
        with pytest.raises(RegistryError, match="late-parcels#prod#3 says that it was made later"):
            registry.promote(version, "prod")
    assert [entry.tag for entry in registry.changes("prod")][-1] == "late-parcels#prod#3"


def test_an_odd_tag_by_somebody_else_ends_nothing(registry):
    two_versions(registry)
    commit = git(registry.root, "rev-parse", "HEAD").strip()
    odd = [
        (b"", b"without a tagger\n"),
        (b"tagger A <a> 1700000000 +0000\n", b"a \x01 b\n"),
        (b"tagger A <a> 1700000001 +0000\n", b"\xe4 'x'\\n\n]\n['"),
    ]
    for number, (tagger, message) in enumerate(odd):
        name = f"late-parcels#odd{number}#1"
        text = f"object {commit}\ntype commit\ntag {name}\n".encode() + tagger + b"\n" + message
        command = ["git", "hash-object", "-t", "tag", "-w", "--stdin", "--literally"]
        made = subprocess.run(command, cwd=registry.root, input=text, check=True, capture_output=True)
        git(registry.root, "update-ref", f"refs/tags/{name}", made.stdout.decode().strip())
    assert {name for name in registry.environments() if name.startswith("odd")} == {"odd0", "odd1", "odd2"}
    assert registry.holder("prod").version == "v2"


def test_a_verdict_against_another_champion_counts_nowhere(registry):
    two_versions(registry)
    commit(registry, "m3", champion="prior", environment="staging")
    registry.register()
    with pytest.raises(RegistryError, match="its verdict is against prior, but prod has m2"):
        registry.promote("v3", "prod")
    assert registry.promote("v3", "staging").version == "v3"


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
