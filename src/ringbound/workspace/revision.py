"""A revision of the workspace, read where it lies: small files in git, outputs in DVC's cache or remote."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from ringbound import workspace
from ringbound.errors import RecordError, WorkspaceError, one_line
from ringbound.workspace.records import Record

R = TypeVar("R", bound=Record)


def git(root: Path, *arguments: str) -> str:
    """Return what git says; `WorkspaceError` with its last line where it refuses."""
    result = subprocess.run(["git", *arguments], cwd=root, capture_output=True, encoding="utf-8", errors="replace")
    if result.returncode:
        said = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise WorkspaceError(f"git {arguments[0]}: {one_line(Exception(said), 200)}")
    return result.stdout


def _commit(root: Path, name: str) -> str:
    try:
        return git(root, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}").strip()
    except WorkspaceError as error:
        raise WorkspaceError(
            f"{name}: expected a commit, branch or tag of this repository; {error}; see git log, or fetch it first"
        ) from None


class Revision:
    """The workspace `root` at a revision of git, or as it stands where `name` is None."""

    def __init__(self, root: Path, name: str | None = None):
        self.root = root
        self.commit = None if name is None else _commit(root, name)
        self.name = name or "the workspace"

    def text(self, path: str) -> str | None:
        """Return a file that git keeps; None where this revision has none."""
        if self.commit is None:
            file = self.root / path
            return file.read_text("utf-8") if file.is_file() else None
        try:
            return git(self.root, "show", f"{self.commit}:./{path}")
        except WorkspaceError:
            return None

    def record(self, path: str, kind: type[R]) -> R | None:
        """Return a record that git keeps; None where this revision has none, an error where it is not one."""
        text = self.text(path)
        if text is None:
            return None
        try:
            return kind.from_text(text, path)
        except RecordError as error:
            raise RecordError(f"{self.name}: {error}") from error

    def yaml(self, path: str) -> dict[str, Any]:
        """Return a YAML file that git keeps; empty where this revision has none."""
        text = self.text(path)
        return {} if text is None else workspace.parse_yaml(text, path)

    @cached_property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """What dvc.lock says of every output, by path: md5, size and, of a folder, nfiles."""
        stages = self.yaml("dvc.lock").get("stages", {})
        return {out["path"]: out for stage in stages.values() for out in stage.get("outs", [])}

    @cached_property
    def _stored(self) -> Any:
        """The outputs of a revision as a file system: DVC's cache, then its remote."""
        from dvc.api import DVCFileSystem

        return DVCFileSystem(str(self.root), rev=self.commit)

    def fetch(self, path: str, folder: Path) -> Path:
        """Put an output below `folder`, out of DVC's cache or remote, and return it; the workspace's own is where it is.

        `WorkspaceError` says exactly what is missing.
        """
        if self.commit is None:
            return workspace.stage_input(path)
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._reading(path):
            self._stored.get(path, str(target), recursive=True)
        return target

    def files(self, path: str) -> Iterator[tuple[str, Any]]:
        """Yield the files of an output, by their paths within it, each open for reading."""
        if self.commit is None:
            folder = workspace.stage_input(path)
            for file in sorted(f for f in folder.rglob("*") if f.is_file()):
                with file.open("rb") as opened:
                    yield file.relative_to(folder).as_posix(), opened
            return
        with self._reading(path):
            for name in sorted(self._stored.find(path)):
                with self._stored.open(name) as opened:
                    yield name.removeprefix(f"{path}/"), opened

    @contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        if path not in self.outputs:
            raise WorkspaceError(f"{self.name}: its dvc.lock has no {path}")
        from dvc.exceptions import DvcException
        from dvc_data.index import DataIndexDirError

        try:
            yield
        except (DvcException, DataIndexDirError, OSError) as error:
            raise WorkspaceError(
                f"{self.name}: {path} (md5 {self.outputs[path]['md5']}) is neither in DVC's cache nor in a remote; "
                'run "dvc push" where it was made'
            ) from error
