import subprocess
import sys

import pytest


def ringbound(root, *arguments: str, cwd=None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "ringbound.cli", *arguments]
    return subprocess.run(command, cwd=cwd or root, capture_output=True, text=True)


@pytest.mark.parametrize("command", ["", "summary", "score", "serve"])
def test_help_of_every_command(root, command):
    result = ringbound(root, *command.split(), "--help")
    assert result.returncode == 0
    assert "Usage" in result.stdout
    assert result.stderr == ""


def test_help_lists_every_command(root):
    listed = ringbound(root, "--help").stdout
    assert all(name in listed for name in ("summary", "score", "serve"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["scroe"], "No such command 'scroe'"),
        (["score"], "Missing option '--input'"),
        (["score", "--input", "a.csv", "--output", "b.csv", "--fast"], "No such option: --fast"),
        (["serve", "--port", "99999"], "Invalid value for '--port'"),
        (["summary", "now"], "unexpected extra argument"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(root, arguments, says):
    result = ringbound(root, *arguments)
    assert result.returncode == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_outside_a_workspace_is_one_line_and_exit_code_1(root, tmp_path):
    result = ringbound(root, "summary", cwd=tmp_path)
    assert result.returncode == 1
    assert "expected a workspace" in result.stderr
    assert result.stderr.count("\n") == 1


def test_missing_file_is_one_line_and_exit_code_1(root, tmp_path, bundle_folder):
    result = ringbound(
        root, "score", "--input", "none.csv", "--output", str(tmp_path / "a.csv"), "--bundle", str(bundle_folder)
    )
    assert result.returncode == 1
    assert result.stderr == "ringbound: expected files at none.csv; found none; check the path\n"
