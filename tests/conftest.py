"""What several tests share: the repository's root, small notebooks, a small workspace, some real flights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository under test."""
    return ROOT


def code_cell(source: str, *tags: str) -> dict:
    """Return a code cell as it stands in a notebook file."""
    metadata = {"tags": list(tags)} if tags else {}
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": [], "execution_count": None}


def write_notebook(path: Path, *cells: dict) -> None:
    """Write a clean notebook with these cells."""
    from ringbound import notebooks

    numbered = [cell | {"id": f"cell-{number}"} for number, cell in enumerate(cells)]
    nb = {"cells": numbered, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    notebooks.clean(nb)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(notebooks.dumps(nb), "utf-8")


class SmallWorkspace:
    """A workspace with one stage, `one`, whose cells a test chooses."""

    def __init__(self, root: Path):
        self.root = root
        (root / "src/tiny").mkdir(parents=True)
        (root / "src/tiny/__init__.py").write_text("")
        (root / "pyproject.toml").write_text('[tool.ringbound]\npackage = "tiny"\n')
        (root / "params.yaml").write_text("one:\n  number: 3\n")
        (root / "dvc.yaml").write_text(
            "stages:\n  one:\n    cmd: python -m ringbound.stage one\n    outs:\n"
            "      - data/out.txt\n      - data/reports/one.ipynb\n      - data/reports/one.html\n"
        )

    def stage(self, *cells: dict) -> None:
        """Write the stage's notebook and export its module."""
        write_notebook(self.root / "notebooks/one.ipynb", *cells)
        self.python("-m", "ringbound.notebooks", "export", check=True)

    def python(self, *arguments: str, check: bool = False, **more) -> subprocess.CompletedProcess:
        """Run Python in the workspace."""
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(self.root / "src"), str(ROOT / "src")])}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            check=check,
            **more,
        )

    def run(self) -> subprocess.CompletedProcess:
        """Run the stage."""
        return self.python("-m", "ringbound.stage", "one")


PARAMETERS = code_cell("number = 1", "parameters")
WRITE = code_cell("from ringbound import workspace\nworkspace.stage_output('data/out.txt').write_text(str(number))")


@pytest.fixture
def small(tmp_path: Path) -> SmallWorkspace:
    """A workspace in a folder whose name has a space."""
    return SmallWorkspace(tmp_path / "a workspace")


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    """2,000 real flights as a request holds them, in UTC, from all over the year."""
    from flights.ingest import tables

    table = next(t for t in tables() if t.name == "flights")
    rows = table.source.read(None, pd.Timestamp.max).rows.iloc[::168].head(2000).reset_index(drop=True)
    return table.shape(rows)


@pytest.fixture(scope="session")
def references():
    """The reference tables of the flights problem."""
    from flights.features import holiday_table
    from flights.ingest import tables
    from ringbound.features.columns import Reference

    found = {t.name: t.shape(t.source.read(None, pd.Timestamp.max).rows) for t in tables() if t.time is None}
    return {
        "planes": Reference.of(found["planes"], "tailnum", ["seats", "year"]),
        "airports": Reference.of(found["airports"], "faa", ["lat", "lon"]),
        "holidays": holiday_table(2012, 2015),
    }


@pytest.fixture(scope="session", params=["linear", "trees"])
def bundle_folder(request, tmp_path_factory, flights, references) -> Path:
    """A real bundle of each kind, fitted on few flights."""
    import numpy as np

    from flights.features import FEATURES
    from ringbound.features.offline import columns_of
    from ringbound.models.bundle import write_bundle
    from ringbound.models.candidates import fit_linear, fit_trees
    from ringbound.models.encoding import Encoder, learn_vocabularies

    features = FEATURES.compute(columns_of(flights), references)
    encoder = Encoder(FEATURES.numbers, learn_vocabularies(features, FEATURES.categories))
    late = (flights["arr_delay"].fillna(60).to_numpy() >= 15).astype(float)
    common = {"sizes": encoder.sizes, "task": "classification", "seed": 1}
    X = encoder.matrix(features)
    if request.param == "linear":
        model = fit_linear(X, late, **common, strength=0.1)
    else:
        model = fit_trees(X, late, **common, learning_rate=0.1, iterations=20, leaves=15, min_leaf=20, penalty=1.0)
    folder = tmp_path_factory.mktemp(request.param) / "models"
    write_bundle(
        folder, model=model, entry="flights.features:FEATURES", features=FEATURES, references=references, encoder=encoder,
        task="classification", threshold=float(np.float64(0.25)),
        provenance={"candidate": request.param, "rows": len(flights), "first_day": "2013-01-01", "last_day": "2013-12-31"},
    )  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def questions(flights) -> list[dict]:
    """The flights as JSON requests."""
    columns = ["carrier", "flight", "tailnum", "origin", "dest", "sched_dep", "sched_arr"]
    texts = flights[columns].assign(
        sched_dep=flights["sched_dep"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        sched_arr=flights["sched_arr"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    return json.loads(texts.to_json(orient="records"))
