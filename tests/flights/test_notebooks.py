"""The flights notebooks: short, clean, in step, and decisions only."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ringbound.notebooks import source
from ringbound.notebooks.export import problems
from ringbound.notebooks.stage import checked_parameters, declaration
from ringbound.workspace.paths import load_yaml
from workspace_clone import ROOT

NOTEBOOKS = source.all_notebooks(ROOT)


def test_committed_notebooks_are_clean_in_step_and_complete():
    assert problems(ROOT) == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_its_parameters_and_outputs(notebook):
    section = load_yaml(ROOT / "params.yaml").get(notebook.stem)
    defaults = source.parameters(source.read(notebook), notebook.stem)
    assert bool(section) == bool(defaults)
    if defaults:
        checked_parameters(notebook.stem, section, defaults)
    if notebook.stem != "simulate":  # which is run when somebody asks
        assert f"data/reports/{notebook.stem}.html" in declaration(ROOT, notebook.stem).outputs


def test_every_section_of_params_is_a_notebook_s_or_of_the_gates_or_of_costs():
    assert set(load_yaml(ROOT / "params.yaml")) - {"gates", "cost"} <= {notebook.stem for notebook in NOTEBOOKS}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_short_enough_to_read(notebook):
    assert len(source.read(notebook)["cells"]) <= 40


def code_lines(notebook: Path) -> int:
    """Return how many lines of code a notebook has: no comments, no blank lines, no imports, no parameters."""
    count = 0
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        code = "".join(cell["source"])
        imported: set[int] = set()
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                imported |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        for number, line in enumerate(code.splitlines(), start=1):
            count += bool(line.strip()) and not line.strip().startswith("#") and number not in imported
    return count


@pytest.mark.parametrize(("name", "most"), [("tune", 60), ("evaluate", 60), ("package", 30)])
def test_machinery_is_called_and_not_written_out(name, most):
    assert code_lines(ROOT / f"notebooks/{name}.ipynb") <= most


def test_dvc_yaml_is_a_page_without_a_module_path():
    lines = (ROOT / "dvc.yaml").read_text().splitlines()
    assert len(lines) <= 110
    assert [line for line in lines if ".py" in line or "src/" in line] == []


def test_nbdevs_cleaner_changes_nothing(tmp_path):
    """nbdev-clean strips the `parameters` tag unless pyproject.toml tells it not to; then stages run on defaults."""
    for name in ("notebooks", "src/flights"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    subprocess.run([Path(sys.executable).with_name("nbdev-clean")], cwd=tmp_path, check=True, capture_output=True)
    for notebook in NOTEBOOKS:
        assert (tmp_path / "notebooks" / notebook.name).read_text() == notebook.read_text(), notebook.name


def test_nbdevs_exporter_gives_the_same_modules(tmp_path):
    for name in ("notebooks", "src/flights"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    subprocess.run([Path(sys.executable).with_name("nbdev-export")], cwd=tmp_path, check=True, capture_output=True)
    for module in sorted((ROOT / "src/flights").glob("*.py")):
        assert (tmp_path / "src/flights" / module.name).read_text() == module.read_text(), module.name
