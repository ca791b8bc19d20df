"""What may go: caches and copies that can be made again, and what DVC keeps of commits that nobody named.

Never what a working tree, a version, a branch, a tag or a stash needs; never answers, outcomes, events or keys.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ringbound import workspace
from ringbound.errors import WorkspaceError, one_line
from ringbound.release.registry import SERVED, Registry
from ringbound.release.retraining import only_one
from ringbound.workspace import layout
from ringbound.workspace.revision import Revision, git

DAY_S = 86_400.0


@dataclass(frozen=True)
class Waste:
    """Files and folders of one kind that may go, their bytes, and what that would mean."""

    what: str
    paths: list[Path]
    size: int
    means: str


@dataclass(frozen=True)
class Sweep:
    """All that may go; `losses` are the commits that lose something, with what they would lose for good."""

    wastes: list[Waste]
    losses: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """All bytes together."""
        return sum(one.size for one in self.wastes)

    def clear(self) -> int:
        """Remove it all, and return how many bytes went."""
        gone = 0
        for one in self.wastes:
            for path in one.paths:
                size = size_of(path)
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
                gone += size
        return gone


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; links count nothing."""
    if path.is_symlink() or not path.exists():
        return 0
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
    return sum(file.stat().st_size for file in files)


@contextmanager
def sweeping(registry: Registry, *, older_than_days: float, now: float | None = None) -> Iterator[Sweep]:
    """Yield what may go from a workspace, which stands still until then; caches only where nobody used them for so long.

    `WorkspaceError` while DVC is at work there, or in another working tree: what it has just made is in no commit yet.
    """
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo

    root = registry.root
    try:
        opened = Repo(str(root))
    except DvcException as error:
        raise WorkspaceError(f"ops gc: expected a workspace of DVC; {one_line(error, 200)}") from error
    with only_one(root / layout.RETRAIN), opened as repo:
        try:
            repo.lock.lock()  # which it needs to keep what a stage has made
        except LockError as error:
            raise WorkspaceError("ops gc: expected that DVC does nothing here; it does; wait for it") from error
        try:
            trees = _trees(root)
            for tree in trees:
                if working := _at_work(tree):
                    raise WorkspaceError(
                        f"ops gc: expected that DVC does nothing here; process {working} does; wait for it"
                    )
            yield _found(
                registry, Path(repo.cache.local.path), trees, older_than_days, time.time() if now is None else now
            )
        finally:
            repo.lock.unlock()


def _found(registry: Registry, cache: Path, trees: list[Path], older_than_days: float, present: float) -> Sweep:
    root, old = registry.root, present - older_than_days * DAY_S
    fetched = [path for path in _older(root, [layout.FETCHED], old) if _fetchable(registry, path.name, cache)]
    caches = [layout.SIMULATION, layout.SHARDS, layout.PROFILES]
    found = [
        _waste("caches not used of late", _older(root, caches, old), "the next run takes longer"),
        _waste("versions fetched, not used of late", fetched, "fetched again when they are asked for"),
        _waste("left by runs that were killed", _abandoned(root / layout.STAGING), "nothing"),
    ]
    of_dvc = _cache(registry, cache, trees)
    return Sweep([one for one in [*found, *of_dvc.wastes] if one.paths], of_dvc.losses, of_dvc.notes)


def _waste(what: str, paths: list[Path], means: str) -> Waste:
    return Waste(what, paths, sum(map(size_of, paths)), means)


def _older(root: Path, folders: list[str], than: float) -> list[Path]:
    """Return what nobody has written or read since; to look into a folder is to read it, so of folders writing counts."""
    found = [path for folder in folders for path in sorted((root / folder).glob("*"))]
    return [path for path in found if max(_used(one) for one in (path, *path.rglob("*"))) < than]


def _used(path: Path) -> float:
    at = path.lstat()
    return at.st_mtime if path.is_dir() else max(at.st_mtime, at.st_atime)


def _fetchable(registry: Registry, version: str, cache: Path) -> bool:
    """Return whether a copy of a version can be fetched again out of the cache, and no environment has it now."""
    entry = registry.versions().get(version)
    if entry is None or version in {held.version for held in registry.environments().values()}:
        return False
    outputs = Revision(registry.root, entry.commit).outputs
    names = {outputs[path]["md5"] for path in SERVED if path in outputs}
    names |= {one for name in names if name.endswith(".dir") for one in _within(cache, name) or {""}}
    return len(names) > 1 and all(name and (cache / name[:2] / name[2:]).is_file() for name in names)


def _abandoned(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*")) if not _runs(path.name.rpartition(".")[2])]


def _runs(process: Any) -> bool:
    """Return whether a process runs; one of which that cannot be said does."""
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, PermissionError):
        pass
    return True


def _trees(root: Path) -> list[Path]:
    """Return this workspace in every working tree of its repository: they may share a cache."""
    listed = git(root, "worktree", "list", "--porcelain")
    within = git(root, "rev-parse", "--show-prefix").strip()
    found = [
        Path(line.removeprefix("worktree ")) / within for line in listed.splitlines() if line.startswith("worktree ")
    ]
    return [tree for tree in {root, *(one.resolve() for one in found)} if (tree / ".dvc").is_dir()]


def _at_work(root: Path) -> str:
    """Return the process that DVC runs a stage in; nothing where none does, whatever one that was killed has left."""
    file = root / ".dvc/tmp/rwlock"
    if not file.is_file() or not file.stat().st_size:
        return ""
    try:
        entries = [entry for kind in json.loads(file.read_text("utf-8")).values() for entry in kind.values()]
        holders = [one["pid"] for entry in entries for one in (entry if isinstance(entry, list) else [entry])]
    except (ValueError, KeyError, TypeError, AttributeError):
        return "unknown"
    return next((str(one) for one in holders if one != os.getpid() and _runs(one)), "")


def _cache(registry: Registry, cache: Path, trees: list[Path]) -> Sweep:
    """Return what DVC's cache has that no working tree, branch, tag, stash or other ref of git needs."""
    root = registry.root
    if not cache.resolve().is_relative_to(root.resolve()):
        note = f"DVC's cache lies in {cache}, which others may share: it is left alone; see dvc gc --projects"
        return Sweep([], notes=[note])
    texts = [text for tree in trees for text in _tracked_by(tree)]
    texts += [text for tree in trees for text in _tracked_at(tree, "")]  # what is staged
    texts += [text for commit in sorted(_named(root, trees)) for text in _tracked_at(root, commit)]
    kept_by_git = {path for name, text in texts if name == "dvc.yaml" for path in _uncached(text)}
    paths = {value: path for name, text in texts if name != "dvc.yaml" for value, path in _hashes(name, text)}
    folders = {name: _within(cache, name) for name in paths if name.endswith(".dir")}
    missing = sorted(name for name, parts in folders.items() if parts is None and paths[name] not in kept_by_git)
    if missing:
        note = f"what is in {len(missing)} folders that are needed is not known here, as of {paths[missing[0]]}, {missing[0]}"
        return Sweep([], notes=[f"{note}: DVC's cache is left alone; see dvc fetch --all-branches --all-tags"])
    needed = set(paths).union(*(parts for parts in folders.values() if parts))
    there = {file.parent.name + file.name: file for file in cache.glob("??/*") if file.is_file()}
    gone = {name: file for name, file in there.items() if name not in needed}
    runs = cache.parents[1] / "runs"
    wastes = [
        _waste("outputs of commits without a name", sorted(gone.values()), "see below"),
        _waste("DVC's memory of runs", [runs] if runs.is_dir() and gone else [], "what has run before runs again"),
    ]
    return Sweep(wastes, _losses(registry, set(gone)) if gone else [])


def _named(root: Path, trees: list[Path]) -> set[str]:
    """Return the commits that anything leads to: refs of any kind, all stashes, and what working trees stand on."""
    found = set()
    for line in git(root, "for-each-ref", "--format=%(objecttype) %(*objecttype) %(refname)").splitlines():
        *kinds, name = line.split()
        if {"commit", "tag"} & {kinds[-1]}:
            found.add(git(root, "rev-parse", f"{name}^{{commit}}").strip())
    found |= set(git(root, "stash", "list", "--format=%H").split())
    return found | {git(tree, "rev-parse", "HEAD").strip() for tree in trees}


def _is_dvcs(path: str) -> bool:
    """Return whether a file says what DVC keeps."""
    name = path.rpartition("/")[2]
    return name in ("dvc.lock", "dvc.yaml") or (name.endswith(".dvc") and name != ".dvc")


def _tracked_by(tree: Path) -> Iterator[tuple[str, str]]:
    """Yield the files by which DVC keeps what lies in a working tree, by name, also those that are not committed."""
    for folder, folders, files in os.walk(tree):
        folders[:] = [name for name in folders if name not in (".git", ".dvc", ".venv", "node_modules")]
        for name in filter(_is_dvcs, files):
            yield name, (Path(folder) / name).read_text("utf-8", "replace")


def _tracked_at(root: Path, commit: str) -> Iterator[tuple[str, str]]:
    """Yield the same files of a commit; without one, of what is staged."""
    tree = ["ls-tree", "-r", "--name-only", "--full-tree", commit] if commit else ["ls-files", "--full-name", ":/"]
    for name in filter(_is_dvcs, git(root, *tree, "-z").split("\0")):
        yield name.rpartition("/")[2], git(root, "show", f"{commit}:{name}")


def _hashes(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield what DVC knows outputs by, with their paths."""
    for stage in _stages(name, text):
        yield from ((str(out["md5"]), str(out.get("path"))) for out in stage.get("outs") or [] if out.get("md5"))


def _uncached(text: str) -> Iterator[str]:
    """Yield the outputs that a dvc.yaml leaves to git."""
    for stage in _stages("dvc.yaml", text):
        for out in [
            one for kind in ("outs", "metrics", "plots") for one in stage.get(kind) or [] if isinstance(one, dict)
        ]:
            yield from (path for path, how in out.items() if isinstance(how, dict) and how.get("cache") is False)


def _stages(name: str, text: str) -> list[dict[str, Any]]:
    """Return what such a file says of stages; `WorkspaceError` where it cannot be read: then nothing is known to be waste."""
    plain = workspace.parse_yaml(text, name)
    return [one for one in [plain, *(plain.get("stages") or {}).values()] if isinstance(one, dict)]


def _within(cache: Path, name: str) -> set[str] | None:
    """Return what a folder in the cache is made of; None where it is not here, or is not what it was."""
    file = cache / name[:2] / name[2:]
    if not file.is_file():
        return None
    content = file.read_bytes()
    if hashlib.md5(content, usedforsecurity=False).hexdigest() + ".dir" != name:
        return None
    return {entry["md5"] for entry in json.loads(content)}


def _losses(registry: Registry, gone: set[str]) -> list[str]:
    """Return the commits that lose outputs, and which could be made again from nothing that is kept."""
    lines = []
    for line in git(registry.root, "log", "--all", "--format=%h %as %s").splitlines():
        commit = line.split(" ", 1)[0]
        lost: dict[str, bool] = {}
        for name, text in _tracked_at(registry.root, commit):
            for stage in [] if name == "dvc.yaml" else _stages(name, text):
                outs = [out for out in stage.get("outs") or [] if out.get("md5") in gone]
                lost |= {out["path"]: _reads_no_data(stage) for out in outs}
        if lost:
            first = [path for path, alone in lost.items() if alone]
            says = f"; only its sources can give {', '.join(first)} again" if first else "; all can be made again"
            lines.append(f"{line[:70]}: loses {len(lost)} outputs{says}")
    return lines


def _reads_no_data(stage: dict[str, Any]) -> bool:
    """Return whether a stage's outputs come from outside: all that it depends on is code."""
    deps = [dep.get("path", "") for dep in stage.get("deps", [])]
    outs = [out.get("path", "") for out in stage.get("outs", [])]
    return all(path.startswith(layout.CODE) for path in deps) and layout.CODE not in outs
