"""What a stage can see: of the workspace, only what it declares.

A stage runs in a view of the workspace: a folder with links to its declared dependencies and outputs, the code, and live
caches, and nothing else. A file that is not declared is not there, whoever opens it, be it Python, Arrow or a database. Where
Python opens a file by the full path of the workspace, an audit hook in the stage's kernel stops it. What is left is code
that is not Python, or another process, given that full path on purpose: nothing in a stage says what it is.
"""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ringbound.workspace import layout

CACHES = (layout.SHARDS, layout.PROFILES, layout.STUDIES)
"""What stages keep from run to run in `data/ops`: it saves time, and changes no result."""
ALWAYS = ("pyproject.toml", "src", *CACHES)
WRITABLE = (
    *CACHES,
    f"{layout.STUDIES}-wal",
    f"{layout.STUDIES}-shm",
    f"{layout.STUDIES}-journal",
    layout.STAGING,
    layout.BENTO_HOME,
)
UNWATCHED = ("pyproject.toml", ".venv", *WRITABLE)
CACHED = (".dvc",)
"""Where DVC may keep what it links to."""
CODE = (".py", ".pyc", ".so")
WATCHED = ("open", "sqlite3.connect")
REAL = "RINGBOUND_REAL_WORKSPACE"
DECLARED = "RINGBOUND_DECLARED"


def make_view(root: Path, view: Path, declared: Sequence[str]) -> None:
    """Fill the folder `view` with links to what a stage may see of the workspace `root`."""
    for cache in (layout.SHARDS, layout.PROFILES):
        (root / cache).mkdir(parents=True, exist_ok=True)
    (view / "notebooks").mkdir(parents=True)
    for path in sorted({*ALWAYS, *declared}):  # folders before what is in them
        if (root / path).exists() or path == layout.STUDIES:  # which the search makes
            (view / path).parent.mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(view / path):
                (view / path).symlink_to(root / path)


def unseen(message: str, root: Path, view: Path) -> str | None:
    """Return the file of the workspace that an error's message names and that the stage may not see; None for none."""
    quoted = re.findall(r"['\"]([^'\"]+)['\"]", message)
    for text in [*quoted, message.rpartition(": ")[2], *re.findall(r"expected (\S+); it is not there", message)]:
        for base in (view / "notebooks", view):
            path = os.path.normpath(base / text)
            if not path.startswith(f"{view}{os.sep}"):
                continue
            relative = os.path.relpath(path, view)
            if (root / relative).exists() and not os.path.lexists(path) and relative != ".":
                return relative
    return None


class UndeclaredFileError(PermissionError):
    """A stage opened a file of the workspace that it does not declare."""


def watch(real: str, declared: Sequence[str]) -> None:
    """From now on, refuse this process every file of the workspace `real` that is neither declared nor code."""
    inside = real + os.sep
    allowed = (*UNWATCHED, *declared)

    def below(path: str, places: Sequence[str]) -> bool:
        return any(path == inside + place or path.startswith(inside + place + os.sep) for place in places)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in WATCHED or not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return
        given = os.fsdecode(arguments[0])
        given = urlsplit(given).path if given.startswith("file:") else given
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        for path in {os.path.abspath(given), os.path.realpath(given)}:  # noqa: PTH100 - as it is named, and where it leads
            compiled = path.startswith(inside + "src") and "__pycache__" in path
            if not path.startswith(inside) or compiled or os.path.isdir(path) or below(path, CACHED):  # noqa: PTH112
                continue
            if writes and not below(path, WRITABLE):
                raise UndeclaredFileError(
                    f"opened {os.path.relpath(path, real)} for writing; a stage writes to workspace.stage_output(…)"
                )
            if not below(path, allowed) and not (path.startswith(inside + "src") and path.endswith(CODE)):
                raise UndeclaredFileError(f"opened {os.path.relpath(path, real)}, which the stage does not declare")

    sys.addaudithook(hook)


def watch_from_environment() -> None:
    """Do what the stage runner has asked for."""
    if REAL in os.environ:
        watch(os.environ[REAL], os.environ.get(DECLARED, "").split("\n"))
