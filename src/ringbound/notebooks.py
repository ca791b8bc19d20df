"""Notebooks as source files: read, clean, list parameters and code, and hold exported modules in step.

`python -m ringbound.notebooks clean|export|check|code` is what the save hook, pre-commit, `make check` and the `code`
stage of dvc.yaml call.
"""

import ast
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ringbound import workspace
from ringbound.dependencies import source_files
from ringbound.errors import NotebookError, RingboundError, one_line

PARAMETERS_TAG = "parameters"
CODE_FOLDER = Path("data/code")


def read(path: Path) -> dict[str, Any]:
    """Read a notebook, each cell's source as one text; `NotebookError` where it is missing or is not one."""
    try:
        nb = json.loads(path.read_text("utf-8"))
        for cell in nb["cells"]:
            cell["source"] = "".join(cell["source"])
    except FileNotFoundError as error:
        raise NotebookError(f"expected notebooks/{path.name}; it is not there; one stage is one notebook") from error
    except (ValueError, KeyError, TypeError) as error:
        raise NotebookError(f"expected a notebook; notebooks/{path.name} is none: {one_line(error)}") from error
    return nb


def dumps(nb: Mapping[str, Any]) -> str:
    """Return the notebook's one canonical text: sorted keys, one space of indent, a final newline."""
    return json.dumps(nb, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def clean(nb: dict[str, Any]) -> None:
    """Remove outputs, counts and all metadata but kernel and tags, in place; the result has one canonical form.

    nbdev's own cleaner strips tags unless told otherwise, and without its tag papermill runs a stage on defaults; what
    this gives is a fixed point of it, as a test holds.
    """
    nb["metadata"] = {"kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}}
    for cell in nb["cells"]:
        cell["metadata"] = {key: value for key, value in cell["metadata"].items() if key == "tags" and value}
        cell["source"] = "".join(cell["source"]).splitlines(keepends=True)
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None


def cleaned(path: Path) -> str:
    """Return the text the notebook has when it is clean."""
    nb = json.loads(path.read_text("utf-8"))
    clean(nb)
    return dumps(nb)


def _write_clean(path: Path) -> None:
    text = cleaned(path)
    if text != path.read_text("utf-8"):
        path.write_text(text, "utf-8")


def clean_on_save(model: dict[str, Any], **_: Any) -> None:
    """Clean a notebook that Jupyter is about to save; its `pre_save_hook`."""
    if model["type"] == "notebook":
        clean(model["content"])


def export_after_save(model: dict[str, Any], os_path: str, **_: Any) -> None:
    """Write a saved stage notebook in canonical form and export its module; Jupyter's `post_save_hook`."""
    path = Path(os_path)
    root = workspace.root(path.parent)
    if model["type"] == "notebook" and path in all_notebooks(root):
        _write_clean(path)
        export([path], root / "src" / workspace.package_name(root))


def parameters(nb: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the literals of the cell tagged `parameters`, by name."""
    cells = [c for c in nb["cells"] if c["cell_type"] == "code" and PARAMETERS_TAG in c["metadata"].get("tags", [])]
    if len(cells) != 1:
        raise NotebookError(
            f"notebooks/{name}.ipynb: expected one code cell tagged `{PARAMETERS_TAG}`; found {len(cells)}; "
            "tag the cell that holds the defaults"
        )
    found: dict[str, Any] = {}
    for node in ast.parse(cells[0]["source"]).body:
        target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
        if isinstance(node, ast.AnnAssign):
            target = node.target
        if not isinstance(target, ast.Name):
            raise NotebookError(
                f"notebooks/{name}.ipynb: the `{PARAMETERS_TAG}` cell may hold only `name = literal` lines; "
                f"line {node.lineno} is another"
            )
        try:
            found[target.id] = ast.literal_eval(node.value)
        except ValueError as error:
            raise NotebookError(f"notebooks/{name}.ipynb: the default of `{target.id}` is not a literal") from error
    return found


def code(nb: Mapping[str, Any]) -> str:
    """Return the code cells alone, so that a stage can depend on code and not on prose."""
    return "\n\n".join(c["source"] for c in nb["cells"] if c["cell_type"] == "code") + "\n"


def all_notebooks(root: Path) -> list[Path]:
    """Return the workspace's notebooks, sorted by name."""
    return sorted((root / "notebooks").glob("[!_.]*.ipynb"))


def export(notebooks: list[Path], package: Path) -> None:
    """Write the module of each notebook into the folder `package`."""
    from nbdev.export import nb_export

    for notebook in notebooks:
        nb_export(str(notebook), lib_path=str(package))


def out_of_step(notebooks: list[Path], package: Path) -> list[str]:
    """Return the names of modules in `package` that differ from what `notebooks` export, extra modules not counted."""
    with tempfile.TemporaryDirectory() as folder:
        export(notebooks, Path(folder))
        names = []
        for fresh in sorted(Path(folder).glob("*.py")):
            kept = package / fresh.name
            if fresh.name != "__init__.py" and (not kept.is_file() or _body(kept) != _body(fresh)):
                names.append(fresh.stem)
        return names


def _body(module: Path) -> list[str]:
    """Return the module's lines without nbdev's comments, whose relative paths depend on where it was exported to."""
    lines = module.read_text("utf-8").splitlines()
    return [line for line in lines if not line.startswith(("# %% ", "# AUTOGENERATED"))]


def problems(root: Path) -> list[str]:
    """Return what is wrong with the workspace's notebooks and their modules, one line each."""
    notebooks, package = all_notebooks(root), root / "src" / workspace.package_name(root)
    found = [
        f"notebooks/{nb.name} is not clean; run python -m ringbound.notebooks clean"
        for nb in notebooks
        if cleaned(nb) != nb.read_text("utf-8")
    ]
    found += [
        f"{package.name}.{name} is out of step with its notebook; run nbdev-export"
        for name in out_of_step(notebooks, package)
    ]
    found += undeclared_dependencies(root)
    known = {nb.stem for nb in notebooks} | {"__init__", "_modidx"}
    found += [
        f"{package.name}.{module.stem} has no notebook; delete it"
        for module in sorted(package.glob("*.py"))
        if module.stem not in known
    ]
    return found


RUNNER = [
    "requirements.lock",
    "src/ringbound/execution.py",
    "src/ringbound/notebooks.py",
    "src/ringbound/stage.py",
]
"""What every stage's result depends on besides its own code."""


def undeclared_dependencies(root: Path) -> list[str]:
    """Return, a line each, the stages of dvc.yaml whose code dependencies are not exactly what their notebooks import."""
    stages = workspace.load_yaml(root / "dvc.yaml")["stages"]
    found = []
    for notebook in all_notebooks(root):
        name = notebook.stem
        declared = {dep for dep in stages.get(name, {}).get("deps", []) if not dep.startswith("data/")}
        needed = {*source_files(code(read(notebook)), root), *RUNNER}
        covered = {file for file in needed if any(file.startswith(f"{dep}/") for dep in declared)}
        missing = needed - declared - covered
        idle = {dep for dep in declared - needed if dep.endswith((".py", ".lock")) and dep.startswith("src/")}
        if missing or idle:
            found.append(f"dvc.yaml, stage {name}: add deps {sorted(missing)}, remove {sorted(idle)}")
    return found


def main(action: str) -> int:
    """Run one action over all notebooks; return the exit code."""
    root = workspace.root()
    notebooks = all_notebooks(root)
    if action == "clean":
        for notebook in notebooks:
            _write_clean(notebook)
    elif action == "export":
        export(notebooks, root / "src" / workspace.package_name(root))
    elif action == "code":
        folder = workspace.fresh_folder(root / CODE_FOLDER)
        for notebook in notebooks:
            (folder / f"{notebook.stem}.py").write_text(code(read(notebook)), "utf-8")
    elif action == "check":
        for line in (found := problems(root)):
            print(line, file=sys.stderr)
        return 1 if found else 0
    else:
        print(f"expected clean, export, check or code; got {action!r}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1] if len(sys.argv) == 2 else ""))
    except RingboundError as problem:
        sys.exit(f"notebooks: {problem}")
