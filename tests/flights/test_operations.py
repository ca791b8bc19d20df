"""What an operator sees, by a real Prometheus that scrapes a real service: each alert fires on its fault alone."""

import json
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager, suppress

import pytest

from postgresql import free_port
from services import Service
from workspace_clone import ROOT, Clone

OPS = ROOT / "bentos/ops"
QUICKER = {"[1m]": "[5s]", "[1h]": "[20s]", "for: 15s": "for: 1s"}
"""So that a fault shows soon: how long it has to last, and how far a rate looks back."""


class Prometheus:
    """A Prometheus that scrapes a service each half second, by the project's own rules."""

    def __init__(self, folder, target: str, token: str):
        rules = (OPS / "alerts.yml").read_text()
        for before, after in QUICKER.items():
            assert before in rules
            rules = rules.replace(before, after)
        (folder / "alerts.yml").write_text(rules)
        config = (OPS / "prometheus.yml").read_text().replace("5s", "500ms").replace("127.0.0.1:3000", target)
        key = "# authorization: {credentials_file: /etc/prometheus/ringbound.key}"
        assert key in config
        config = config.replace(key, f"authorization: {{credentials: {token}}}")
        (folder / "prometheus.yml").write_text(config)
        self.address = f"http://127.0.0.1:{free_port()}"
        self._process = subprocess.Popen(
            ["prometheus", "--config.file", folder / "prometheus.yml", "--storage.tsdb.path", folder / "data",
             "--web.listen-address", self.address.removeprefix("http://")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(lambda: self.get("label/__name__/values") is not None)

    def get(self, path: str, **asked: str):
        try:
            with urllib.request.urlopen(f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(asked)}") as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    def alerts(self) -> set[str]:
        """The names of the alerts that fire now."""
        return {one["labels"]["alertname"] for one in self.get("alerts")["alerts"] if one["state"] == "firing"}

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


def until(holds, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.2)


@pytest.fixture
def store(clone, tmp_path) -> str:
    """A store of its own with the clone's history."""
    url = f"sqlite:///{tmp_path}/store.db"
    clone.call("ringbound", "features", "load", "--store", url)
    return url


@pytest.fixture
def clone(built) -> Clone:
    return built


@pytest.fixture
def keys(clone, store) -> dict[str, str]:
    """Keys for who watches, who uses it, and who may use it once a second."""
    makes = {"watch": ["operate"], "shop": ["predict", "ingest"], "slow": ["predict"]}
    options = {name: [part for role in roles for part in ("--role", role)] for name, roles in makes.items()}
    options["slow"] += ["--rate", "1"]
    add = lambda name: clone.call("ringbound", "keys", "add", name, *options[name], "--store", store).stdout.strip()  # noqa: E731
    return {name: add(name) for name in makes}


@pytest.fixture
def service(clone, store, keys):
    made = Service(clone, "--clock", "event", "--store", store, token=keys["shop"])
    yield made
    with suppress(ProcessLookupError):
        made.stop()


@pytest.fixture
def prometheus(service, tmp_path, keys):
    made = Prometheus(tmp_path, service.address.removeprefix("http://"), keys["watch"])
    yield made
    made.stop()


@pytest.fixture(scope="module")
def question(built) -> dict:
    """One that can be asked at any time."""
    import pandas as pd

    from ringbound.problem.training import read_requests

    rows = read_requests(built.root / "data/features").tail(1)
    times = {name: rows[name].dt.strftime("%Y-%m-%dT%H:%M:%SZ") for name in ("sched_dep", "sched_arr")}
    (row,) = json.loads(rows.assign(**times).drop(columns="at").to_json(orient="records"))
    assert pd.notna(row["carrier"])
    return row


@contextmanager
def sent(service: Service, route: str, content, every_s: float = 0.05):
    """Send something over and over, until the end of the block."""
    ended = threading.Event()

    def send() -> None:
        while not ended.wait(every_s):
            with suppress(OSError):
                service.post(route, content)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


@pytest.mark.skipif(not shutil.which("prometheus"), reason="no prometheus")
def test_every_alert_fires_on_its_fault_and_is_silent_otherwise(service, keys, prometheus, question, tmp_path):
    one, many = {"rows": [question]}, {"rows": [question] * 1000}
    fires = lambda *names: until(lambda: set(names) <= prometheus.alerts())  # noqa: E731
    with sent(service, "predict", one):
        time.sleep(8)
        assert prometheus.alerts() == set()
    every_name_is_a_series(prometheus)

    with sent(service, "predict", many, every_s=0):
        fires("RingboundSlow")
    ahead = {
        "id": "ahead",
        "time": "2013-04-10T18:00:00Z",
        "carrier": "UA",
        "flight": 1,
        "origin": "EWR",
        "dest": "IAH",
    }
    assert service.post("events", {"source": "arrivals", "events": [ahead | {"arr_delay": 5}]})[0] == 200
    with sent(service, "predict", one):
        fires("RingboundSourceSilent", "RingboundStepsDown")

    (tmp_path / "store.db").rename(tmp_path / "away.db")
    with sent(service, "predict", many, every_s=0):
        event = {"source": "arrivals", "events": [ahead | {"id": "lost", "arr_delay": 5}]}
        with sent(service, "events", event, every_s=0.5):
            fires("RingboundStoreFails", "RingboundFails", "RingboundRecordsLost")
    (tmp_path / "away.db").rename(tmp_path / "store.db")

    for token, alert in ((keys["slow"], "RingboundOverloaded"), ("nobody's", "RingboundKeysRefused")):
        service.token = token
        with sent(service, "predict", one):
            fires(alert)
    service.stop()
    fires("RingboundDown")


def every_name_is_a_series(prometheus: Prometheus) -> None:
    """What a panel or a rule asks for is there, and asked rightly."""
    there = set(prometheus.get("label/__name__/values"))
    dashboard = json.loads((OPS / "dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    for text in [*asked, (OPS / "alerts.yml").read_text()]:
        assert set(re.findall(r"\bringbound_\w+", text)) <= there
    for expression in asked:
        assert prometheus.get("query", query=expression.replace("$instance", ".*")) is not None, expression
