"""The service against others, closed loop and at fixed rates. Printed, never judged.

make bench

Ours answers questions with real features, the ladder, and a record in the store; the peers answer ready-made vectors with the
model alone. FastAPI and MLflow are installed into an environment of their own, which stays in data/scratch; where that
cannot be made, they are left out.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from postgresql import free_port

HERE = Path(__file__).parent
SECONDS = 5


@pytest.fixture(scope="module")
def place(root, tmp_path_factory) -> Path:
    """A folder with a store that holds the history, the model as scikit-learn has it, and what is asked."""
    if not (root / "data/bento/model.bento").exists():
        pytest.skip('no data/bento; run "make run" first')
    import joblib
    from sklearn.ensemble import HistGradientBoostingClassifier

    from ringbound.models.bundle import load_bundle

    folder = tmp_path_factory.mktemp("serving")
    bundle = load_bundle(root / "data/models")
    subprocess.run(
        ["ringbound", "features", "load", "--store", f"sqlite:///{folder}/store.db"],
        cwd=root,
        check=True,
        capture_output=True,
    )
    names = bundle.full.encoder.numbers
    table = pd.read_parquet(root / "data/features/table", columns=[*names, "late"]).dropna(subset=["late"])[:50_000]
    arguments = bundle.model.learnt.arguments
    model = HistGradientBoostingClassifier(max_iter=arguments["iterations"], max_leaf_nodes=arguments["leaves"])
    joblib.dump(model.fit(table[names].to_numpy(float), table["late"]), folder / "model.joblib")
    question = dict(bundle.problem.examples[0])
    vector = [None if value != value else float(value) for value in table[names].iloc[0]]
    for number, name in ((1, "one"), (1000, "many")):
        (folder / f"ours-{name}.json").write_text(json.dumps({"rows": [question] * number}))
        (folder / f"peer-{name}.json").write_text(json.dumps({"rows": [vector] * number}))
        (folder / f"mlflow-{name}.json").write_text(json.dumps({"inputs": [vector] * number}))
    return folder


@pytest.fixture(scope="module")
def peers(root) -> str | None:
    """The Python of an environment with FastAPI and MLflow; None where it cannot be made."""
    home = root / "data/scratch/peers"
    python = home / "bin/python"
    if not python.exists():
        wanted = [
            "fastapi",
            "uvicorn[standard]",
            "mlflow",
            *(f"{n}=={v}" for n, v in _same("scikit-learn", "numpy", "joblib")),
        ]
        for command in (
            ["uv", "venv", "-q", str(home)],
            ["uv", "pip", "install", "-q", "--python", str(python), *wanted],
        ):
            if subprocess.run(command, capture_output=True).returncode:
                shutil.rmtree(home, ignore_errors=True)
                return None
    return str(python)


def _same(*names: str) -> list[tuple[str, str]]:
    from importlib.metadata import version

    return [(name, version(name)) for name in names]


@contextmanager
def running(command: list[str], port: int, folder: Path, *, probe: str = "/", **environment: str):
    """Run a service until it answers, and stop it with all its processes afterwards."""
    log = (folder / f"log.{port}").open("w")
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment
    process = subprocess.Popen(command, env=inherited, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{probe}")
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                assert process.poll() is None, (folder / f"log.{port}").read_text()[-2000:]
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def load(port: int, body: Path, *, path: str = "/predict", connections: int = 16, rate: float = 0) -> dict:
    """Send load from a process of its own and return what it saw."""
    command = [sys.executable, str(HERE / "load.py"), "--port", str(port), "--body", str(body), "--path", path]
    command += ["--connections", str(connections), "--rate", str(rate), "--seconds", str(SECONDS)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_serving_against_peers(root, place, peers):
    port = free_port()
    ours = ["ringbound", "serve", "--clock", "event", "--store", f"sqlite:///{place}/store.db", "--port", str(port)]
    peer = lambda name, python: [python, str(HERE / "peers.py"), name, str(port), str(place)]  # noqa: E731
    services = {
        "ours": (ours, "ours", "/predict"),
        "without BentoML": (peer("bare", sys.executable), "ours", "/predict"),
        "plain BentoML": (peer("bentoml", sys.executable), "peer", "/predict"),
    }
    if peers:
        services["plain FastAPI"] = (peer("fastapi", peers), "peer", "/predict")
        services["MLflow's scorer"] = (peer("mlflow", peers), "mlflow", "/invocations")
    found = {}
    for name, (command, body, path) in services.items():
        probe = "/ping" if name.startswith("MLflow") else "/readyz" if "BentoML" in name or name == "ours" else "/docs"
        models = {"RINGBOUND_MODELS": str(root / "data/models")}
        with running(command, port, place, probe=probe, **models):
            one, many = place / f"{body}-one.json", place / f"{body}-many.json"
            load(port, one, path=path)  # to warm up
            found[name] = [
                load(port, one, path=path, connections=1),
                load(port, one, path=path),
                load(port, many, path=path, connections=1),
            ]
    print(f"\n{'':>16} {'1 connection':>22} {'16 connections':>28} {'1,000 rows at once':>20}")
    print(
        f"{'':>16} {'/s':>8} {'p50':>6} {'p99 ms':>6} {'/s':>8} {'p50':>6} {'p99 ms':>6} {'ours is':>6} {'rows/s':>12}"
    )
    for name, (alone, crowd, many) in found.items():
        ratio = found["ours"][1]["per_s"] / crowd["per_s"]
        print(
            f"{name:>16} {alone['per_s']:>8,.0f} {alone['p50']:>6.1f} {alone['p99']:>6.1f} {crowd['per_s']:>8,.0f} "
            f"{crowd['p50']:>6.1f} {crowd['p99']:>6.1f} {ratio:>6.1f}× {many['per_s'] * 1000:>12,.0f}"
        )


def test_serving_at_fixed_rates(root, place):
    port = free_port()
    ours = ["ringbound", "serve", "--clock", "event", "--store", f"sqlite:///{place}/store.db", "--port", str(port)]
    with running(ours, port, place, probe="/readyz"):
        one = place / "ours-one.json"
        most = load(port, one, connections=64)["per_s"]
        print(f"\nas fast as answers come, 64 connections: {most:,.0f}/s; then, whatever comes, by 1,000 connections:")
        print(f"{'rate':>6} {'due/s':>7} {'answered/s':>10} {'refused':>8} {'p50':>6} {'p99':>7} {'max ms':>7}  rungs")
        for share in (0.25, 0.5, 0.75, 1.0, 2.0, 0.5):
            seen = load(port, one, connections=1000, rate=share * most)
            statuses = {int(status): number for status, number in seen["statuses"].items()}
            rungs = ", ".join(f"{rung} {n / sum(seen['rungs'].values()):.0%}" for rung, n in seen["rungs"].items())
            refused = statuses.get(429, 0) / sum(statuses.values())
            others = {status: n for status, n in statuses.items() if status not in (200, 429)}
            print(
                f"{share:>6} {share * most:>7,.0f} {seen['per_s']:>10,.0f} {refused:>8.1%} {seen['p50']:>6.1f} "
                f"{seen['p99']:>7.1f} {seen['max']:>7.1f}  {rungs}{f'; others {others}' if others else ''}"
            )


def test_events_beside_questions(root, place):
    """Batches of 1,000 events, one after the other, while single questions are asked at a fixed rate."""
    port = free_port()
    events = [
        {
            "id": f"bench{n}", "time": "2013-12-31T20:00:00Z", "carrier": "UA", "flight": n + 1, "tailnum": None,
            "origin": "EWR", "dest": "IAH", "dep_delay": n % 60,
        }
        for n in range(1000)
    ]  # fmt: skip
    (place / "events.json").write_text(json.dumps({"source": "departures", "events": events}))
    ours = ["ringbound", "serve", "--clock", "event", "--store", f"sqlite:///{place}/store.db", "--port", str(port)]
    with running(ours, port, place, probe="/readyz"):
        quiet = load(port, place / "ours-one.json", connections=16, rate=100)
        command = [sys.executable, str(HERE / "load.py"), "--port", str(port), "--body", str(place / "events.json")]
        command += ["--path", "/events", "--connections", "1", "--seconds", str(SECONDS + 1)]
        beside = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        busy = load(port, place / "ours-one.json", connections=16, rate=100)
        batches = json.loads(beside.communicate()[0])
    print(f"\n100 questions a second: p50 {quiet['p50']:.1f}, p99 {quiet['p99']:.1f} ms; beside "
          f"{batches['per_s'] * 1000:,.0f} events/s: p50 {busy['p50']:.1f}, p99 {busy['p99']:.1f} ms")  # fmt: skip
    assert np.isfinite(busy["p99"])
