"""The templates, as far as that can be said without filling them in."""

import ast
import json
import subprocess
import sys
from string import Template
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ringbound.errors import ProblemError, WorkspaceError
from ringbound.starting import write
from ringbound.starting.choice import Choice
from ringbound.starting.history import scale_of
from ringbound.starting.look import Column, look
from ringbound.starting.plan import package_of, periods_of, texts
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


HOSTILE = 'x" + str(open("/nowhere"))\n```\n```python\nINJECTED = 1\n```\n\\x'


def declared(folder) -> dict:
    """Import what a workspace's notebooks declare."""
    code = (
        "import json; from orders.problem import PROBLEM as p; from orders.features import FEATURES as f; "
        "print(json.dumps([p.baseline, p.group, list(f.windowed), p.task.to_json(), f.names]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder / "src", capture_output=True, text=True, check=True)
    return dict(zip(("baseline", "group", "windowed", "task", "names"), json.loads(done.stdout), strict=True))


SITES = ["north", "south", "east", "west", "up", "down", "here", "there"]


@pytest.mark.parametrize("names", [dict(zip(SITES, SITES, strict=True)), {site: n for n, site in enumerate(SITES)}])
def test_of_several_series_each_has_its_own_last_value_and_hour_of_yesterday(tmp_path, names):
    dice = np.random.default_rng(4)
    at = pd.date_range("2021-01-01", "2021-03-31 23:00", freq="h", tz="UTC")
    level = {name: 10.0 * 2**place for place, name in enumerate(SITES)}  # a site tells nearly all by itself
    sizes = {site: value / 15 for site, value in level.items()}
    days = {site: dice.normal(0, size, len(at) // 24).cumsum().repeat(24) for site, size in sizes.items()}
    hours = 1 + at.hour.to_numpy() % 2 / 2
    rows = [
        pd.DataFrame(
            {"at": at, "site": names[site], "sold": (level[site] + days[site]) * hours + dice.normal(0, 0.1, len(at))}
        )
        for site in level
    ]
    file = tmp_path / "sales.csv"
    pd.concat(rows).to_csv(file, index=False)
    table = look(file)
    roles = assign_roles(table, label="sold", time="at")
    write_workspace(tmp_path / "w", file, texts(table, roles, Choice("orders", "orders", 0.0, 1.0, "")))
    found = declared(tmp_path / "w")
    assert found["baseline"] == "by_site_same_hour_1h_23h_ago"
    assert {"by_site_same_hour_1h_167h_ago", "by_site_last_28d"} <= {*found["windowed"]}


def test_what_is_never_negative_and_uneven_is_multiplied(put, tmp_path):
    for name, outcome, least in (("money", "amount", 0.0), ("debts", "debt", None)):
        file = put(debt=pd.read_csv(put())["amount"] - 20)
        table = look(file)
        roles = assign_roles(table, label=outcome, time="at")
        write_workspace(tmp_path / name, file, texts(table, roles, Choice("orders", "orders", 0.0, 1.0, "")))
        assert declared(tmp_path / name)["task"]["least"] == least
        features = (tmp_path / name / "src/orders/features.py").read_text()
        (told,) = [line for line in features.splitlines() if 'Field("outcome"' in line]
        assert ("ge=0.0" in told) == (least == 0.0)


def test_few_outcomes_below_nothing_are_told(put):
    amount = pd.read_csv(put())["amount"]
    table = look(put(amount=amount.where(np.arange(1000) % 200 != 0, -amount)))
    roles = assign_roles(table, label="amount", time="at")
    said = texts(table, roles, Choice("orders", "orders", 0.0, 1.0, ""))["inferred"]
    assert "5 outcomes are negative: if they are mistakes, mend them" in said


def test_rows_of_a_group_are_put_in_order_and_half_of_them_are_looked_at(put, tmp_path):
    file = put(basket=pd.read_csv(put())["at"].str[:10].radd("b"))
    table = look(file)
    roles = assign_roles(table, label="back", time="at", group="basket")
    write_workspace(tmp_path / "w", file, texts(table, roles, Choice("orders", "orders", 0.0, 1.0, "")))
    found = declared(tmp_path / "w")
    assert (found["group"], found["task"]["name"], found["task"]["top"]) == ("basket", "ranking", 2)
    assert '"basket": pa.Column(str, nullable=False)' in (tmp_path / "w/src/orders/validate.py").read_text()
    assert 'Field("basket", "category", "basket"' in (tmp_path / "w/src/orders/features.py").read_text()
    assert "basket" not in found["names"], "nothing is learnt from it"


def test_texts_of_the_table_stay_texts(put, tmp_path):
    """Names and values with quotes, backslashes, lines and fences, in every place where text is written."""
    frame = pd.read_csv(put()).rename(columns={"country": HOSTILE, "shop": f"s{HOSTILE}", "back": f"b{HOSTILE}"})
    frame[f"s{HOSTILE}"] = HOSTILE + frame[f"s{HOSTILE}"]
    frame[f"b{HOSTILE}"] = frame[f"b{HOSTILE}"].map({"yes": f"{HOSTILE}👍", "no": "no"})
    file = tmp_path / 'a"b [1]\\t.csv'
    frame.to_csv(file, index=False)
    table = look(file)
    roles = assign_roles(table, label=f"b{HOSTILE}", time="at")
    write_workspace(tmp_path / "w", file, texts(table, roles, Choice("orders", "orders", 0.0, 24.0, "")))
    for path in (tmp_path / "w/notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            code = "".join(cell["source"])
            if cell["cell_type"] == "code":
                names = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
                assert "INJECTED" not in names, path.name
    problem = (tmp_path / "w/src/orders/problem.py").read_text()
    declared = next(
        node for node in ast.walk(ast.parse(problem)) if isinstance(node, ast.keyword) and node.arg == "question"
    )
    assert ast.literal_eval(declared.value) == f"Will b{HOSTILE} be {HOSTILE}👍?"
    assert [path.name for path in (tmp_path / "w/data/sources").glob("*.csv")] == ["a_b_1_t.csv"]


def test_enough_of_the_last_rows_measures_however_periods_fall():
    at = pd.Series(pd.date_range("2021-01-01", "2021-07-01 02:00", freq="h", tz="UTC"))
    roles = SimpleNamespace(time=Column("at", "at", "timestamp", at))
    periods = periods_of(roles, "UTC")
    assert (periods.word, periods.valid, periods.test) == ("months", 1, 2), "three hours of July are no month"
    short = SimpleNamespace(time=Column("at", "at", "timestamp", at.iloc[: 60 * 24]))
    assert periods_of(short, "UTC").word == "weeks"


def test_history_keeps_the_digits_of_small_outcomes_and_refuses_what_is_too_large():
    assert scale_of(np.array([0.0002, 0.00031])) >= 10**8
    assert scale_of(np.array([3.0, 4.0])) == 1
    with pytest.raises(ProblemError, match=r"expected outcomes up to .*; use another unit"):
        scale_of(np.array([1e30]))


KILLED = """
import json, os, sys
from pathlib import Path
from ringbound.starting import write

call = write._call
write._call = lambda folder, *command: os.kill(os.getpid(), 9) if "export" in command else call(folder, *command)
write.write_workspace(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
"""


def test_a_failure_leaves_nothing_and_the_next_try_succeeds(put, filled, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "_call", lambda *_: (_ for _ in ()).throw(WorkspaceError("no git")))
    with pytest.raises(WorkspaceError, match="no git"):
        write_workspace(tmp_path / "w", put(), filled)
    assert [path.name for path in tmp_path.iterdir()] == ["orders.csv"]
    monkeypatch.undo()
    write_workspace(tmp_path / "w", put(), filled)


def test_a_run_that_is_killed_leaves_no_half_of_a_workspace(put, filled, tmp_path):
    """Killed at the last of its commands, when nearly all is written."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "w"), str(put()), json.dumps(filled)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == -9, done.stderr
    assert not (tmp_path / "w").exists()
    write_workspace(tmp_path / "w", put(), filled)
    assert (tmp_path / "w/src/orders/features.py").is_file()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".w")]


def test_where_git_has_begun_it_goes_on(put, filled, tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path / "w")], check=True)
    write_workspace(tmp_path / "w", put(), filled)
    said = subprocess.run(["git", "status", "--short"], cwd=tmp_path / "w", capture_output=True, text=True).stdout
    assert ".dvc/config" in said


def test_a_package_hides_no_other(tmp_path):
    assert package_of(tmp_path / "json") == "json_problem"
    assert package_of(tmp_path / "Späte Züge") == "spaete_zuege"


def test_files_that_are_there_stay(put, filled, tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w/notes.txt").write_text("mine")
    with pytest.raises(WorkspaceError, match="expected a folder that is not there, or is empty"):
        write_workspace(tmp_path / "w", put(), filled)
    assert [file.name for file in (tmp_path / "w").iterdir()] == ["notes.txt"]
    with pytest.raises(WorkspaceError, match="expected a folder that is not there, or is empty; it is a file"):
        write_workspace(tmp_path / "w/notes.txt", put(), filled)


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
