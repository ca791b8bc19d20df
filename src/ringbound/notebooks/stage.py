"""Run one notebook as one pipeline stage, strictly: `ringbound stage NAME`.

The notebook gets its own section of params.yaml and nothing else; what it writes is published only when every cell
has succeeded; it sees only what dvc.yaml declares for it; its executed form is an ordinary, byte-reproducible output.
"""

import hashlib
import os
import resource
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from ringbound import workspace
from ringbound.errors import NotebookError, StageError
from ringbound.notebooks import sight
from ringbound.notebooks.execution import CellError, execute, normalise, render
from ringbound.notebooks.export import out_of_step
from ringbound.notebooks.source import dumps, parameters, read
from ringbound.workspace import layout
from ringbound.workspace.records import Record

# Reproducible hashes, wall clocks and sums: thread pools split reductions differently from run to run, and processors
# with AVX-512 round exp, log and dot products in other last bits than those without.
KERNEL_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "WHYLOGS_NO_ANALYTICS": "True",
    "PYTHONWARNINGS": "ignore:IProgress",  # a widget that no terminal shows
}


def checked_parameters(name: str, given: Any, defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the section `given` if it has exactly the names and types of `defaults`; else raise `NotebookError`.

    A whole number is accepted where the default is a float; nothing else is converted.
    """
    where = f"params.yaml, section {name}"
    if not isinstance(given, dict):
        raise NotebookError(f"{where}: expected {sorted(defaults)}; found no such section; add it")
    unknown, missing = sorted(given.keys() - defaults.keys(), key=str), sorted(defaults.keys() - given.keys())
    if unknown or missing:
        raise NotebookError(
            f"{where}: expected {sorted(defaults)}; "
            + "; ".join(f"{what} {names}" for what, names in (("unknown", unknown), ("missing", missing)) if names)
            + f"; correct params.yaml or the parameters cell of notebooks/{name}.ipynb"
        )
    for key, default in defaults.items():
        if misfit := _misfit(key, given[key], default):
            raise NotebookError(f"{where}: {misfit}")
    return given


def _misfit(name: str, value: Any, default: Any) -> str | None:
    """Return what is wrong with a parameter that should be like its default, all the way down; None where nothing is.

    An item of a list is like some item of the default; a default list or mapping without any says nothing of them.
    """
    if type(value) is not type(default) and not (type(default) is float and type(value) is int):
        return f"expected {name} of type {type(default).__name__} (like {default!r}); got {value!r} ({type(value).__name__})"
    if isinstance(default, dict) and default:
        if value.keys() != default.keys():
            return f"expected {name} with the names {list(default)}; got {list(value)}"
        return next(filter(None, (_misfit(f"{name}.{key}", value[key], default[key]) for key in default)), None)
    if isinstance(default, list) and default:
        for place, item in enumerate(value):
            misfits = [_misfit(f"{name}[{place}]", item, like) for like in default]
            if all(misfits):
                return misfits[0]
    return None


@dataclass(frozen=True)
class StageCost(Record):
    """What a stage took when it ran last, with all processes it started: `peak` is the largest one's memory, in bytes.

    `of` is the digest of its executed form, so that one knows of which run it is; `written` are the bytes of its outputs.
    """

    of: str
    seconds: float
    cpu_seconds: float
    peak: int
    written: int


@dataclass(frozen=True)
class Declaration:
    """What dvc.yaml says of a stage: the files and folders it depends on, and those it makes."""

    dependencies: list[str]
    outputs: list[str]


def declaration(root: Path, name: str) -> Declaration:
    """Return what dvc.yaml declares for the stage."""
    stage = workspace.load_yaml(root / "dvc.yaml").get("stages", {}).get(name)
    if stage is None:
        raise NotebookError(f"expected a stage {name} in dvc.yaml; found none; add it or check the name")
    listed = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    path = lambda entry: entry if isinstance(entry, str) else next(iter(entry))  # noqa: E731
    return Declaration([path(entry) for entry in stage.get("deps", [])], [path(entry) for entry in listed])


def publish(staging: Path, root: Path, name: str, outputs: list[str], into: str = "") -> None:
    """Move exactly the declared outputs from `staging` into the workspace; refuse any other set of files.

    Those of a notebook that is no stage go flat into the folder `into`.
    """
    missing = [out for out in outputs if not (staging / out).exists()]
    written = {f.relative_to(staging).as_posix() for f in staging.rglob("*") if f.is_file()}
    extra = sorted(f for f in written if not any(f == out or f.startswith(f"{out}/") for out in outputs))
    if missing or extra:
        raise StageError(
            f"{name}: expected the outputs dvc.yaml lists, {outputs}; missing {missing}, not listed {extra}; "
            f"correct dvc.yaml or notebooks/{name}.ipynb"
        )
    for out in outputs:
        target, previous = root / (f"{into}/{Path(out).name}" if into else out), staging / f"{out}.previous"
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():  # a folder cannot be renamed over another
            target.rename(previous)
        (staging / out).rename(target)


def run(name: str, root: Path) -> None:
    """Run the stage `name` of the workspace `root`; raise a `RingboundError` that says in one line what is wrong."""
    run_notebook(name, root, declaration(root, name))


def run_notebook(
    name: str, root: Path, declared: Declaration, *, instead: Mapping[str, Any] | None = None, into: str = ""
) -> None:
    """Run a notebook with what it may see and must make, as `run` does a stage.

    `instead` are parameters that are other than params.yaml says; outputs go to the folder `into` where one is given.
    """
    path = root / "notebooks" / f"{name}.ipynb"
    defaults = parameters(read(path), name)
    section = workspace.load_yaml(root / "params.yaml").get(name)
    if section and not defaults:
        raise NotebookError(
            f"notebooks/{name}.ipynb: expected a code cell tagged `parameters`, since params.yaml has a section {name}; "
            "found none; tag the cell or remove the section"
        )
    if instead and isinstance(section, dict):
        section = section | dict(instead)
    given = checked_parameters(name, section, defaults) if defaults else {}
    package = root / "src" / workspace.package_name(root)
    for module in out_of_step([path], package):
        raise NotebookError(
            f"{package.name}.{module} is out of step with notebooks/{name}.ipynb; "
            'run "ringbound notebooks export", then again'
        )

    for left in (root / layout.STAGING).glob(f"{name}.*"):
        number = left.name.removeprefix(f"{name}.")
        if number.isdecimal() and _runs(int(number)):
            raise StageError(f"{name}: expected to run alone; process {number} is running it; wait for it, or stop it")
        if number.isdecimal():  # abandoned by a run that was killed
            shutil.rmtree(left)
    staging = workspace.fresh_folder(root / layout.STAGING / f"{name}.{os.getpid()}")
    outputs, view = staging / "outputs", staging / "view"
    seen = [*declared.dependencies, *declared.outputs]
    sight.make_view(root, view, seen)
    before = sight.state_of(root, declared.dependencies)
    failed = root / layout.FAILED / name
    os.environ.update(KERNEL_ENVIRONMENT)
    os.environ["RINGBOUND_STAGING"] = str(outputs)
    os.environ[sight.REAL], os.environ[sight.DECLARED] = str(root), "\n".join(seen)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(view / "src"), os.environ.get("PYTHONPATH", "")])
    try:
        started, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        executed = execute(path, given, cwd=view / "notebooks")
        took = time.monotonic() - started
        after = sight.state_of(root, declared.dependencies)
        if changed := sorted({file for file, _ in before.items() ^ after.items()}):
            raise StageError(
                f'{name}: expected its inputs to stay as they are; changed are {changed[:3]}; run "dvc checkout" to get back '
                f"what DVC keeps, and correct notebooks/{name}.ipynb"
            )
        _write_report(executed, outputs / layout.REPORTS, name, [outputs, view, root])
        cost = _cost(outputs, name, took, used)
        publish(outputs, root, name, declared.outputs, into)
        cost.write(root / layout.COSTS / f"{name}.json")
    except CellError as error:
        _write_report(error.notebook, failed.parent, name, [outputs, view, root], failed=True)
        says = str(error)
        if file := sight.unseen(says, root, view):
            says += f": stage {name} does not declare {file}; add it to its deps in dvc.yaml"
        raise StageError(f"{says} (the cell is marked in {layout.FAILED}/{name}.html)") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    for suffix in (".ipynb", ".html"):
        failed.with_suffix(suffix).unlink(missing_ok=True)


def _cost(outputs: Path, name: str, seconds: float, before: resource.struct_rusage) -> StageCost:
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    written = sum(file.stat().st_size for file in outputs.rglob("*") if file.is_file())
    of = hashlib.sha256((outputs / layout.REPORTS / f"{name}.ipynb").read_bytes()).hexdigest()
    return StageCost(of, round(seconds, 2), round(cpu, 2), after.ru_maxrss * 1024, written)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return process != os.getpid()


def _write_report(
    nb: nbformat.NotebookNode, folder: Path, name: str, places: Sequence[Path], *, failed: bool = False
) -> None:
    normalise(nb, places)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.ipynb").write_text(dumps(nb), "utf-8")
    (folder / f"{name}.html").write_text(render(nb, name, code=failed), "utf-8")
