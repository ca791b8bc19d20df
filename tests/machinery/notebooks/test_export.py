import json

import pytest

from ringbound.notebooks import export, source
from ringbound.testing.notebooks import code_cell, write_notebook

PARAMETERS = code_cell("number = 1", "parameters")
DEFAULT = code_cell("#| default_exp one")


def exported(code: str) -> dict:
    return code_cell(f"#| export\n{code}")


def refused(small, *cells) -> str:
    """Return what is said of cells that are not exported; what was exported before stays."""
    small.stage(DEFAULT, exported("before = 1"), PARAMETERS)
    before = (small.root / "src/tiny/one.py").read_text()
    write_notebook(small.root / "notebooks/one.ipynb", DEFAULT, *cells, PARAMETERS)
    result = small.ringbound("notebooks", "export")
    assert result.returncode == 1
    assert (small.root / "src/tiny/one.py").read_text() == before
    checked = small.ringbound("notebooks", "check")
    assert checked.returncode == 1
    said = result.stderr.removeprefix("ringbound: ")
    assert said in checked.stderr
    return said


def test_a_name_that_only_a_private_cell_imports_is_refused(small):
    said = refused(small, code_cell("import math"), exported("def area(r):\n    return math.pi * r**2"))
    assert said == (
        "tiny.one: area uses math, which no exported cell defines or imports; "
        "move its import into a cell with `#| export` in notebooks/one.ipynb\n"
    )


def test_a_private_name_is_refused_wherever_it_is_used(small):
    private = code_cell("import math\nBOUND = 3")
    for code in (
        "def f(x):\n    return [math.sqrt(v) for v in x]",
        "def f(x):\n    return (lambda v: math.sqrt(v))(x)",
        "class A:\n    def f(self):\n        return math.pi",
        "def f(x=None):\n    def inner():\n        return math.pi\n    return inner",
        "def f():\n    from os import path\n    return path, math",
        "def f(x: int = 1) -> int:\n    return x + math.floor(2.5)",
    ):
        assert "uses math" in refused(small, private, exported(code))
    assert "an exported cell uses BOUND" in refused(small, private, exported("LIMIT = BOUND + 1"))


def test_names_that_the_module_has_are_no_matter(small):
    code = (
        "import math\nfrom os import path as p\nLIMIT: int = 3\n"
        "def f(x, *rest, key=LIMIT, **more):\n"
        "    total = sum(v for v in rest)\n"
        "    try:\n        pass\n    except ValueError as error:\n        print(error)\n"
        "    with open(p) as file:\n        y = [line for line in file if (n := len(line))]\n"
        "    return math.pi, total, key, more, y, n, __name__\n"
        "class A:\n    size = 1\n    def g(self):\n        return __class__, self.size, f, A\n"
        "for i in range(3):\n    pass\n"
        "def later():\n    return defined_below()\n"
        "def defined_below():\n    return i"
    )
    small.stage(DEFAULT, exported(code), PARAMETERS)
    assert small.ringbound("notebooks", "check").stderr == ""


def test_a_module_that_is_out_of_step_is_said(small):
    small.stage(DEFAULT, exported("x = 1"), PARAMETERS)
    write_notebook(small.root / "notebooks/one.ipynb", DEFAULT, exported("x = 2"), PARAMETERS)
    result = small.ringbound("notebooks", "check")
    assert result.returncode == 1
    assert result.stderr == 'tiny.one is out of step with its notebook; run "ringbound notebooks export"\n'


def test_a_notebook_that_is_not_clean_is_said(small):
    small.stage(PARAMETERS)
    path = small.root / "notebooks/one.ipynb"
    nb = json.loads(path.read_text())
    nb["cells"][0]["execution_count"] = 3
    path.write_text(json.dumps(nb))
    assert small.ringbound("notebooks", "check").stderr == (
        'notebooks/one.ipynb is not clean; run "ringbound notebooks clean"\n'
    )
    small.ringbound("notebooks", "clean", check=True)
    assert small.ringbound("notebooks", "check").returncode == 0


def test_a_module_without_a_notebook_is_said(small):
    small.stage(DEFAULT, exported("x = 1"), PARAMETERS)
    (small.root / "src/tiny/gone.py").write_text("")
    result = small.ringbound("notebooks", "check")
    assert result.returncode == 1
    assert "tiny.gone has no notebook; delete it" in result.stderr


def test_saving_in_jupyterlab_leaves_a_run_notebook_as_it_was_and_exports(small):
    small.stage(DEFAULT, exported("x = 1"), PARAMETERS)
    path, module = small.root / "notebooks/one.ipynb", small.root / "src/tiny/one.py"
    before = path.read_bytes()
    module.unlink()
    model = {"type": "notebook", "content": json.loads(before)}
    model["content"]["cells"][1] |= {"execution_count": 2, "metadata": {"execution": {"a": 1}}}
    source.clean_on_save(model)
    path.write_text(json.dumps(model["content"]))
    export.export_after_save(model, os_path=str(path))
    assert path.read_bytes() == before
    assert "x = 1" in module.read_text()


def test_prose_about_star_imports_hides_nothing(small):
    said = refused(small, exported('"""Never write import * here."""'), exported("def f():\n    return nowhere(1)"))
    assert "f uses nowhere" in said


def test_a_star_import_is_refused(small):
    assert "imports everything of math" in refused(small, exported("from math import *\nx = pi"))


def test_a_name_that_a_function_makes_global_is_defined(small):
    small.stage(DEFAULT, exported("def f():\n    global made\n    made = 1\ndef g():\n    return made"), PARAMETERS)
    assert small.ringbound("notebooks", "check").stderr == ""


@pytest.mark.parametrize("command", ["check", "clean", "export", "code"])
def test_a_notebook_with_merge_marks_is_one_line(small, command):
    small.stage(DEFAULT, PARAMETERS)
    path = small.root / "notebooks/one.ipynb"
    path.write_text(f"<<<<<<< HEAD\n{path.read_text()}=======\n{{}}\n>>>>>>> other\n")
    result = small.ringbound("notebooks", command)
    assert result.returncode == 1
    assert "notebooks/one.ipynb: line 1 is of a merge that is not settled" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_notebook_that_exports_nothing_any_more_is_said(small):
    small.stage(DEFAULT, exported("x = 1"), PARAMETERS)
    write_notebook(small.root / "notebooks/one.ipynb", DEFAULT, code_cell("x = 1"), PARAMETERS)
    result = small.ringbound("notebooks", "check")
    assert result.returncode == 1
    assert "tiny.one is what notebooks/one.ipynb exported once; now it exports nothing" in result.stderr
    assert "tiny.one is out of step with notebooks/one.ipynb" in small.run().stderr


@pytest.mark.parametrize("name", ["other", "../../escaped", "sub.mod", "two words"])
def test_a_module_has_the_name_of_its_notebook(small, name):
    write_notebook(
        small.root / "notebooks/one.ipynb", code_cell(f"#| default_exp {name}"), exported("x = 1"), PARAMETERS
    )
    for command in ("export", "check"):
        result = small.ringbound("notebooks", command)
        assert result.returncode == 1
        assert (
            f"expected one cell with `#| default_exp one`, since a notebook and its module share one name; got ['{name}']"
            in (result.stderr)
        )


def test_a_broken_character_leaves_the_notebook_as_it_is(small):
    small.stage(DEFAULT, PARAMETERS)
    path = small.root / "notebooks/one.ipynb"
    path.write_text(path.read_text().replace("number = 1", "number = 1  # \\ud83d"))
    before = path.read_bytes()
    result = small.ringbound("notebooks", "clean")
    assert result.returncode == 1
    assert "has a character that is none" in result.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize("line", ["%%time", "%matplotlib inline", "!ls", "open?", "await later()", "return 1", "x = ("])
def test_an_exported_cell_that_no_module_can_have_is_refused_by_its_number(small, line):
    said = refused(small, code_cell("y = 1"), exported(f"{line}\nx = 1"))
    assert said.startswith("notebooks/one.ipynb, cell 3: expected Python alone, as in every cell that is exported; ")


def test_an_export_into_another_module_is_refused(small):
    assert refused(small, code_cell("#| export one.more\nx = 1")).startswith(
        "notebooks/one.ipynb, cell 2: expected `#| export` alone, since a notebook has one module"
    )


@pytest.mark.parametrize("directive", ["# | export", "#|exporti", "  #| exports"])
def test_an_exported_cell_is_seen_however_it_is_marked(small, directive):
    said = refused(small, code_cell(f"{directive}\n!ls"))
    assert said.startswith("notebooks/one.ipynb, cell 2: expected Python alone")


def test_what_ipython_adds_to_python_is_no_matter_in_a_private_cell(small):
    lines = [
        "%matplotlib inline",
        "!true",
        "names = !true",
        "%%time\nx = 1",
        "%%bash\ntrue",
        "import os\nos?",
        "await a()",
    ]
    small.stage(DEFAULT, exported("def f():\n    return 1"), PARAMETERS, *map(code_cell, lines))
    assert small.ringbound("notebooks", "check").stderr == ""
    assert small.ringbound("notebooks", "code").stderr == ""


def test_every_bad_notebook_is_named_once(small):
    small.stage(DEFAULT, exported("x = 1"), PARAMETERS)
    (small.root / "notebooks/empty.ipynb").write_text("")
    (small.root / "notebooks/list.ipynb").write_text("[1]")
    result = small.ringbound("notebooks", "check")
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "expected a notebook; notebooks/empty.ipynb is empty; restore it from git, or delete it",
        "expected a notebook; notebooks/list.ipynb is none: it has no list of cells; restore it from git",
    ]
