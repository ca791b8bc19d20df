"""The house as a whole: what is public is listed, imports go one way, and no problem is known."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import ringbound

HERE = Path(ringbound.__file__).parent
FLOORS = [
    {"errors"},
    {"workspace"},
    {"compute", "display", "store"},
    {"data"},
    {"features"},
    {"problem"},
    {"models", "rollout"},
    {"evaluation", "feedback", "monitoring", "proofs", "serving", "batch"},
    {"notebooks", "release"},
    {"simulation", "starting"},
    {"testing"},
    {"cli"},
]
"""The rooms from the ground up: a room imports from its own floor and from those below, never from one above."""


def floor(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def rooms_imported(path: Path) -> set[str]:
    """Return the rooms that a module imports from, wherever in it."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "ringbound":
            modules |= {f"ringbound.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
    return {name.split(".")[1] for name in modules if name.startswith("ringbound.")}


MODULES = sorted(path for path in HERE.rglob("*.py") if path.parent != HERE)


def test_every_room_has_its_floor():
    rooms = {path.name for path in HERE.iterdir() if path.is_dir() and path.name != "__pycache__"} | {"errors"}
    assert rooms == set().union(*FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(HERE).as_posix())
def test_imports_go_one_way(path):
    room = path.relative_to(HERE).parts[0]
    above = {other for other in rooms_imported(path) if floor(other) > floor(room)}
    assert above == set(), f"{room} stands on floor {floor(room)}"


def test_what_is_public_is_there_documented_and_loaded_from_its_module():
    for module, names in ringbound.PUBLIC.items():
        for name in names:
            found = getattr(ringbound, name)
            assert found is getattr(importlib.import_module(module), name)
            assert inspect.getdoc(found), name
    assert ringbound.__all__ == sorted(name for names in ringbound.PUBLIC.values() for name in names)


def test_a_name_that_is_not_public_is_said():
    with pytest.raises(AttributeError, match="has no attribute 'seach_models'; it has"):
        _ = ringbound.seach_models


def test_every_public_function_has_an_example_that_runs():
    lacking = []
    for name in ringbound.__all__:
        found = getattr(ringbound, name)
        if inspect.isfunction(found) and ">>>" not in (inspect.getdoc(found) or ""):
            lacking.append(name)
    assert lacking == []


def test_errors_are_one_family():
    from ringbound import errors

    for _, module, _ in pkgutil.walk_packages(ringbound.__path__, "ringbound."):
        if "migrations" in module or module == "ringbound.__main__":
            continue
        for name, kind in inspect.getmembers(importlib.import_module(module), inspect.isclass):
            if issubclass(kind, Exception) and kind.__module__.startswith("ringbound"):
                assert issubclass(kind, errors.RingboundError) or name == "UndeclaredFileError", name


def test_no_problem_is_known():
    """Someone with another table keeps this folder and the tests beside this one as they are."""
    word = re.compile("fli" + "ght|car" + "rier|tail" + "num", re.IGNORECASE)
    folders = [HERE, Path(__file__).parent]
    files = [file for folder in folders for file in folder.rglob("*.py")]
    assert [file.name for file in files if word.search(file.read_text("utf-8"))] == []
