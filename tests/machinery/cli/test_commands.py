import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from ringbound.cli.main import app


def commands(group, above: str = "") -> list[str]:
    """Return every command there is, groups included, as it is typed."""
    found = []
    for name, command in group.commands.items():
        typed = f"{above} {name}".strip()
        found += [typed, *(commands(command, typed) if hasattr(command, "commands") else [])]
    return found


COMMANDS = commands(get_command(app))


def ringbound(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "ringbound", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_there_are_the_commands_that_are_known():
    assert {"stage", "notebooks check", "summary", "score", "serve", "features show", "gate", "report", "ladder",
            "registry promote"} <= set(COMMANDS)  # fmt: skip


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_of_every_command(tmp_path, command):
    result = ringbound(*command.split(), "--help", cwd=tmp_path)
    assert result.returncode == 0
    assert "Usage" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["scroe"], "No such command 'scroe'"),
        (["score"], "Missing option '--input'"),
        (["score", "--input", "a.csv", "--output", "b.csv", "--fast"], "No such option: --fast"),
        (["serve", "--port", "99999"], "Invalid value for '--port'"),
        (["summary", "now"], "unexpected extra argument"),
        (["stage"], "Missing argument 'name'"),
        (["features", "compute", "--engine", "spark"], "Invalid value for '--engine'"),
        (["features", "show"], "Missing argument 'name'"),
        (["serve", "--clock", "sun"], "Invalid value for '--clock'"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(tmp_path, arguments, says):
    result = ringbound(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.parametrize("command", ["summary", "gate", "ladder", "features list", "stage one", "registry list"])
def test_outside_a_workspace_is_one_line_and_exit_code_1(tmp_path, command):
    result = ringbound(*command.split(), cwd=tmp_path)
    assert result.returncode == 1
    assert "expected a workspace" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_missing_input_is_one_line_and_exit_code_1(small, bundle_folder):
    result = small.ringbound("score", "--input", "none.csv", "--output", "a.csv", "--bundle", str(bundle_folder))
    assert result.returncode == 1
    assert result.stderr == "ringbound: expected files at none.csv; found none; check the path\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "expected metrics.json in reports/; it is not there"),
        ("", "metrics.json: expected JSON"),
        ("<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> x\n", "metrics.json: has conflict marks of a merge"),
        ("{}", "metrics.json: expected a Metrics of format 4; got no format"),
        (
            '{"format": 4, "version": "m", "model": {}, "against": "prior", "baseline": {}, "rows": "many"}',
            "metrics.json: rows: ",
        ),
    ],
)
def test_a_record_that_cannot_be_read_is_one_line(small, content, says):
    if content is not None:
        (small.root / "data/reports").mkdir(parents=True)
        (small.root / "data/reports/metrics.json").write_text(content)
    result = small.ringbound("summary")
    assert result.returncode == 1
    assert says in result.stderr
    assert 'run "dvc repro evaluate"' in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_problem_that_is_not_there_is_one_line(small):
    result = small.ringbound("features", "list")
    assert result.returncode == 1
    assert "expected the problem at tiny.problem:PROBLEM, as pyproject.toml says" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_store_that_is_none_is_refused_before_anything_listens(small):
    result = small.ringbound("serve", "--store", "nonsense")
    assert result.returncode == 1
    assert result.stderr.startswith("ringbound: store: expected sqlite:///PATH")
    assert result.stderr.count("\n") == 1
