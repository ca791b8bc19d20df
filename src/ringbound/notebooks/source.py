"""Notebooks as source files: read, clean, list parameters and code."""

import ast
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ringbound.errors import NotebookError, one_line

PARAMETERS_TAG = "parameters"


def read(path: Path) -> dict[str, Any]:
    """Read a notebook, each cell's source as one text; `NotebookError` where it is missing or is not one."""
    try:
        nb = json.loads(path.read_text("utf-8"))
        for cell in nb["cells"]:
            cell["source"] = "".join(cell["source"])
            if not isinstance(cell["metadata"], dict) or cell["cell_type"] not in ("code", "markdown", "raw"):
                raise TypeError(f"a cell of type {cell['cell_type']!r}")
    except FileNotFoundError as error:
        raise NotebookError(f"expected notebooks/{path.name}; it is not there; one stage is one notebook") from error
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
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
    nb = read(path)
    clean(nb)
    return dumps(nb)


def write_clean(path: Path) -> None:
    """Write the notebook as it is when it is clean, whole or not at all."""
    try:
        content = cleaned(path).encode()
    except UnicodeEncodeError as error:
        raise NotebookError(
            f"notebooks/{path.name}: has a character that is none: {one_line(error, 100)}; remove it"
        ) from error
    if content != path.read_bytes():
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        unfinished.write_bytes(content)
        unfinished.replace(path)


def clean_on_save(model: dict[str, Any], **_: Any) -> None:
    """Clean a notebook that Jupyter is about to save; its `pre_save_hook`."""
    if model["type"] == "notebook":
        clean(model["content"])


def parameters(nb: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the literals of the cell tagged `parameters`, by name; none where no cell is."""
    cells = [c for c in nb["cells"] if c["cell_type"] == "code" and PARAMETERS_TAG in c["metadata"].get("tags", [])]
    if not cells:
        return {}
    if len(cells) > 1:
        raise NotebookError(
            f"notebooks/{name}.ipynb: expected at most one code cell tagged `{PARAMETERS_TAG}`; found {len(cells)}; "
            "put the defaults into one cell"
        )
    try:
        tree = ast.parse(cells[0]["source"])
    except SyntaxError as error:
        raise NotebookError(
            f"notebooks/{name}.ipynb: the `{PARAMETERS_TAG}` cell is not Python: {one_line(error)}; correct it"
        ) from error
    values: dict[str, Any] = {}
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
        if isinstance(node, ast.AnnAssign):
            target = node.target
        if not isinstance(target, ast.Name):
            raise NotebookError(
                f"notebooks/{name}.ipynb: the `{PARAMETERS_TAG}` cell may hold only `name = literal` lines; "
                f"line {node.lineno} is another"
            )
        try:
            values[target.id] = ast.literal_eval(node.value)
        except ValueError as error:
            raise NotebookError(f"notebooks/{name}.ipynb: the default of `{target.id}` is not a literal") from error
    return values


def code_cells(nb: Mapping[str, Any]) -> list[str]:
    """Return the code cells alone."""
    return [c["source"] for c in nb["cells"] if c["cell_type"] == "code"]


def all_notebooks(root: Path) -> list[Path]:
    """Return the workspace's notebooks, sorted by name."""
    return sorted((root / "notebooks").glob("[!_.]*.ipynb"))
