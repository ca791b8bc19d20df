"""Somebody else's problem: what will a house sell for? Another table, a regression, notebooks and a package of its own.

A workspace as the page on a workspace by hand has it, which a test builds once and shares. No line of the machinery is in it.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from ringbound.notebooks.markdown import write_notebook

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

PAGE = ROOT / "docs/by-hand.md"


def parts_of(page: str) -> dict[str, str]:
    """Return what the page says of each file, by its path."""
    _, *parts = re.split(r"^## `([^`]+)`$", page, flags=re.M)
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}


def fenced(text: str) -> str:
    """Return the one file that stands in a part of the page."""
    (found,) = re.findall(r"^```\w+\n(.*?)^```$", text, flags=re.M | re.S)
    return str(found)


class Houses:
    """The workspace in a folder; commands run in it as a user would run them."""

    def __init__(self, root: Path, kind: str):
        self.root = root
        ignored = shutil.ignore_patterns("__pycache__")
        for folder in ("src/ringbound", "bentos"):
            shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
        (root / "src/houses").mkdir()
        (root / "src/houses/__init__.py").write_text("")
        (root / ".gitignore").write_text("__pycache__\n")
        write_sources(root / "data/sources")
        for name, text in parts_of(PAGE.read_text("utf-8")).items():
            if name.endswith(".ipynb"):
                write_notebook(root / name, text)
            else:
                (root / name).write_text(fenced(text).replace("kind: trees", f"kind: {kind}"))
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("RINGBOUND")} | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(root / "src"),
            "BENTOML_HOME": str(root / ".bentoml"),
        }
        self.call("git", "init", "-q", "-b", "main")
        for name, value in (("user.name", "Ann"), ("user.email", "ann@example.org")):
            self.call("git", "config", name, value)
        self.call("dvc", "init", "-q")
        shutil.copyfile(ROOT / ".dvcignore", self.root / ".dvcignore")  # what Python leaves beside sources is none
        self.call("ringbound", "notebooks", "export")

    def call(self, *command: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run a command in the workspace."""
        result = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True)
        assert result.returncode == 0 or not check, f"{command}: {result.stdout[-2000:]} {result.stderr[-2000:]}"
        return result

    def serve_first(self, through: str) -> None:
        """Make the first version, which has learnt up to a time, and promote it."""
        params = self.root / "params.yaml"
        params.write_text(params.read_text().replace("2020-07-01T00:00:00Z", through))
        self.call("dvc", "repro")
        self.call("ringbound", "gate")
        (self.root / ".gitignore").write_text("__pycache__\n/data/ops/\n/data/.staging/\n/.bentoml/\n")
        self.call("git", "add", "-A")
        self.call("git", "commit", "-q", "-m", "first")
        self.call("ringbound", "registry", "register")
        self.call("ringbound", "registry", "promote", "v1", "prod", "--force", "--reason", "the first")

    def repro(self) -> list[str]:
        """Reproduce and return the names of the stages that ran."""
        return re.findall(r"Running stage '(\w+)'", self.call("dvc", "repro").stdout)

    def python(self, code: str) -> str:
        """Run Python in the workspace and return what it prints."""
        return self.call(sys.executable, "-c", code).stdout


def write_sources(folder: Path, *, n: int = 3000, seed: int = 1) -> None:
    """Write the houses of half a year, in which a square metre gets dearer, and what was paid for it."""
    random = np.random.default_rng(seed)
    day = np.sort(random.uniform(0, 180, n))
    at = pd.Timestamp("2020-01-01T00:00Z") + pd.to_timedelta((day * 86400).round(), unit="s")
    district, area = random.choice(["north", "south", "old town"], n), random.uniform(30, 300, n).round(1)
    metre = 2.0 + day / 90 + random.normal(0, 0.1, n)
    text = lambda times: times.strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: E731
    houses = pd.DataFrame(
        {
            "house_id": [f"h{i}" for i in range(n)],
            "district": district,
            "area": area,
            "built": text(pd.DatetimeIndex(pd.to_datetime(random.integers(-(10**9), 10**9, n), unit="s", utc=True))),
            "at": text(at),
            "price": (area * metre + 100.0 * (district == "old town")).round(1),
        }
    )
    sales = pd.DataFrame(
        {
            "id": [f"s{i}" for i in range(n)],
            "time": text(at),
            "available_at": text(at + pd.Timedelta(hours=1)),
            "district": district,
            "metre": metre.round(2),
        }
    )
    folder.mkdir(parents=True)
    houses.to_csv(folder / "houses.csv", index=False)
    sales.to_csv(folder / "sales.csv", index=False)
