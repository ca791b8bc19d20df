import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import PARAMETERS, WRITE, code_cell, write_notebook
from ringbound import notebooks
from ringbound.dependencies import source_files


def test_committed_notebooks_are_clean_in_step_and_declared(root):
    assert notebooks.problems(root) == []


def test_every_stage_notebook_has_its_parameters(root):
    from ringbound.stage import checked_parameters, declared_outputs
    from ringbound.workspace import load_yaml

    params = load_yaml(root / "params.yaml")
    stages = [notebook.stem for notebook in notebooks.all_notebooks(root)]
    assert sorted(params) == sorted([*stages, "gates"])
    for notebook in notebooks.all_notebooks(root):
        defaults = notebooks.parameters(notebooks.read(notebook), notebook.stem)
        checked_parameters(notebook.stem, params[notebook.stem], defaults)
        assert declared_outputs(root, notebook.stem)


def test_notebooks_are_short_enough_to_read(root):
    for notebook in notebooks.all_notebooks(root):
        assert len(notebooks.read(notebook)["cells"]) <= 40, notebook.name


def test_cleaning_removes_outputs_and_keeps_tags(tmp_path):
    path = tmp_path / "notebooks/one.ipynb"
    write_notebook(path, PARAMETERS)
    clean = path.read_text()
    nb = json.loads(clean)
    nb["cells"][0] |= {"outputs": [{"output_type": "stream", "name": "stdout", "text": "x"}], "execution_count": 7}
    nb["cells"][0]["metadata"]["scrolled"] = True
    nb["metadata"]["language_info"] = {"version": "3.11"}
    path.write_text(json.dumps(nb))
    assert notebooks.cleaned(path) == clean
    assert '"parameters"' in clean


def test_nbdevs_cleaner_changes_nothing(root, tmp_path):
    """nbdev-clean strips the `parameters` tag unless pyproject.toml tells it not to; then stages run on defaults."""
    for name in ("notebooks", "src/flights"):
        shutil.copytree(root / name, tmp_path / name)
    shutil.copy(root / "pyproject.toml", tmp_path)
    subprocess.run([Path(sys.executable).with_name("nbdev-clean")], cwd=tmp_path, check=True, capture_output=True)
    for notebook in notebooks.all_notebooks(root):
        assert (tmp_path / "notebooks" / notebook.name).read_text() == notebook.read_text(), notebook.name


def test_code_is_the_same_whatever_the_prose(tmp_path):
    prose = {"cell_type": "markdown", "metadata": {}, "source": "words"}
    write_notebook(tmp_path / "a.ipynb", PARAMETERS, WRITE)
    write_notebook(tmp_path / "b.ipynb", prose, PARAMETERS, prose, WRITE)
    write_notebook(tmp_path / "c.ipynb", code_cell("number = 2", "parameters"), WRITE)
    a, b, c = (notebooks.code(notebooks.read(tmp_path / f"{name}.ipynb")) for name in "abc")
    assert a == b != c


def test_module_without_notebook_is_reported(small):
    small.stage(code_cell("#| default_exp one"), code_cell("#| export\nx = 1"), PARAMETERS, WRITE)
    (small.root / "src/tiny/gone.py").write_text("")
    result = small.python("-m", "ringbound.notebooks", "check")
    assert result.returncode == 1
    assert "tiny.gone has no notebook; delete it" in result.stderr


def test_undeclared_dependency_is_reported(small):
    (small.root / "src/tiny/other.py").write_text("x = 1\n")
    small.stage(PARAMETERS, code_cell("from tiny.other import x"), WRITE)
    assert "src/tiny/other.py" in small.python("-m", "ringbound.notebooks", "check").stderr


def test_dependencies_are_followed_through_modules(root):
    needed = source_files("from ringbound.models import bundle", root)
    assert "src/ringbound/models/linear.py" in needed
    assert "src/ringbound/errors.py" in needed
    assert "src/ringbound/stage.py" not in needed


def test_broken_notebook_is_named(tmp_path):
    from ringbound.errors import NotebookError

    (tmp_path / "one.ipynb").write_text("{")
    with pytest.raises(NotebookError, match=r"notebooks/one.ipynb is none"):
        notebooks.read(tmp_path / "one.ipynb")


def test_saving_in_jupyterlab_leaves_a_run_notebook_as_it_was(small):
    small.stage(code_cell("#| default_exp one"), code_cell("#| export\nx = 1"), PARAMETERS, WRITE)
    path = small.root / "notebooks/one.ipynb"
    before = path.read_bytes()
    model = {"type": "notebook", "content": json.loads(before)}
    model["content"]["cells"][1] |= {"execution_count": 2, "metadata": {"execution": {"a": 1}}}
    notebooks.clean_on_save(model)
    path.write_text(json.dumps(model["content"]))
    notebooks.export_after_save(model, os_path=str(path))
    assert path.read_bytes() == before
