"""The whole path in a clone of its own, with few months and few trials: repro, edits, kills, serving, scoring."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ringbound.notebooks.stage import declaration
from ringbound.workspace.paths import load_yaml
from workspace_clone import Clone

FEW = {"valid_months = 3": 2, "test_months = 2": 1, "trials = 8": 2, "draws = 200": 20, "first = 9": 2}
STAGES = ["code", "ingest", "validate", "features", "problem", "tune", "evaluate", "package", "monitor"]


@pytest.fixture(scope="module")
def clone(built) -> Clone:
    return built


def test_every_stage_has_made_what_it_declares(clone):
    for stage in STAGES[1:]:
        missing = [path for path in declaration(clone.root, stage).outputs if not (clone.root / path).exists()]
        assert missing == [], stage
    assert {*STAGES} == set(load_yaml(clone.root / "dvc.lock")["stages"])


def test_nothing_runs_twice(clone):
    for left_behind in (
        "notebooks/.ipynb_checkpoints/tune.ipynb",
        "src/flights/__pycache__/tune.pyc",
        "notebooks/tune.py",
    ):
        (clone.root / left_behind).parent.mkdir(exist_ok=True)
        (clone.root / left_behind).write_text("left behind by a tool")
    assert clone.repro() == []
    assert "up to date" in clone.call("dvc", "status").stdout


def test_dvc_runs_stages_where_no_environment_is_active(clone):
    """As an IDE or cron calls it: by its path, with nothing of the environment on PATH."""
    (clone.root / ".venv").symlink_to(sys.prefix)
    try:
        bare = {"PATH": os.defpath, "HOME": os.environ["HOME"], "PYTHONPATH": str(clone.root / "src")}
        command = [".venv/bin/dvc", "repro", "-f", "-s", "code"]
        result = subprocess.run(command, cwd=clone.root, env=bare, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
    finally:
        (clone.root / ".venv").unlink()


def test_what_comes_out_is_there(clone):
    metrics = json.loads((clone.root / "data/reports/metrics.json").read_text())
    assert metrics["model"]["auc"]["value"] > 0.6  # ten days are two weeks, whose interval is wide
    assert metrics["model"]["auc"]["low"] < metrics["model"]["auc"]["value"] < metrics["model"]["auc"]["high"]
    assert "Measured on" in (clone.root / "data/reports/model_card.md").read_text()
    assert json.loads(clone.call("dvc", "metrics", "show", "--json").stdout)
    summary = clone.call("ringbound", "summary").stdout
    assert f"{metrics['model']['auc']['value']:.4f}" in summary


def test_plots_show_without_a_network(clone):
    clone.call("dvc", "plots", "show", "-o", "plots_page")
    page = (clone.root / "plots_page/index.html").read_text()
    assert "<img" in page
    assert "http" not in re.sub(r'"http://www.w3.org[^"]*"', "", page)
    shutil.rmtree(clone.root / "plots_page")


def test_nothing_that_was_known_after_through_is_in_the_tables(clone):
    import pandas as pd

    from ringbound.data.tables import read_table

    for table in ("departures", "arrivals", "weather"):
        assert read_table(clone.root / "data/raw", table)["available_at"].max() <= pd.Timestamp("2013-04-10T00:00Z")


def test_prose_reruns_no_costly_stage_and_code_reruns_its_own(clone):
    lock = clone.lock()
    clone.edit_cell("evaluate", "markdown", "A good average can", "Indeed, a good average can")
    assert clone.repro() == ["code"]
    clone.edit_cell("evaluate", "code", "least_rows=least_rows)\nsliced", "least_rows=least_rows + 1)\nsliced")
    assert clone.repro()[:2] == ["code", "evaluate"]
    clone.edit_cell("evaluate", "code", "least_rows=least_rows + 1)\nsliced", "least_rows=least_rows)\nsliced")
    clone.edit_cell("evaluate", "markdown", "Indeed, a good average can", "A good average can")
    clone.repro()
    assert clone.lock() == lock


def test_a_typo_in_params_is_one_line(clone):
    params = clone.root / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("bad_share", "bad_shaer"))
    result = clone.call("ringbound", "stage", "validate", check=False)
    params.write_text(before)
    assert result.returncode == 1
    assert "unknown ['bad_shaer']; missing ['bad_share']" in result.stderr
    assert result.stderr.count("\n") == 1


def killed_in(clone, stage: str, *command: str) -> None:
    """Run a command until it is in a stage, then kill it as a machine that dies would."""
    process = subprocess.Popen(
        command, cwd=clone.root, env=clone.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 600
    while not list((clone.root / "data/.staging").glob(f"{stage}.*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(4)
    assert process.poll() is None, "finished before it could be killed"
    # The kernel runs in a session of its own; a machine that dies takes it along.
    subprocess.run(["pkill", "-9", "-f", str(clone.root)], check=False)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_kill_minus_nine_in_a_stage_then_the_next_run_gives_the_same_bytes(clone):
    lock = clone.lock()
    killed_in(clone, "ingest", "dvc", "repro", "--force", "--single-item", "ingest")
    assert "ingest" in clone.repro()
    assert clone.lock() == lock


def test_force_gives_the_same_bytes_also_where_it_is_killed_on_its_way(clone):
    lock = clone.lock()
    killed_in(clone, "tune", "dvc", "repro", "--force")
    assert clone.repro() == ["tune"]
    assert clone.lock() == lock
    some = ["evaluate", "package", "monitor"]
    assert clone.repro("--force", "--single-item", *some) == some
    assert clone.lock() == lock


@pytest.mark.parametrize("name", [stage for stage in STAGES if stage != "code"])
def test_run_all_works_on_defaults_and_touches_no_output(clone, name, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    for variable, value in clone.environment.items():
        monkeypatch.setenv(variable, value)
    tracked = digests(clone.root / "data")
    notebook = clone.root / f"notebooks/{name}.ipynb"
    nb = nbformat.read(notebook, as_version=4)
    for cell in nb.cells:  # the clone has too few months for two and two
        for default, few in FEW.items():
            cell.source = cell.source.replace(default, f"{default.partition(' =')[0]} = {few}")
    started = time.monotonic()
    NotebookClient(nb, kernel_name="python3", resources={"metadata": {"path": str(notebook.parent)}}).execute()
    print(f"{name}: {time.monotonic() - started:.0f} s")
    assert digests(clone.root / "data") == tracked


def digests(folder: Path) -> dict[str, str]:
    """Return a digest of every file that DVC tracks below a folder."""
    live = {"ops", "scratch", ".staging", "failed"}
    files = [f for f in folder.rglob("*") if f.is_file() and f.relative_to(folder).parts[0] not in live]
    return {f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_features_commands_hold_the_clone_to_its_promises(clone):
    assert re.search(r"the same bytes as data/features", clone.call("ringbound", "features", "compute").stdout)
    assert (
        "keep to the declared times of being known"
        in clone.call("ringbound", "features", "prove", "--rows", "300").stdout
    )
    said = clone.call(
        "ringbound", "features", "replay", "--month", "2013-03", "--late", "0.02", "--twice", "0.02"
    ).stdout
    assert re.search(r"28,\d+ requests, [\d,]+ values: 0 mismatches", said)


def test_a_month_replayed_is_the_training_table(clone):
    said = clone.call("ringbound", "features", "replay", "--month", "2013-03").stdout
    assert re.search(r"28,\d+ requests, [\d,]+ values: 0 mismatches", said)


def test_reports_render_in_a_browser_without_a_network(clone, tmp_path):
    if not shutil.which("chromium"):
        pytest.skip("no chromium")
    result = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path}",
         "--dump-dom", (clone.root / "data/reports/evaluate.html").as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "Evaluate: how good is it" in result.stdout
    assert "image/png;base64" in result.stdout
