import ast
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
    a, b, c = (list(source.numbered_code(source.read(tmp_path / f"{name}.ipynb")).values()) for name in "abc")
    assert a == b != c


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: "{", "none: Expecting property name"),
        (lambda text: " \n", "is empty"),
        (lambda text: "[1]", "no list of cells"),
        (lambda text: '{"worksheets": [], "nbformat": 3}', "expected format 4; got 3; open it in JupyterLab"),
        (
            lambda text: text.replace('  "source"', '<<<<<<< ours\n  "source"', 1),
            "line 13 is of a merge that is not settled",
        ),
        (lambda text: text.replace('"code"', '"heading"'), "cell 1: expected a cell; it is of type 'heading'"),
        (lambda text: "\ufeff" + text, "begins with a byte-order mark; run"),
        (
            lambda text: text.replace('"metadata": {\n    "tags"', '"other": {\n    "tags"'),
            "cell 1 has no metadata; run",
        ),
    ],
)
def test_what_is_no_notebook_is_said_in_one_line(tmp_path, change, says):
    path = tmp_path / "notebooks/one.ipynb"
    write_notebook(path, PARAMETERS)
    text = path.read_text("utf-8")
    assert change(text) != text
    path.write_text(change(text), "utf-8")
    with pytest.raises(NotebookError, match=r"notebooks/one\.ipynb") as error:
        source.read(path)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    if says.endswith("; run"):
        source.write_clean(path)
        assert source.read(path)["cells"][0]["source"] == "number = 1"


def test_code_that_is_not_python_is_named_by_its_cell(tmp_path):
    write_notebook(tmp_path / "one.ipynb", PARAMETERS, prose_cell("words"), code_cell("x = 1\ny = ("))
    with pytest.raises(NotebookError, match=r"notebooks/one.ipynb, cell 3: expected Python; .* at 'y = \('"):
        source.parsed(source.read(tmp_path / "one.ipynb"), "one")


@pytest.mark.parametrize(
    ("cell", "imports"),
    [
        ("%%time\nimport math", True),
        ("%%timeit -n 1 import math\nx = 1", True),
        ("%%capture out\n%%time\nimport math", True),
        ("if True:\n    %time import math", True),
        ("%prun -q import math", True),
        ("%%bash\nimport math", False),
        ("%capture math", False),
    ],
)
def test_what_a_magic_runs_counts_as_code(tmp_path, cell, imports):
    write_notebook(tmp_path / "one.ipynb", code_cell(cell))
    (tree,) = source.parsed(source.read(tmp_path / "one.ipynb"), "one")
    assert any(isinstance(node, ast.Import) for node in ast.walk(tree)) is imports


def test_a_comment_within_a_timed_cell_is_no_code(tmp_path):
    write_notebook(tmp_path / "one.ipynb", code_cell("%%time\nx = 1"), code_cell("%%time\nx = 1  # words"))
    first, second = source.parsed(source.read(tmp_path / "one.ipynb"), "one")
    assert ast.dump(first) == ast.dump(second)


def test_a_cell_with_another_indent_than_it_began_is_named(tmp_path):
    write_notebook(tmp_path / "one.ipynb", code_cell("if x:\n        a\n    b"))
    with pytest.raises(NotebookError, match=r"cell 1: expected Python; unindent does not match"):
        source.parsed(source.read(tmp_path / "one.ipynb"), "one")
