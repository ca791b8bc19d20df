"""What a stage can see: of the workspace, only what it declares.

A stage runs in a view of the workspace: a folder with links to its declared dependencies and outputs, the code, and live
caches, and nothing else. A file that is not declared is not there, whoever opens it, be it Python, Arrow or a database. Where
Python opens a file by the full path of the workspace, or changes one, an audit hook in the stage's kernel stops it. What is
left is code that is not Python, or another process: given that full path on purpose it can read, and through a link it can
write. Inputs that have changed when a stage ends fail it: see `state_of`.
"""

import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ringbound.workspace import layout

CACHES = (layout.SHARDS, layout.PROFILES, layout.SIMULATION, layout.STUDIES)
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
READS = ("open", "sqlite3.connect")
CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.truncate", "os.link", "os.symlink", "shutil.rmtree")
TWO = ("os.rename", "os.link", "os.symlink")
"""Changes that concern two paths."""
REAL = "RINGBOUND_REAL_WORKSPACE"
DECLARED = "RINGBOUND_DECLARED"


def make_view(root: Path, view: Path, declared: Sequence[str]) -> None:
    """Fill the folder `view` with links to what a stage may see of the workspace `root`."""
    for cache in (layout.SHARDS, layout.PROFILES, layout.SIMULATION):
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


def state_of(root: Path, declared: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return size and time of change, in nanoseconds, of every declared file, and of those in declared folders."""
    state = {}
    for path in declared:
        for file in sorted((root / path).rglob("*")) if (root / path).is_dir() else [root / path]:
            if file.is_file():
                known = file.stat()
                state[file.relative_to(root).as_posix()] = (known.st_size, known.st_mtime_ns)
    return state


class UndeclaredFileError(PermissionError):
    """A stage opened a file of the workspace that it does not declare."""


def watch(real: str, declared: Sequence[str]) -> None:
    """From now on, refuse this process every file of the workspace `real` that is neither declared nor code."""
    inside = real + os.sep
    allowed = (*UNWATCHED, *declared)

    def below(path: str, places: Sequence[str]) -> bool:
        return any(path == inside + place or path.startswith(inside + place + os.sep) for place in places)

    def check(path: str, writes: bool) -> None:
        if not path.startswith(inside) or below(path, CACHED) or (below(path, ("src",)) and "__pycache__" in path):
            return
        if writes and not below(path, WRITABLE):
            raise UndeclaredFileError(
                f"opened {os.path.relpath(path, real)} for writing; a stage writes to workspace.stage_output(…)"
            )
        code = below(path, ("src",)) and path.endswith(CODE)
        if not (code or os.path.isdir(path) or below(path, allowed)):  # noqa: PTH112
            raise UndeclaredFileError(f"opened {os.path.relpath(path, real)}, which the stage does not declare")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in READS + CHANGES:
            return
        flags = arguments[2] if event == "open" else 0
        writes = event in CHANGES or (isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR)))
        for given in arguments[: 2 if event in TWO else 1]:
            if isinstance(given, (str, bytes, os.PathLike)):
                text = os.fsdecode(given)
                text = urlsplit(text).path if text.startswith("file:") else text
                for path in {os.path.abspath(text), os.path.realpath(text)}:  # noqa: PTH100 - as named, and where it leads
                    check(path, writes)

    sys.addaudithook(hook)


def watch_from_environment() -> None:
    """Do what the stage runner has asked for, and keep quiet what the kernel's sockets say of its own end."""
    logging.getLogger("tornado.general").setLevel(logging.CRITICAL)  # a race as it shuts down, which loses nothing
    if REAL in os.environ:
        watch(os.environ[REAL], os.environ.get(DECLARED, "").split("\n"))
