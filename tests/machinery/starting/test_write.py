"""The templates, as far as that can be said without filling them in."""

import subprocess
import sys
from string import Template

import pytest

from ringbound.errors import WorkspaceError
from ringbound.starting.look import look
from ringbound.starting.plan import Choice, package_of, texts
from ringbound.starting.roles import assign_roles
from ringbound.starting.write import PLACES, TEMPLATE, write_workspace


@pytest.fixture
def filled(put) -> dict[str, str]:
    table = look(put())
    return texts(table, assign_roles(table, label="back", time="at"), Choice("orders", "orders", 2.0, 24.0, ""))


def test_the_service_is_that_of_this_repository(root):
    assert (TEMPLATE / "service.py.txt").read_text() == (root / "bentos/service.py").read_text()


def test_every_place_is_filled_and_nothing_is_filled_that_has_no_place(filled):
    files = [*(TEMPLATE / name for name in PLACES), *(TEMPLATE / "notebooks").glob("*.md")]
    assert {file.name for file in TEMPLATE.glob("*.txt")} == set(PLACES)
    places = set().union(*(Template(file.read_text()).get_identifiers() for file in files))
    assert places - {"version"} == set(filled)


def test_what_is_asked_before_its_time_is_asked_so_in_the_notebooks(filled, put, tmp_path):
    write_workspace(tmp_path / "w", put(), filled)
    assert "horizon_h = 2.0  # hours before `at_`" in (tmp_path / "w/notebooks/features.ipynb").read_text()
    assert 'mature=\\"26h\\"' in (tmp_path / "w/notebooks/problem.ipynb").read_text()
    assert (tmp_path / "w/data/sources/orders.csv.dvc").is_file()
    assert (tmp_path / "w/src/orders/features.py").is_file()


def test_a_package_hides_no_other(tmp_path):
    assert package_of(tmp_path / "json") == "json_problem"
    assert package_of(tmp_path / "Späte Züge") == "spaete_zuege"


def test_files_that_are_there_stay(put, filled, tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w/notes.txt").write_text("mine")
    with pytest.raises(WorkspaceError, match="expected a folder that is not there, or is empty"):
        write_workspace(tmp_path / "w", put(), filled)
    assert [file.name for file in (tmp_path / "w").iterdir()] == ["notes.txt"]


def test_without_a_table_it_is_about_an_example(tmp_path):
    command = [sys.executable, "-m", "ringbound", "new"]
    done = subprocess.run([*command, "a demo"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "a workspace about 10,000 rows of parcels.csv" in done.stdout
    assert (tmp_path / "a demo/src/a_demo/problem.py").is_file()
    refused = subprocess.run([*command, "other", "--label", "late"], cwd=tmp_path, capture_output=True, text=True)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "--table: expected the table that has these columns" in refused.stderr
    assert not (tmp_path / "other").exists()
