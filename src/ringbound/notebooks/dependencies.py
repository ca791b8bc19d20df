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
from ringbound.errors import WorkspaceError, one_line
from ringbound.notebooks.source import all_notebooks, parameters, parsed, read
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


def code_facts(cells: Sequence[ast.Module], root: Path, modules: Modules, *, travels: bool = False) -> CodeFacts:
    """Return what a stage's code depends on, what runs stages included.

    Code that `travels` is packed as it stands, so of its modules every byte counts, and nothing runs it as a stage.
    """
    code = [statement for cell in cells for statement in cell.body]
    reached = modules.reached(ast.Module([*code, *([] if travels else ast.parse(RUNNER).body)], []))
    # What ringbound lists as public is looked up name by name: another name in the list changes no result.
    digests = {
        name: module.sha256 if travels else module.digest
        for name, module in reached.items()
        if travels or name != MACHINERY
    }
    lock = root / LOCK
    environment = hashlib.sha256(lock.read_bytes()).hexdigest()[:16] if lock.is_file() else "not locked"
    return CodeFacts(environment, digests, [digest(cell) for cell in cells])


def write_code(root: Path) -> None:
    """Write the code facts of every stage's notebook, and of every script in bentos/, into data/code.

    Notebooks that no stage of dvc.yaml is made from, like scratch ones, are left alone.
    """
    folder = workspace.fresh_folder(root / layout.CODE)
    modules = Modules(root)
    stages = workspace.load_yaml(root / "dvc.yaml").get("stages", {})
    for notebook in all_notebooks(root):
        if notebook.stem in stages:
            nb = read(notebook)
            defaults = ast.parse(f"DEFAULTS = {parameters(nb, notebook.stem)!r}")
            facts = code_facts([*parsed(nb, notebook.stem), defaults], root, modules)
            facts.write(folder / f"{notebook.stem}.json")
    problem = ast.parse(f"import {workspace.problem_entry(root).partition(':')[0]}")
    for script in sorted((root / "bentos").glob("*.py")):
        try:
            tree = ast.parse(script.read_text("utf-8"))
        except (SyntaxError, ValueError) as error:
            raise WorkspaceError(f"bentos/{script.name}: expected Python; {one_line(error)}; correct it") from error
        facts = code_facts([tree, problem], root, modules, travels=True)
        facts.write(folder / "bentos" / f"{script.stem}.json")
