"""Learning anew: the pipeline with a later `ingest.through`, on a branch of its own, up to a verdict and a version.

Everything happens in a second working tree of the repository, `data/ops/retrain/work`, with the same DVC cache: who works
in the workspace, and what serves, notices nothing. A run that was killed is taken up where it was: DVC runs what has not run,
and what is committed or registered stays. One runs at a time.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from ringbound import workspace
from ringbound.errors import RecordError, RegistryError, WorkspaceError, one_line
from ringbound.models.facts import ModelFacts
from ringbound.release.gates import Verdict
from ringbound.release.registry import Registry
from ringbound.release.tags import Entry
from ringbound.workspace import layout
from ringbound.workspace.records import Record
from ringbound.workspace.revision import Revision, git

PARAMS = "params.yaml"
WORK = "work"
BRANCH = "retrain/"
OWNER = "RINGBOUND_RETRAINS"
"""The variable by which what a run has started is known: the workspace."""


@dataclass(frozen=True)
class Retraining(Record):
    """`data/reports/retraining.json` of a version: why it learnt anew, from which commit, and up to when before and now."""

    made_by = "ringbound retrain"

    cause: str
    policy: str
    base: str
    before: str
    through: str
    environment: str
    then: str

    @property
    def branch(self) -> str:
        """The branch on which it happens."""
        return BRANCH + self.through.removesuffix("Z").replace(":", "-")


@dataclass(frozen=True)
class Retrained:
    """What came of a run: the version, its model, and the verdict on it."""

    entry: Entry
    model: str
    verdict: Verdict


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the right to retrain; `WorkspaceError` says who has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WorkspaceError(
                f"retrain: expected that nobody else does; process {_holder(file)} does; wait for it"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.read(20).strip() or "unknown"


def learnt_through(registry: Registry) -> str:
    """Return up to when HEAD, or any version, has learnt: the latest `ingest.through` of params.yaml, in UTC."""
    revisions = [Revision(registry.root, "HEAD")]
    revisions += [Revision(registry.root, entry.commit) for entry in registry.versions().values()]
    found = [through for one in revisions if (through := _through(one.yaml(PARAMS)))]
    if not found:
        raise WorkspaceError(
            f"retrain: expected ingest: through: in {PARAMS}, up to when is learnt; it is not there; see the ingest notebook"
        )
    return max(found)


def _through(params: dict) -> str:
    section = params.get("ingest")
    given = section.get("through") if isinstance(section, dict) else None
    try:
        time = datetime.fromisoformat(str(given))
    except ValueError:
        return ""
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def begun(folder: Path) -> Retraining | None:
    """Return the run that was begun and not ended."""
    with suppress(RecordError):
        return Retraining.read(folder / "run.json")
    return None


def retrain(registry: Registry, folder: Path, asked: Retraining, say: Callable[[str], None]) -> Retrained:
    """Make a version that has learnt up to `asked.through`; take up the run that was begun, if it is this one.

    `folder` keeps what is needed for that. The caller holds `only_one`.
    """
    root, tree = registry.root, folder / WORK
    work = tree / git(root, "rev-parse", "--show-prefix").strip()  # the workspace may be a part of its repository
    _end_leftovers(root)
    git(root, "var", "GIT_COMMITTER_IDENT")  # says at once where there is nobody to commit
    if begun(folder) != asked:
        forget(root, folder)
        asked.write(folder / "run.json")
    if not (work / "dvc.yaml").is_file():
        _clear_work(root, tree)
        git(root, "worktree", "add", "-q", "-B", asked.branch, str(tree), asked.base)
    Path(git(work, "rev-parse", "--path-format=absolute", "--git-path", "index.lock").strip()).unlink(missing_ok=True)
    commit = _committed(work, asked)
    if commit is None:
        git(work, "reset", "-q", "--hard", asked.base)  # whatever a run that was killed has left half done
        _share_cache(root, work, folder)
        _set_through(work / PARAMS, asked.through)
        say(f"learning up to {asked.through} on branch {asked.branch}: {asked.cause}")
        _run(root, work, folder, "dvc", "repro")
        say("held to the gates")
        _run(root, work, folder, "ringbound", "gate", "--environment", asked.environment)
        asked.write(work / layout.REPORTS / "retraining.json")
        git(work, "add", "-u")
        git(work, "add", layout.REPORTS)  # but for what DVC keeps
        # Hooks are for what people write.
        says = f"Learn up to {asked.through}: {asked.cause}"
        git(work, "-c", "core.hooksPath=/dev/null", "commit", "-q", "--no-verify", "-m", says)
        commit = git(work, "rev-parse", "HEAD").strip()
    known = [entry for entry in registry.versions().values() if entry.commit == commit]
    entry = known[0] if known else registry.register(commit, note=f"retrained: {asked.cause}")
    at = Revision(root, commit)
    model, verdict = at.record(layout.MODEL, ModelFacts), at.record(layout.VERDICT, Verdict)
    if model is None or verdict is None:
        raise RegistryError(
            f"retrain: expected {layout.MODEL} and {layout.VERDICT} on {asked.branch}; delete it and run again"
        )
    return Retrained(entry, model.version, verdict)


def forget(root: Path, folder: Path) -> None:
    """Leave nothing of a run but its version and the branch with its commit; a branch without one goes too."""
    _end_leftovers(root)
    left = begun(folder)
    _clear_work(root, folder / WORK)
    if left:
        with suppress(WorkspaceError):
            if git(root, "rev-parse", left.branch).strip() == left.base:
                git(root, "branch", "-q", "-D", left.branch)
    (folder / "run.json").unlink(missing_ok=True)


def goes_on(root: Path, folder: Path) -> Retraining | None:
    """Return the run that is to be gone on with; None where there is none, or HEAD is another and it has no commit yet."""
    left = begun(folder)
    if left is None or left.base == git(root, "rev-parse", "HEAD").strip():
        return left
    work = folder / WORK / git(root, "rev-parse", "--show-prefix").strip()
    return left if (work / "dvc.yaml").is_file() and _committed(work, left) else None


def _clear_work(root: Path, work: Path) -> None:
    with suppress(WorkspaceError):
        git(root, "worktree", "remove", "--force", "--force", str(work))
    shutil.rmtree(work, ignore_errors=True)
    git(root, "worktree", "prune")


def _share_cache(root: Path, work: Path, folder: Path) -> None:
    """Let the second working tree use the cache, and the remotes, that the first one does."""
    own = root / ".dvc/config.local"
    if own.is_file():
        shutil.copy2(own, work / ".dvc/config.local")  # for its owner's eyes, as it is
    cache = _output(root, "dvc", "cache", "dir").strip()
    _run(root, work, folder, "dvc", "cache", "dir", "--local", cache)


def _set_through(file: Path, through: str) -> None:
    from ruamel.yaml import YAML
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 10_000
    params = yaml.load(file.read_text("utf-8"))
    params["ingest"]["through"] = DoubleQuotedScalarString(through)
    with file.open("w", encoding="utf-8") as out:
        yaml.dump(params, out)


def _committed(work: Path, asked: Retraining) -> str | None:
    """Return the commit of a run that came as far."""
    at = Revision(work, "HEAD")
    with suppress(RecordError):
        if at.record(f"{layout.REPORTS}/retraining.json", Retraining) == asked:
            return at.commit
    return None


def _environment(root: Path, work: Path) -> dict[str, str]:
    """Return the environment for commands there: this Python's, the code of that working tree, and whose they are."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), mine.get("PATH", os.defpath)])
    code = os.pathsep.join(filter(None, [str(work / "src"), mine.get("PYTHONPATH", "")]))
    archive = str(workspace.archive_folder())  # that of the workspace: the other tree has none
    return mine | {"PATH": path, "PYTHONPATH": code, "RINGBOUND_ARCHIVE": archive, OWNER: str(root)}


def _run(root: Path, work: Path, folder: Path, *command: str) -> None:
    """Run a command there, its output to a file; `WorkspaceError` with its last line where it fails."""
    log = folder / "log.txt"
    with log.open("a", encoding="utf-8") as out:
        done = subprocess.run(command, cwd=work, env=_environment(root, work), stdout=out, stderr=subprocess.STDOUT)
    if done.returncode:
        lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
        raise WorkspaceError(
            f"retrain: {' '.join(command[:2])} failed: {one_line(Exception(lines[-1] if lines else ''), 300)}; see "
            f"{log.name} in {layout.RETRAIN}; the next run goes on from here"
        )


def _output(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, env=_environment(folder, folder), capture_output=True, text=True)
    if done.returncode:
        raise WorkspaceError(f"retrain: {' '.join(command)} failed: {one_line(Exception(done.stderr.strip()), 200)}")
    return done.stdout


def _end_leftovers(root: Path) -> None:
    """End what a run that was killed has left running: whoever holds the lock knows that it is nobody's."""
    mark = f"{OWNER}={root}\0".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            if int(process.name) != os.getpid() and mark in (process / "environ").read_bytes() + b"\0":
                os.kill(int(process.name), signal.SIGKILL)
