import subprocess
import sys

import pytest


def ringbound(root, *arguments: str, cwd=None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "ringbound.cli", *arguments]
    return subprocess.run(command, cwd=cwd or root, capture_output=True, text=True)


FEATURES = ["list", "show", "diff", "compute", "load", "prove", "replay", "audit"]


@pytest.mark.parametrize("command", ["", "summary", "score", "serve", "features", *(f"features {c}" for c in FEATURES)])
def test_help_of_every_command(root, command):
    result = ringbound(root, *command.split(), "--help")
    assert result.returncode == 0
    assert "Usage" in result.stdout
    assert result.stderr == ""


def test_help_lists_every_command(root):
    listed = ringbound(root, "--help").stdout
    assert all(name in listed for name in ("summary", "score", "serve", "features"))
    assert all(name in ringbound(root, "features", "--help").stdout for name in FEATURES)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["scroe"], "No such command 'scroe'"),
        (["score"], "Missing option '--input'"),
        (["score", "--input", "a.csv", "--output", "b.csv", "--fast"], "No such option: --fast"),
        (["serve", "--port", "99999"], "Invalid value for '--port'"),
        (["summary", "now"], "unexpected extra argument"),
        (["features", "compute", "--engine", "spark"], "Invalid value for '--engine'"),
        (["features", "show"], "Missing argument 'name'"),
        (["serve", "--clock", "sun"], "Invalid value for '--clock'"),
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


def test_features_are_listed_and_shown(root):
    from flights.features import FEATURES as DEFINED

    listed = ringbound(root, "features", "list").stdout.splitlines()
    assert len(listed) == len(DEFINED.names) + 1
    assert listed[-1] == f"{DEFINED.hash}  all {len(DEFINED.names)}"
    assert (
        "mean of dep_delay over 3h of departures, by origin"
        in ringbound(root, "features", "show", "origin_delay_mean_3h").stdout
    )
    unknown = ringbound(root, "features", "show", "origin_delay_mean_4h")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (1, 1)


def test_a_store_that_is_none_is_refused_before_anything_listens(root):
    result = ringbound(root, "serve", "--store", "nonsense")
    assert result.returncode == 1
    assert result.stderr.startswith("ringbound: store: expected sqlite:///PATH")
    assert result.stderr.count("\n") == 1
