"""The workspace's root, its settings, and where a stage reads from and writes to."""

import os
import shutil
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from ringbound.errors import WorkspaceError, one_line
from ringbound.workspace import layout


def root(start: Path | None = None) -> Path:
    """Return the nearest folder, from `start` (default: here) upwards, whose pyproject.toml has `[tool.ringbound]`."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if _settings(folder) is not None:
            return folder
    raise WorkspaceError(
        f"expected a workspace (a pyproject.toml with [tool.ringbound]) at or above {here.name}/; found none; "
        "run this inside a ringbound checkout"
    )


@cache
def _settings(folder: Path) -> dict[str, Any] | None:
    file = folder / "pyproject.toml"
    if not file.is_file():
        return None
    try:
        return tomllib.loads(file.read_text("utf-8")).get("tool", {}).get("ringbound")
    except tomllib.TOMLDecodeError as error:
        raise WorkspaceError(f"pyproject.toml is not TOML: {one_line(error)}; correct it") from error


def problem_entry(folder: Path | None = None) -> str:
    """Return where the problem is declared, `MODULE:NAME`, as `[tool.ringbound] problem` says."""
    entry = (_settings(folder or root()) or {}).get("problem")
    module, _, name = entry.partition(":") if isinstance(entry, str) else ("", "", "")
    if not isinstance(entry, str) or not module or not name:
        raise WorkspaceError(
            f'expected `problem = "PACKAGE.MODULE:NAME"` under [tool.ringbound] in pyproject.toml; got {entry!r}'
        )
    return entry


def package_name(folder: Path | None = None) -> str:
    """Return the problem's package: what its notebooks are exported to."""
    return problem_entry(folder).split(".")[0].partition(":")[0]


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of the workspace."""
    try:
        return parse_yaml(path.read_text("utf-8"), path.name)
    except FileNotFoundError as error:
        raise WorkspaceError(f"expected {path.name} in the workspace; it is not there") from error


def parse_yaml(text: str, name: str) -> dict[str, Any]:
    """Return the YAML text of the file `name` in DVC's own dialect (YAML 1.2: `1e-3` is a number, `no` is a string)."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        values = YAML(typ="safe", pure=True).load(text) or {}
    except (YAMLError, ValueError, RecursionError) as error:
        raise WorkspaceError(f"{name} is not YAML: {one_line(error)}") from error
    if not isinstance(values, dict):
        raise WorkspaceError(
            f"{name}: expected names with values; got {one_line(Exception(repr(values)), 80)}; correct it"
        )
    return values


def stage_input(path: str) -> Path:
    """Return a stage's input, which must exist."""
    file = root() / path
    if not file.exists():
        raise WorkspaceError(f'expected {path}; it is not there; run "dvc repro" for the stage that makes it')
    return file


def stage_output(path: str) -> Path:
    """Return where to write the output `path`.

    Under the stage runner this is a staging folder, published only when the whole notebook has succeeded. In
    JupyterLab it is `data/scratch`, so that a notebook run by hand never touches what DVC tracks.
    """
    base = os.environ.get("RINGBOUND_STAGING")
    target = (Path(base) if base else root() / layout.SCRATCH) / path
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def stage_folder(path: str) -> Path:
    """Return the empty folder in which to write the output folder `path`: see `stage_output`."""
    return fresh_folder(stage_output(path))


def default_store() -> str:
    """Return the URL of the workspace's own operational store."""
    file = root() / layout.STORE
    file.parent.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{file}"


def archive_folder() -> Path:
    """Return the folder of archives: RINGBOUND_ARCHIVE, which several hosts may share, or that of the workspace."""
    given = os.environ.get("RINGBOUND_ARCHIVE")
    return Path(given).absolute() if given else root() / layout.ARCHIVE


def fresh_folder(path: Path) -> Path:
    """Return `path` as an empty folder, whatever was there before."""
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path
