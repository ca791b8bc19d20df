import json

import pytest

from ringbound.errors import NotebookError
from ringbound.notebooks import source
from ringbound.testing.notebooks import code_cell, prose_cell, write_notebook

PARAMETERS = code_cell("number = 1", "parameters")


def test_cleaning_removes_outputs_and_keeps_tags(tmp_path):
    path = tmp_path / "notebooks/one.ipynb"
    write_notebook(path, PARAMETERS)
    clean = path.read_text()
    nb = json.loads(clean)
    nb["cells"][0] |= {"outputs": [{"output_type": "stream", "name": "stdout", "text": "x"}], "execution_count": 7}
    nb["cells"][0]["metadata"]["scrolled"] = True
    nb["metadata"]["language_info"] = {"version": "3.11"}
    path.write_text(json.dumps(nb))
    assert source.cleaned(path) == clean
    assert '"parameters"' in clean


def test_code_is_the_same_whatever_the_prose(tmp_path):
    one = code_cell("print(number)")
    write_notebook(tmp_path / "a.ipynb", PARAMETERS, one)
    write_notebook(tmp_path / "b.ipynb", prose_cell("words"), PARAMETERS, prose_cell("words"), one)
    write_notebook(tmp_path / "c.ipynb", code_cell("number = 2", "parameters"), one)
    a, b, c = (source.code_cells(source.read(tmp_path / f"{name}.ipynb")) for name in "abc")
    assert a == b != c


def test_broken_notebook_is_named(tmp_path):
    (tmp_path / "one.ipynb").write_text("{")
    with pytest.raises(NotebookError, match=r"notebooks/one.ipynb is none"):
        source.read(tmp_path / "one.ipynb")
