"""The whole path in a clone of its own, with few months and few trials: repro, edits, kills, serving, scoring."""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from conftest import ROOT

pytestmark = pytest.mark.xdist_group("pipeline")
BIN = Path(sys.executable).parent
SMALL = {
    'through: "2014-01-03T00:00:00Z"': 'through: "2013-04-10T00:00:00Z"',
    "trials: 24": "trials: 8",
    "draws: 500": "draws: 20",
    "valid_months: 2": "valid_months: 1",
    "test_months: 2": "test_months: 1",
}


class Clone:
    """A clone of the working tree, in a folder whose name has a space."""

    def __init__(self, root: Path):
        self.root = root
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, root / name)
        params = (root / "params.yaml").read_text()
        for before, after in SMALL.items():
            assert params.count(before) == 1, before
            params = params.replace(before, after)
        (root / "params.yaml").write_text(params)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("RINGBOUND")} | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(root / "src"),  # else the editable install shows the tree this was copied from
        }
        self.call("git", "init", "-q")

    def call(self, *command: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run a command in the clone."""
        result = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True)
        assert result.returncode == 0 or not check, f"{command}: {result.stdout[-2000:]} {result.stderr[-2000:]}"
        return result

    def repro(self, *more: str) -> list[str]:
        """Reproduce and return the names of the stages that ran."""
        return re.findall(r"Running stage '(\w+)'", self.call("dvc", "repro", *more).stdout)

    def lock(self) -> str:
        return (self.root / "dvc.lock").read_text()

    def edit_cell(self, notebook: str, kind: str, before: str, after: str) -> None:
        """Replace text in the cells of one kind, and export."""
        path = self.root / f"notebooks/{notebook}.ipynb"
        nb = json.loads(path.read_text())
        for cell in nb["cells"]:
            if cell["cell_type"] == kind:
                cell["source"] = "".join(cell["source"]).replace(before, after).splitlines(keepends=True)
        path.write_text(json.dumps(nb, sort_keys=True, indent=1, ensure_ascii=False) + "\n")
        self.call("nbdev-export")


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    found = Clone(tmp_path_factory.mktemp("a clone"))
    assert found.repro() == ["code", "ingest", "validate", "features", "tune", "evaluate", "package"]
    return found


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


def test_what_comes_out_is_there(clone):
    metrics = json.loads((clone.root / "data/reports/metrics.json").read_text())
    assert metrics["model"]["auc"]["low"] > 0.5
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


def test_no_weather_or_outcome_after_through_is_in_the_tables(clone):
    import pandas as pd

    from ringbound.data.tables import read_table

    for table, time_column in {"departures": "time", "arrivals": "time", "weather": "time_hour"}.items():
        assert read_table(clone.root / "data/raw", table)[time_column].max() <= pd.Timestamp("2013-04-10T00:00Z")


def test_prose_reruns_no_costly_stage_and_code_reruns_its_own(clone):
    lock = clone.lock()
    clone.edit_cell("tune", "markdown", "Logistic regression is", "Indeed, logistic regression is")
    assert clone.repro() == ["code"]
    clone.edit_cell("tune", "code", '"leaves", 7, 63', '"leaves", 7, 31')
    assert clone.repro()[:2] == ["code", "tune"]
    clone.edit_cell("tune", "code", '"leaves", 7, 31', '"leaves", 7, 63')
    clone.edit_cell("tune", "markdown", "Indeed, logistic regression is", "Logistic regression is")
    clone.repro()
    assert clone.lock() == lock


def test_a_typo_in_params_is_one_line(clone):
    params = clone.root / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("bad_share", "bad_shaer"))
    result = clone.call(sys.executable, "-m", "ringbound.stage", "validate", check=False)
    params.write_text(before)
    assert result.returncode == 1
    assert "unknown ['bad_shaer']; missing ['bad_share']" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("stage", ["ingest", "tune"])
def test_kill_minus_nine_in_a_stage_then_the_next_run_gives_the_same_bytes(clone, stage):
    lock = clone.lock()
    process = subprocess.Popen(
        ["dvc", "repro", "--force", "--single-item", stage], cwd=clone.root, env=clone.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list((clone.root / "data/.staging").glob(f"{stage}.*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(4)
    assert process.poll() is None, "finished before it could be killed"
    # The kernel runs in a session of its own; a machine that dies takes it along.
    subprocess.run(["pkill", "-9", "-f", str(clone.root)], check=False)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert stage in clone.repro()
    assert clone.lock() == lock


def test_force_gives_the_same_bytes(clone):
    lock = clone.lock()
    assert len(clone.repro("--force")) == 7
    assert clone.lock() == lock


@pytest.mark.parametrize("name", ["ingest", "validate", "features", "tune", "evaluate", "package"])
def test_run_all_works_on_defaults_and_touches_no_output(clone, name, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    for variable, value in clone.environment.items():
        monkeypatch.setenv(variable, value)
    tracked = digests(clone.root / "data")
    notebook = clone.root / f"notebooks/{name}.ipynb"
    nb = nbformat.read(notebook, as_version=4)
    for cell in nb.cells:  # the clone has too few months for two and two
        cell.source = cell.source.replace("valid_months = 2", "valid_months = 1").replace(
            "test_months = 2", "test_months = 1"
        )
    started = time.monotonic()
    NotebookClient(nb, kernel_name="python3", resources={"metadata": {"path": str(notebook.parent)}}).execute()
    print(f"{name}: {time.monotonic() - started:.0f} s")
    assert digests(clone.root / "data") == tracked


def digests(folder: Path) -> dict[str, str]:
    """Return a digest of every file that DVC tracks below a folder."""
    live = {"ops", "scratch", ".staging", "failed"}
    files = [f for f in folder.rglob("*") if f.is_file() and f.relative_to(folder).parts[0] not in live]
    return {f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.fixture(scope="module")
def service(clone):
    """The address of the packaged service, served as `make serve` does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        ["ringbound", "serve", "--port", str(port)], cwd=clone.root, env=clone.environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while True:
        try:
            assert urllib.request.urlopen(f"{address}/readyz").status == 200
            break
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
    yield address
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(30)


def post(address: str, content: object) -> tuple[int, dict]:
    body = json.dumps(content).encode()
    request = urllib.request.Request(f"{address}/predict", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_online_and_batch_give_the_same_bits(clone, service, questions):
    status, online = post(service, {"rows": questions[:1000]})
    assert status == 200
    with (clone.root / "rows.jsonl").open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in questions[:1000])
    clone.call("ringbound", "score", "--input", "rows.jsonl", "--output", "scored.jsonl", "--quiet")
    scored = [json.loads(line) for line in (clone.root / "scored.jsonl").read_text().splitlines()]
    for answer, row in zip(online["predictions"], scored, strict=True):
        assert answer["probability"] == row["probability"]
        assert answer["decision"] == row["decision"]
        assert answer["model_version"] == row["model_version"]
    assert len({answer["prediction_id"] for answer in online["predictions"]}) == 1000


def test_readmes_curl_answers(clone, service):
    """The command as README shows it, sent to this service."""
    block = re.search(r"```sh\n(curl .*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    assert block, "README shows no curl"
    command = block.group(1).replace("http://127.0.0.1:3000", service)
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    (answer,) = json.loads(result.stdout)["predictions"]
    assert 0 < answer["probability"] < 1


def test_requests_that_do_not_fit_are_refused_with_the_place(service, questions):
    status, answer = post(service, {"rows": [questions[0], questions[1] | {"dest": "Houston"}]})
    assert status == 400
    assert answer["detail"][0]["loc"] == ["rows", 1, "dest"]
    for rows in ([], questions[:1001] + questions[:1]):
        assert post(service, {"rows": rows})[0] == 400


def test_probes_metrics_and_documentation(service):
    for path in ("/livez", "/readyz", "/metrics", "/"):
        assert urllib.request.urlopen(service + path).status == 200
    with urllib.request.urlopen(f"{service}/docs.json") as answer:
        described = json.dumps(json.load(answer))
    assert "2013-11-27T17:15:00-05:00" in described
    assert "IATA code of the airline" in described


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium")
def test_documentation_page_renders_in_a_browser(service, tmp_path):
    result = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path}",
         "--virtual-time-budget=5000", "--dump-dom", service + "/"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "/predict" in result.stdout
    assert "Service APIs" in result.stdout


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
