"""Notebooks as source files: read, clean, list parameters and code."""

import ast
import codecs
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ringbound.errors import NotebookError, one_line

PARAMETERS_TAG = "parameters"


def read(path: Path) -> dict[str, Any]:
    """Read a notebook, each cell's source as one text; `NotebookError` where it is missing or is not one."""
    nb, odd = _loaded(path)
    if odd:
        raise NotebookError(f'notebooks/{path.name}: {odd}; run "ringbound notebooks clean"')
    return nb


def _loaded(path: Path) -> tuple[dict[str, Any], str]:
    """Return a notebook, and what is odd about its file that cleaning mends."""
    where = f"notebooks/{path.name}"
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise NotebookError(f"expected {where}; it is not there; one stage is one notebook") from error
    except UnicodeDecodeError as error:
        raise NotebookError(f"expected a notebook; {where} is no UTF-8: {one_line(error)}; restore it") from error
    if not text.strip():
        raise NotebookError(f"expected a notebook; {where} is empty; restore it from git, or delete it")
    odd = "begins with a byte-order mark" if content.startswith(codecs.BOM_UTF8) else ""
    try:
        nb = json.loads(text)
    except (ValueError, RecursionError) as error:
        if marks := re.search(r"^\s*(<<<<<<<|>>>>>>>)", text, flags=re.M):
            line = text.count("\n", 0, marks.end()) + 1
            raise NotebookError(
                f'{where}: line {line} is of a merge that is not settled; settle it; "nbdev-fix {where}" helps'
            ) from None
        raise NotebookError(f"expected a notebook; {where} is none: {one_line(error)}; restore it from git") from None
    if isinstance(nb, dict) and "worksheets" in nb:
        raise NotebookError(f"{where}: expected format 4; got {nb.get('nbformat')}; open it in JupyterLab and save it")
    if not isinstance(nb, dict) or not isinstance(nb.get("cells"), list):
        raise NotebookError(f"expected a notebook; {where} is none: it has no list of cells; restore it from git")
    for number, cell in enumerate(nb["cells"], start=1):
        try:
            cell["source"] = "".join(cell["source"])
            if cell["cell_type"] not in ("code", "markdown", "raw"):
                raise TypeError(f"it is of type {cell['cell_type']!r}")
            if not isinstance(cell.setdefault("metadata", None), dict):
                odd = odd or f"cell {number} has no metadata"
                cell["metadata"] = {}
        except (KeyError, TypeError, AttributeError) as error:
            raise NotebookError(
                f"{where}, cell {number}: expected a cell; {one_line(error)}; restore it from git"
            ) from None
    return nb, odd


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
    nb, _ = _loaded(path)
    clean(nb)
    text = dumps(nb)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NotebookError(
            f"notebooks/{path.name}: has a character that is none: {one_line(error, 100)}; remove it"
        ) from error
    return text


def write_clean(path: Path) -> None:
    """Write the notebook as it is when it is clean, whole or not at all."""
    content = cleaned(path).encode()
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
    cells = [c for c in nb["cells"] if c["cell_type"] == "code" and PARAMETERS_TAG in (c["metadata"].get("tags") or [])]
    if not cells:
        return {}
    if len(cells) > 1:
        raise NotebookError(
            f"notebooks/{name}.ipynb: expected at most one code cell tagged `{PARAMETERS_TAG}`; found {len(cells)}; "
            "put the defaults into one cell"
        )
    try:
        tree = ast.parse(cells[0]["source"])
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
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
        except (ValueError, TypeError, RecursionError) as error:
            raise NotebookError(f"notebooks/{name}.ipynb: the default of `{target.id}` is not a literal") from error
    return values


def numbered_code(nb: Mapping[str, Any]) -> dict[int, str]:
    """Return the code cells by their place among all cells, from 1."""
    return {place: c["source"] for place, c in enumerate(nb["cells"], start=1) if c["cell_type"] == "code"}


RUNS_PYTHON = r"(time|timeit|capture|prun)\b"
"""Magics whose line or body is Python that the kernel runs."""


def parsed(nb: Mapping[str, Any], name: str) -> list[ast.Module]:
    """Return each code cell as the Python that the kernel runs; `NotebookError` names the first that is none.

    Magics and shell commands become calls. What a magic like `%%time` runs follows its call.
    """
    trees = []
    for number, source in numbered_code(nb).items():
        try:
            trees.append(ast.Module(_python(source), []))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise NotebookError(
                f"notebooks/{name}.ipynb, cell {number}: expected Python; {wrong_at(error)}; correct the cell"
            ) from None
    return trees


def _python(source: str) -> list[ast.stmt]:
    from IPython.core.inputtransformer2 import TransformerManager

    first, _, body = source.lstrip().partition("\n")
    if re.match(rf"%%{RUNS_PYTHON}", first):
        return [*_python(f"%{first[2:]}"), *_python(body)]
    statements = ast.parse(TransformerManager().transform_cell(source)).body
    for line in re.findall(rf"^\s*%{RUNS_PYTHON}\s+(?:-\w+(?:\s+\d+)?\s+)*(.*)$", source, flags=re.M):
        if line[0] != "capture":
            statements += _python(line[1])
    return statements


def wrong_at(error: Exception) -> str:
    """Say what is wrong with code, and the line where."""
    if not isinstance(error, SyntaxError):  # a NUL, or half a surrogate pair
        return one_line(error, 200)
    line = (error.text or "").strip()
    return f"{error.msg}, at {line[:60]!r}" if line else error.msg


def all_notebooks(root: Path) -> list[Path]:
    """Return the workspace's notebooks, sorted by name."""
    return sorted((root / "notebooks").glob("[!_.]*.ipynb"))
