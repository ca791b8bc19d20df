"""What may go, and what never does."""

import hashlib
import json
import os
import subprocess
import sys
import time
from contextlib import chdir
from pathlib import Path

import pytest
from dvc.repo import Repo

from ringbound.errors import WorkspaceError
from ringbound.release.retention import Sweep, size_of, sweeping
from ringbound.workspace import layout
from ringbound.workspace.revision import Revision
from versions import Versions, git


@pytest.fixture(scope="module")
def twenty(tmp_path_factory) -> Path:
    """Twenty commits, of which the third and the eleventh are versions, and one a branch."""
    made = Versions(tmp_path_factory.mktemp("twenty"))
    for number in range(20):
        made.commit(f"run {number}")
        if number in (2, 10):
            git(made.root, "tag", "-a", f"late-parcels@v{number}.0.0", "-m", "a version")
        if number == 5:
            git(made.root, "branch", "an-idea")
    return made.root


@pytest.fixture
def made(twenty, tmp_path) -> Versions:
    """A copy of them."""
    return Versions.copied(twenty, tmp_path / "a copy")


def look(made: Versions, *, remove: bool = False, **more) -> Sweep:
    with sweeping(made.registry, older_than_days=30, **more) as found:
        if remove:
            assert found.clear() == found.size
        return found


def kept(made: Versions, revision: str, folder) -> str:
    """Return the raw data of a revision, fetched out of the cache."""
    at = Revision(made.root, revision)
    for path in ("data/raw", "data/models", "data/bento"):
        at.fetch(path, folder / revision)
    return (folder / revision / "data/raw/events.txt").read_text()


def test_it_frees_what_it_says_and_every_version_can_still_be_fetched(made, tmp_path_factory):
    cache = made.root / ".dvc/cache"
    before = size_of(cache)
    assert look(made).size > 0
    assert size_of(cache) == before  # to look removes nothing
    found = look(made, remove=True)
    (outputs,) = [one for one in found.wastes if one.what == "outputs of commits without a name"]
    assert outputs.size > 15 * 1000 * 12
    assert len(found.losses) == 16
    assert all("only its sources can give data/raw again" in line for line in found.losses)
    assert size_of(cache) == before - found.size
    folder = tmp_path_factory.mktemp("fetched")
    for revision, number in (("late-parcels@v2.0.0", 2), ("late-parcels@v10.0.0", 10), ("an-idea", 5), ("HEAD", 19)):
        assert kept(made, revision, folder).startswith(f"events of run {number}\n")
    with pytest.raises(WorkspaceError, match="neither in DVC's cache nor in a remote"):
        kept(made, "HEAD~3", folder)
    again = look(made)
    assert (again.wastes, again.losses) == ([], [])
    with chdir(made.root), Repo(str(made.root)) as repo:
        assert repo.status() == {}


def change(root, text: str) -> str:
    """Leave other raw data in a working tree, that no commit has; return the digest by which the cache has it."""
    (root / "data/raw").mkdir(parents=True, exist_ok=True)
    (root / "data/raw/events.txt").write_text(text * 1000)
    with chdir(root), Repo(str(root)) as repo:
        repo.commit("ingest", force=True)
    return hashlib.md5((text * 1000).encode(), usedforsecurity=False).hexdigest()


def test_what_no_branch_has_but_a_working_tree_a_stash_or_another_branch_needs_stays(made, tmp_path_factory):
    root = made.root
    cache = root / ".dvc/cache/files/md5"
    digests = []
    for number in range(2):
        digests.append(change(root, f"stashed {number}\n"))
        git(root, "stash")
    other = tmp_path_factory.mktemp("trees") / "other"
    git(root, "worktree", "add", "-q", "--detach", str(other), "HEAD~4")
    (other / ".dvc/config.local").write_text(f"[cache]\n    dir = {root}/.dvc/cache\n")
    digests.append(change(other, "of a retraining\n"))
    (root / "notes.txt").write_text("notes\n" * 100)
    with chdir(root), Repo(str(root)) as repo:
        repo.add("notes.txt")
    digests.append(hashlib.md5(b"notes\n" * 100, usedforsecurity=False).hexdigest())
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "notes")
    git(root, "update-ref", "refs/remotes/origin/notes", "HEAD")
    git(root, "reset", "-q", "--hard", "HEAD~1")
    digests.append(change(root, "not committed\n"))
    look(made, remove=True)
    assert [digest for digest in digests if not (cache / digest[:2] / digest[2:]).is_file()] == []
    (root / "data/raw/events.txt").unlink()
    with chdir(root), Repo(str(root)) as repo:
        repo.checkout(force=True)
    assert (root / "data/raw/events.txt").read_text().startswith("not committed")


@pytest.mark.parametrize("content", [None, "[]"])
def test_of_a_folder_that_is_not_here_the_files_are_not_taken_for_waste(made, content):
    at = Revision(made.root, "late-parcels@v2.0.0")
    name = at.outputs["data/raw"]["md5"]
    file = made.root / ".dvc/cache/files/md5" / name[:2] / name[2:]
    file.unlink()
    if content:
        file.write_text(content)
    found = look(made, remove=True)
    assert found.wastes == []
    assert f"as of data/raw, {name}: DVC's cache is left alone" in found.notes[0]


def test_an_output_that_git_keeps_is_in_no_cache(made):
    git(made.root, "rm", "-q", "-r", "--cached", "data/reports", "--ignore-unmatch")
    text = (made.root / "dvc.yaml").read_text()
    plots = "  plot: {cmd: 'true', deps: [data/models], plots: [data/plots: {cache: false}]}\nartifacts:"
    (made.root / "dvc.yaml").write_text(text.replace("artifacts:", plots))
    (made.root / "data/plots").mkdir()
    (made.root / "data/plots/a.png").write_text("a picture")
    with chdir(made.root), Repo(str(made.root)) as repo:
        repo.commit(force=True)
    found = look(made)
    assert found.notes == []
    assert found.size > 0


def test_what_is_staged_stays(made):
    digest = change(made.root, "staged\n")
    git(made.root, "add", "-A")
    git(made.root, "restore", "--worktree", "--source", "HEAD", "dvc.lock")
    look(made, remove=True)
    assert (made.root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]).is_file()


def test_what_cannot_be_read_is_not_taken_for_waste(made):
    (made.root / "dvc.lock").write_text("{")
    with pytest.raises(WorkspaceError, match="is not YAML"):
        look(made)


def test_while_dvc_is_at_work_nothing_goes(made):
    lock = made.root / ".dvc/tmp/rwlock"
    lock.write_text(json.dumps({"read": {"a": [{"pid": 4_000_000, "cmd": "dvc repro"}]}}))
    look(made)  # which was killed
    works = subprocess.Popen([sys.executable, "-c", "import time; 'dvc'; time.sleep(60)"])
    try:
        lock.write_text(json.dumps({"write": {"a": {"pid": works.pid, "cmd": "dvc repro"}}}))
        with pytest.raises(WorkspaceError, match=f"process {works.pid} does; wait for it"):
            look(made)
    finally:
        works.kill()
        works.wait()


def test_of_two_at_once_one_waits_and_neither_goes_on_beside_a_command_of_dvc(made):
    with Repo(str(made.root)) as repo, repo.lock, pytest.raises(WorkspaceError, match="expected that DVC does nothing"):
        look(made)
    with sweeping(made.registry, older_than_days=30), pytest.raises(WorkspaceError, match="nobody else does"):
        look(made)


def test_a_cache_that_others_may_share_is_left_alone(made, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("shared")
    (made.root / ".dvc/config.local").write_text(f"[cache]\n    dir = {elsewhere}\n")
    found = look(made)
    assert found.wastes == []
    assert "which others may share" in found.notes[0]


def test_live_caches_go_when_nobody_has_used_them_and_copies_of_what_does_not_serve(made):
    root = made.root
    git(root, "tag", "-a", "late-parcels#prod#1", "-m", "promote", "late-parcels@v10.0.0^{commit}")
    for path in (
        f"{layout.SIMULATION}/a/x",
        f"{layout.SHARDS}/old.npy",
        f"{layout.FETCHED}/v2/a",
        f"{layout.FETCHED}/v10/a",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("12345")
    for path in (f"{layout.STAGING}/tune.4000000/a", f"{layout.STAGING}/tune.{os.getpid()}/a"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("12345")
    named = {one.what: [path.name for path in one.paths] for one in look(made).wastes}
    assert named["left by runs that were killed"] == ["tune.4000000"]
    assert "caches not used of late" not in named
    later = look(made, now=time.time() + 31 * 86400)
    assert {one.what: one.size for one in later.wastes}["caches not used of late"] == 10
    assert [path.name for one in later.wastes if one.what.startswith("versions") for path in one.paths] == ["v2"]
