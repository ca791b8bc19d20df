"""The image: what is in it, who runs it, and that it answers as the service beside it; with a real Docker engine."""

import json
import subprocess
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from engine import Engine, docker
from postgresql import free_port
from ringbound.store import Store
from services import Service
from workspace_clone import Clone

TAG = "ringbound-under-test"
EXAMPLE = {"carrier": "UA", "flight": 1, "origin": "EWR", "dest": "IAH", "sched_dep": "2013-04-10T02:30:00Z",
           "sched_arr": "2013-04-10T05:30:00Z"}  # fmt: skip


@pytest.fixture(scope="module")
def clone(built) -> Clone:
    return built


@pytest.fixture(scope="module")
def image(clone, tmp_path_factory) -> str:
    engine = Engine(tmp_path_factory.mktemp("engine"))
    path = f"/usr/bin:{clone.environment['PATH']}"
    made = subprocess.run(
        ["ringbound", "ops", "container", "--tag", TAG], cwd=clone.root, env=clone.environment | {"PATH": path},
        capture_output=True, text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[-3000:]
    yield TAG
    docker("image", "rm", "-f", TAG, check=False)
    engine.stop()


class Container:
    """A container that serves on a port of this machine, which may write nothing but its /tmp and what is mounted."""

    def __init__(self, image: str, folder: Path, *more: str):
        self.port = free_port()
        self.folder = folder
        folder.chmod(0o777)
        settings = {
            "BENTOML_HOME": "/tmp/bentoml", "BENTOML_DO_NOT_TRACK": "True", "BENTOML_PORT": str(self.port),
            "RINGBOUND_OPEN": "1", "RINGBOUND_CLOCK": "event", "RINGBOUND_STORE": "sqlite:////store/store.db",
            "RINGBOUND_DEADLINE_MS": "20000",
        }  # fmt: skip
        named = [part for name, value in settings.items() for part in ("-e", f"{name}={value}")]
        begun = time.monotonic()
        self.name = docker(
            "run", "-d", "--network", "host", "--read-only", "--tmpfs", "/tmp:exec", "--cap-drop", "ALL",
            "--security-opt", "no-new-privileges", "-v", f"{folder}:/store", *named, *more, image,
            "serve", "--host", "127.0.0.1", "--port", str(self.port),
        ).stdout.strip()  # fmt: skip
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz")
                break
            except OSError:
                assert time.monotonic() < begun + 60, docker("logs", self.name).stderr[-3000:]
                time.sleep(0.1)
        self.ready_s = time.monotonic() - begun

    post = Service.post
    address = property(lambda self: f"http://127.0.0.1:{self.port}")
    token = ""
    _trust = None

    def run(self, *command: str) -> str:
        return docker("exec", self.name, *command, check=False).stdout

    def remove(self) -> None:
        docker("rm", "-f", self.name)


@pytest.fixture
def container(image, tmp_path):
    made = Container(image, tmp_path)
    yield made
    made.remove()


def test_an_image_has_what_serves_and_runs_for_who_is_not_root(clone, container, image):
    about = json.loads(docker("image", "inspect", image).stdout)[0]
    assert about["Size"] < 600_000_000
    assert "uid=1034" in container.run("id")
    installed = container.run("ls", "/app/.venv/lib/python3.11/site-packages").split()
    assert {"bentoml", "numpy", "treelite"} <= {*installed}
    assert not {"pandas", "sklearn", "pyarrow", "dvc", "jupyterlab", "papermill", "nbdev", "whylogs"} & {*installed}
    assert container.run("sh", "-c", "touch /home/bentoml/x && echo written") == ""
    assert container.ready_s < 20  # five on a machine that does nothing else
    bill = json.loads((clone.root / f"data/ops/{image}.cdx.json").read_text())
    assert {"bentoml", "numpy"} <= {one["name"] for one in bill["components"]}
    assert bill["specVersion"] == "1.5"
    print(f"image {about['Size'] / 1e6:.0f} MB, ready after {container.ready_s:.1f} s")


def test_it_answers_as_the_service_beside_it(clone, container):
    event = {"id": "1", "time": "2013-04-10T00:00:00Z", "dep_delay": 1}
    event |= {name: EXAMPLE[name] for name in ("carrier", "flight", "origin", "dest")}
    service = Service(clone, "--clock", "event", "--store", f"sqlite:///{container.folder}/beside.db")
    try:
        answers = []
        for one in (container, service):
            assert one.post("events", {"source": "departures", "events": [event]})[1]["accepted"] == 1
            (answer,) = one.post("predict", {"rows": [EXAMPLE], "explain": True})[1]["predictions"]
            answers.append({name: value for name, value in answer.items() if name != "prediction_id"})
        assert answers[0] == answers[1]
        assert answers[0]["rung"] in ("full", "reduced", "prior")
    finally:
        service.stop()


def test_a_container_that_is_stopped_under_load_answers_all_that_it_has_taken(container):
    event = {"id": "1", "time": "2013-04-10T00:00:00Z", "dep_delay": 1}
    event |= {name: EXAMPLE[name] for name in ("carrier", "flight", "origin", "dest")}
    container.post("events", {"source": "departures", "events": [event]})
    answered: list[dict] = []

    def ask() -> None:
        with suppress(OSError):  # who comes too late is refused, or was still in the queue of the socket
            while True:
                status, answer = container.post("predict", {"rows": [EXAMPLE]})
                assert status == 200
                answered.extend(answer["predictions"])

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    while len(answered) < 200:
        time.sleep(0.01)
    docker("stop", "-t", "20", container.name)
    for thread in asking:
        thread.join(30)
    kept = {one.prediction_id for one in Store(f"sqlite:///{container.folder}/store.db").predictions(100_000)}
    assert kept == {one["prediction_id"] for one in answered}  # whatever was taken in was answered
    assert all(one["recorded"] for one in answered)
    assert json.loads(docker("inspect", container.name).stdout)[0]["State"]["ExitCode"] == 0
