"""What a stage's result depends on besides its data: one file per stage, written by the stage `code` of dvc.yaml.

It holds the notebook's code cells, and the digest of every module that they and the runner reach. Prose is in none of
them.
"""

import ast
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ringbound import workspace
from ringbound.errors import NotebookError, one_line
from ringbound.notebooks.source import all_notebooks, code_cells, parameters, read
from ringbound.workspace import layout
from ringbound.workspace.code import digest
from ringbound.workspace.modules import MACHINERY, Modules
from ringbound.workspace.records import Record

RUNNER = "import ringbound.notebooks.stage"
LOCK = "requirements.lock"


@dataclass(frozen=True)
class CodeFacts(Record):
    """The digests of a notebook's code cells, or of a script, of each module they reach, and of the locked environment.

    Prose is in none of them, but in those of what travels: see `code_facts`.
    """

    made_by: ClassVar[str] = "dvc repro code"

    environment: str
    modules: dict[str, str]
    cells: list[str]


def code_facts(cells: Sequence[str], root: Path, modules: Modules, *, travels: bool = False) -> CodeFacts:
    """Return what a stage's code depends on, what runs stages included.

    Code that `travels` is packed as it stands, so of its modules every byte counts, and nothing runs it as a stage.
    """
    reached = modules.reached("\n".join([*map(_plain, cells), "" if travels else RUNNER]))
    # What ringbound lists as public is looked up name by name: another name in the list changes no result.
    digests = {
        name: module.sha256 if travels else module.digest
        for name, module in reached.items()
        if travels or name != MACHINERY
    }
    lock = root / LOCK
    environment = hashlib.sha256(lock.read_bytes()).hexdigest()[:16] if lock.is_file() else "not locked"
    return CodeFacts(environment, digests, [_cell_digest(cell) for cell in cells])


def _plain(source: str) -> str:
    """Return a cell as the Python that IPython makes of it: magics and shell commands become calls."""
    from IPython.core.inputtransformer2 import TransformerManager

    return TransformerManager().transform_cell(source)


def _cell_digest(source: str) -> str:
    """Return the digest of a cell's code without prose."""
    return digest(ast.parse(_plain(source)))


def write_code(root: Path) -> None:
    """Write the code facts of every notebook, and of every script in bentos/, into data/code."""
    folder = workspace.fresh_folder(root / layout.CODE)
    modules = Modules(root)
    for notebook in all_notebooks(root):
        try:
            nb = read(notebook)
            facts = code_facts([*code_cells(nb), f"DEFAULTS = {parameters(nb, notebook.stem)!r}"], root, modules)
        except SyntaxError as error:
            raise NotebookError(
                f"notebooks/{notebook.name}: its code cells are not Python: {one_line(error)}; correct the cell"
            ) from error
        facts.write(folder / f"{notebook.stem}.json")
    problem = f"import {workspace.problem_entry(root).partition(':')[0]}\n"
    for script in sorted((root / "bentos").glob("*.py")):
        facts = code_facts([script.read_text("utf-8"), problem], root, modules, travels=True)
        facts.write(folder / "bentos" / f"{script.stem}.json")
