"""`ringbound new`, as people use it: a table goes in, and everything runs, with nothing edited."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[3]


def rentals() -> pd.DataFrame:
    """Bicycles lent each hour of five months: by the hour, the weather, the day's mood, and a little more every month."""
    dice = np.random.default_rng(3)
    at = pd.date_range("2021-01-01", "2021-06-14 23:00", freq="h")
    n, hour, free = len(at), at.hour.to_numpy(), (at.day_of_week >= 5)
    warm = 10 + 8 * np.sin((at.day_of_year - 100) / 58) + 4 * np.sin((hour - 9) / 3.8) + dice.normal(0, 2, n)
    busy = np.where(free, 60 * np.exp(-((hour - 14) ** 2) / 20), 70 * np.exp(-((hour - 8) ** 2) / 4) + 5) + 10
    mood = np.exp(dice.normal(0, 0.3, n // 24 + 1)).repeat(24)[:n]
    lent = dice.poisson(busy * mood * np.clip(warm / 15, 0.2, 2) * (1 + 0.2 * np.arange(n) / n))
    guests = dice.binomial(lent, 0.3)
    return pd.DataFrame(
        {
            "Stunde": at.strftime("%Y-%m-%d %H:%M:%S"),
            "Frei": np.where(free, "ja", "nein"),
            "Wärme (°C)": [None if dice.random() < 0.02 else f"{x:.1f}" for x in warm],
            "class": dice.integers(1, 4, n),
            "Gäste": guests,
            "Kunden": lent - guests,
            "Anzahl": lent,
        }
    )


class Made:
    """A workspace made out of a table; commands run in it as its owner runs them, with what is on `path`."""

    def __init__(self, root: Path, path: Path, *arguments: str):
        self.root = root
        own = {
            name: value for name, value in os.environ.items() if not name.startswith(("RINGBOUND", "PYTHON", "VIRTUAL"))
        }
        self.environment = own | {"PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
        self.environment.pop("BENTOML_HOME", None)
        root.parent.mkdir(parents=True, exist_ok=True)
        self.said = self.call("ringbound", "new", root.name, *arguments, where=root.parent)

    def call(self, *command: str, where: Path | None = None, check: bool = True) -> str:
        done = subprocess.run(command, cwd=where or self.root, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0 or not check, f"{command}: {done.stdout[-3000:]} {done.stderr[-3000:]}"
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The folder of the commands of an environment that has what this one has, and ringbound from its wheel alone."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z", "src/ringbound", "pyproject.toml", "README.md", "LICENSE"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    build = ["uv", "build", "-q", "--wheel", "--no-build-isolation", "-o", str(folder / "built"), str(source)]
    subprocess.run(build, check=True, env=os.environ | {"VIRTUAL_ENV": sys.prefix})
    (built,) = (folder / "built").glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)
    python = folder / "env/bin/python"
    install = ["uv", "pip", "install", "-q", "--no-deps", "--python", str(python), str(built)]
    subprocess.run(install, check=True)
    (site,) = (folder / "env/lib").glob("python*/site-packages")
    ours = [path for path in sys.path if path.endswith("site-packages")]
    # What else it needs comes from here, but for this repository, of which the environment here knows by a file of paths.
    code = f"import sys; sys.path += [p for p in {ours!r} if p not in sys.path]"
    (site / "others.pth").write_text(code + "\n")
    (folder / "env/share").mkdir()
    (folder / "env/share/jupyter").symlink_to(Path(sys.prefix) / "share/jupyter")
    for name in ("dvc", "jupyter", "pytest"):
        (folder / f"env/bin/{name}").write_text(f'#!/bin/sh\nexec "{python}" -m {name} "$@"\n')
        (folder / f"env/bin/{name}").chmod(0o755)
    return folder / "env/bin"


@pytest.fixture(scope="module")
def made(wheel, tmp_path_factory) -> Made:
    folder = tmp_path_factory.mktemp("of somebody")
    rentals().to_csv(folder / "Verleih.csv", index=False, sep=";", encoding="cp1252")
    table = ("--table", str(folder / "Verleih.csv"), "--label", "Anzahl", "--mature", "1h", "--zone", "Europe/Berlin")
    return Made(folder / "bike rentals", wheel, *table)


def test_it_says_what_was_inferred_and_sets_aside_what_was_not_known(made):
    assert "it is a count of `Anzahl`: whole numbers from 0 on" in made.said
    assert "`Gäste` is set aside: it with `Kunden` makes up `Anzahl` exactly" in made.said
    features = json.loads((made.root / "notebooks/features.ipynb").read_text())
    code = "".join("".join(cell["source"]) for cell in features["cells"] if cell["cell_type"] == "code")
    assert 'Field("waerme_c", "number", "Wärme (°C)"' in code
    assert "gaeste" not in code
    assert '"1h, 23h ago"' in code
    assert len(features["cells"]) <= 26


def test_everything_runs_at_once_from_a_wheel_outside_of_any_checkout(made):
    made.call("make", "run")
    where = made.call("python", "-c", "import ringbound; print(ringbound.__file__)")
    assert "site-packages" in where
    assert str(ROOT) not in where
    assert "up to date" in made.call("dvc", "status")
    assert re.search(r"\d+ passed", made.call("make", "test"))
    made.call("make", "check")
    gated = made.call("ringbound", "gate")
    assert re.search(r"passed +skew: 0 mismatches of [\d,]+ values", gated)
    assert "promote: model" in gated
    assert len(made.call("ringbound", "summary").splitlines()) > 5
    card = (made.root / "data/reports/model_card.md").read_text()
    assert "What will Anzahl be?" in card
    assert re.search(r"To beat is all_(last|same_hour)_\w+\. ", card)
    held = re.search(r"promise to hold 95% of outcomes; they hold ([\d.]+)%", card)
    assert held
    assert 90 < float(held[1]) < 99
    assert re.search(r"passed +bias: bias ", gated)


def test_an_upgrade_says_what_it_changes(made):
    said = made.call("ringbound", "upgrade", "--check")
    assert re.search(r"ringbound [\d.]+\S* is installed, as its pyproject.toml asks for\nit changes nothing here", said)
    params, metrics = made.root / "params.yaml", made.root / "data/reports/metrics.json"
    before = params.read_text(), metrics.read_text()
    try:
        params.write_text(before[0].replace("replayed_rows: 200", "replayed_days: 7"))
        metrics.write_text(before[1].replace('"format": 4', '"format": 3'))
        said = made.call("ringbound", "upgrade", "--check", check=False)
        assert "metrics.json: expected a Metrics of format 4; got format 3" in said
        assert re.search("params.yaml, section gates: expected .*replayed_rows", said)
    finally:
        params.write_text(before[0])
        metrics.write_text(before[1])
    assert "expected --check" in made.call("ringbound", "upgrade", check=False)


def test_it_is_a_version_and_is_served(made, tmp_path):
    from services import Service

    for name, value in (("user.name", "Ann"), ("user.email", "ann@example.org")):
        made.call("git", "config", name, value)
    made.call("git", "add", "-A")
    made.call("git", "commit", "-q", "-m", "first")
    made.call("ringbound", "registry", "register")
    assert made.call("git", "status", "--short") == ""
    store = f"sqlite:///{tmp_path}/store.db"
    made.call("ringbound", "features", "load", "--store", store)
    service = Service(made, "--clock", "event", "--store", store)
    try:
        code = "import json; from bike_rentals.problem import PROBLEM; print(json.dumps(PROBLEM.examples[0]))"
        made.environment["PYTHONPATH"] = "src"
        example = json.loads(made.call("python", "-c", code))
        status, answer = service.post("predict", {"rows": [example]})
        assert status == 200, answer
        (told,) = answer["predictions"]
        assert (told["rung"], told["recorded"]) == ("full", True)
        assert 0 <= told["low"] < told["value"] < told["high"]
        outcome = {"prediction_id": told["prediction_id"], "time": example["at"]}
        status, refused = service.post("outcomes", {"outcomes": [outcome | {"outcome": -1}]})
        assert status == 400
        assert "a whole number of at least 0; got -1" in json.dumps(refused)
        status, refused = service.post("predict", {"rows": [example | {"waerme_c": "warm"}]})
        assert status == 400
        assert "waerme_c: expected a finite number" in json.dumps(refused)
    finally:
        service.stop()


def test_a_folder_with_files_is_left_as_it_is(made):
    command = ["ringbound", "new", made.root.name, "--label", "Anzahl", "--table"]
    assert "x.csv is not there" in made.call(*command, "x.csv", where=made.root.parent, check=False)
    table = next((made.root / "data/sources").glob("*.csv"))
    said = made.call(*command, str(table), where=made.root.parent, check=False)
    assert said == "ringbound: bike rentals: expected a folder that is not there, or is empty; it has files\n"
