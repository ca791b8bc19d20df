"""The files of a new workspace: templates, filled in; git and DVC begun; notebooks exported."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from string import Template

from ringbound.errors import WorkspaceError, one_line
from ringbound.notebooks.markdown import write_notebook
from ringbound.workspace import layout

TEMPLATE = Path(__file__).parent / "template"
PLACES = {
    "Makefile.txt": "Makefile",
    "README.md.txt": "README.md",
    "pyproject.toml.txt": "pyproject.toml",
    "params.yaml.txt": "params.yaml",
    "dvc.yaml.txt": "dvc.yaml",
    "gitignore.txt": ".gitignore",
    "dvcignore.txt": ".dvcignore",
    "service.py.txt": "bentos/service.py",
    "test_workspace.py.txt": "tests/test_workspace.py",
    "tests.yml.txt": ".github/workflows/tests.yml",
}
"""Where each template is written, but for the notebooks. Their names end in .txt: DVC, pytest and mypy leave them alone."""


def write_workspace(folder: Path, table: Path, texts: Mapping[str, str]) -> None:
    """Write a workspace about a table into a folder that is empty or not there; begin git and DVC, export the notebooks.

    A new folder appears when it is whole; what a run that was killed has left beside it, the next one removes.
    """
    if folder.exists() and (not folder.is_dir() or any(path.name != ".git" for path in folder.iterdir())):
        found = "has files" if folder.is_dir() else "is a file"
        raise WorkspaceError(f"{folder.name}: expected a folder that is not there, or is empty; it {found}")
    making = folder if folder.is_dir() else folder.with_name(f".{folder.name}.unfinished")
    if making != folder:
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
    try:
        _git(making, "--version")
        _write(making, table, texts)
        if making != folder:
            making.rename(folder)
    except BaseException:  # also where somebody interrupts: the next try begins anew
        for path in making.iterdir():
            if path.name != ".git" or making != folder:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        if making != folder:
            making.rmdir()
        raise


def _write(folder: Path, table: Path, texts: Mapping[str, str]) -> None:
    filled = {**texts, "version": version("ringbound")}
    for name, place in PLACES.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template((TEMPLATE / name).read_text("utf-8")).substitute(filled), "utf-8")
    for file in sorted((TEMPLATE / "notebooks").glob("*.md")):
        write_notebook(
            folder / "notebooks" / f"{file.stem}.ipynb", Template(file.read_text("utf-8")).substitute(filled)
        )
    package = folder / "src" / texts["package"]
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    sources = folder / "data/sources"
    sources.mkdir(parents=True)
    shutil.copyfile(table, sources / texts["file"])
    if not _git(folder, "rev-parse", "--is-inside-work-tree"):
        _call(folder, "git", "init", "-q", "-b", "main")
        _call(folder, sys.executable, "-m", "dvc", "init", "-q")
    else:
        _call(folder, sys.executable, "-m", "dvc", "init", "-q", "--subdir")
    _call(folder, sys.executable, "-m", "dvc", "add", "-q", f"data/sources/{texts['file']}")
    _call(folder, sys.executable, "-m", "ringbound", "notebooks", "export")


def _environment(folder: Path) -> dict[str, str]:
    beside = str(Path(sys.executable).parent)
    code = os.pathsep.join(filter(None, [str(folder / "src"), os.environ.get("PYTHONPATH", "")]))
    path = os.pathsep.join([beside, os.environ.get("PATH", os.defpath)])
    home = str(folder / layout.BENTO_HOME)
    return os.environ | {"PATH": path, "PYTHONPATH": code, "DVC_NO_ANALYTICS": "1", "BENTOML_HOME": home}


def _git(folder: Path, *arguments: str) -> bool:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise WorkspaceError("expected git; it is not installed") from error
    return done.returncode == 0


def _call(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, env=_environment(folder), capture_output=True, text=True)
    if done.returncode:
        says = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise WorkspaceError(f"{' '.join(command[-3:])}: {one_line(Exception(says))}")
