"""What a stage depends on: an edit that matters changes its file, and no other edit does."""

from pathlib import Path

import pytest

from ringbound.errors import WorkspaceError
from ringbound.notebooks.dependencies import CodeFacts, write_code
from ringbound.testing.notebooks import code_cell, prose_cell, write_notebook

SCALING = "FACTOR = 2\n\n\ndef scaled(x):\n    return x * FACTOR\n"
UNUSED = "def unused():\n    return 1\n"


class Workspace:
    """Two stages, one of which uses the module `scaling`; the package imports nothing of the other modules itself."""

    def __init__(self, root: Path):
        self.root = root
        (root / "src/tiny").mkdir(parents=True)
        (root / "pyproject.toml").write_text('[tool.ringbound]\nproblem = "tiny.problem:PROBLEM"\n')
        self.write("src/tiny/__init__.py", "")
        self.write("src/tiny/scaling.py", SCALING)
        self.write("src/tiny/unused.py", UNUSED)
        self.notebook("one", code_cell("from tiny.scaling import scaled\nscaled(1)"))
        self.notebook("two", code_cell("print('two')"))
        self.write("dvc.yaml", "stages: {one: {}, two: {}}\n")
        self.before = self.facts()

    def write(self, path: str, text: str) -> None:
        (self.root / path).write_text(text)

    def notebook(self, name: str, *cells: dict) -> None:
        write_notebook(self.root / f"notebooks/{name}.ipynb", *cells)

    def facts(self) -> dict[str, bytes]:
        write_code(self.root)
        return {file.stem: file.read_bytes() for file in sorted((self.root / "data/code").glob("*.json"))}

    def changed(self) -> list[str]:
        now = self.facts()
        return [name for name in now if now[name] != self.before[name]]


@pytest.fixture
def space(tmp_path) -> Workspace:
    return Workspace(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        SCALING.replace("FACTOR = 2", "FACTOR = 2  # twice"),
        '"""Words about the module."""\n\n' + SCALING,
        SCALING.replace("    return", '    """Return it scaled."""\n    return'),
        SCALING.replace("x * FACTOR", "(x * FACTOR)"),
    ],
    ids=["comment", "module docstring", "docstring", "brackets"],
)
def test_prose_in_a_module_changes_nothing(space, text):
    space.write("src/tiny/scaling.py", text)
    assert space.changed() == []


@pytest.mark.parametrize(
    "text", [SCALING.replace("= 2", "= 3"), SCALING.replace("x * FACTOR", "x + FACTOR"), SCALING + "\nscaled(1)\n"]
)
def test_code_in_a_module_changes_the_stages_that_use_it(space, text):
    space.write("src/tiny/scaling.py", text)
    assert space.changed() == ["one"]


def test_a_module_that_no_stage_uses_changes_nothing(space):
    space.write("src/tiny/unused.py", UNUSED.replace("1", "2"))
    assert space.changed() == []


def test_a_module_is_followed_through_others(space):
    space.write("src/tiny/deep.py", "DEPTH = 1\n")
    space.write("src/tiny/scaling.py", SCALING + "\n\ndef deep():\n    from . import deep\n    return deep.DEPTH\n")
    space.before = space.facts()
    space.write("src/tiny/deep.py", "DEPTH = 2\n")
    assert space.changed() == ["one"]


def test_the_packages_own_init_counts(space):
    space.write("src/tiny/__init__.py", "import os\n")
    assert space.changed() == ["one"]


def test_prose_cells_change_nothing_and_code_cells_their_own_stage(space):
    space.notebook("two", prose_cell("words"), code_cell("print('two')"))
    assert space.changed() == []
    space.notebook("two", code_cell("print('deux')"))
    assert space.changed() == ["two"]


def test_the_locked_environment_counts_for_every_stage(space):
    space.write("requirements.lock", "numpy==2\n")
    assert space.changed() == ["one", "two"]


def test_a_public_name_is_followed_to_its_module_alone(space):
    space.notebook("two", code_cell("from ringbound import local_clock"))
    space.facts()
    reached = CodeFacts.read(space.root / "data/code/two.json").modules
    assert "ringbound.features.clock" in reached
    assert "ringbound.notebooks.stage" in reached
    assert "ringbound.serving.predictor" not in reached
    assert "ringbound.release.report" not in reached


def test_comments_and_docstrings_in_cells_change_nothing_and_magics_do(space):
    cell = "def f(x):\n    return x\nprint(f('two'))"
    space.notebook("two", code_cell(cell))
    space.before = space.facts()
    space.notebook("two", code_cell("# words\ndef f(x):\n    'Words.'\n    return x  # more\nprint(f('two'))"))
    assert space.changed() == []
    space.notebook("two", code_cell("%matplotlib inline\n" + cell))
    assert space.changed() == ["two"]


@pytest.mark.parametrize(
    "code",
    [
        "import ringbound as rb\nrb.search_models",
        "import ringbound\nringbound.search_models",
        "from ringbound import *",
    ],
)
def test_the_public_surface_is_followed_however_it_is_imported(space, code):
    space.notebook("two", code_cell(code))
    space.facts()
    assert "ringbound.models.search" in CodeFacts.read(space.root / "data/code/two.json").modules


def test_of_what_travels_every_byte_counts(space):
    """The problem's package travels in the Bento beside the service's own code."""
    (space.root / "bentos").mkdir()
    space.write("bentos/service.py", "from ringbound.errors import one_line\n")
    space.write("src/tiny/problem.py", "PROBLEM = 1\n")
    space.facts()
    before = (space.root / "data/code/bentos/service.json").read_bytes()
    space.write("src/tiny/problem.py", "PROBLEM = 1  # words\n")
    space.facts()
    assert (space.root / "data/code/bentos/service.json").read_bytes() != before


def test_a_parameters_tag_that_is_gone_changes_the_stage(space):
    space.notebook("two", code_cell("number = 1", "parameters"))
    space.before = space.facts()
    space.notebook("two", code_cell("number = 1"))
    assert space.changed() == ["two"]


@pytest.mark.parametrize(
    "cell", ["x = (10\n     % 3)", "%%bash\necho hi", "files = !ls", "print?", "if True:\n    %pwd"]
)
def test_cells_that_run_in_a_notebook_are_code(space, cell):
    space.notebook("two", code_cell(cell))
    assert space.changed() == ["two"]


def test_a_module_that_is_not_python_is_named(space):
    space.write("src/tiny/scaling.py", "def (")
    with pytest.raises(WorkspaceError, match=r"tiny/scaling.py: expected Python; .*; correct it"):
        space.facts()


def test_a_scratch_notebook_beside_the_stages_is_left_alone(space):
    space.write("notebooks/Untitled.ipynb", "not even a notebook")
    assert space.changed() == []


def test_what_a_timed_cell_imports_is_followed(space):
    space.notebook("two", code_cell("%%time\nfrom tiny.unused import unused"))
    space.facts()
    assert "tiny.unused" in CodeFacts.read(space.root / "data/code/two.json").modules
