"""What several tests share: the repository's root, small notebooks, a small workspace, some real flights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent
SPAN = (pd.Timestamp("2013-02-20T00:00Z"), pd.Timestamp("2013-03-29T00:00Z"))
LAG_MIN = {"departures": 5, "arrivals": 10, "weather": 20}


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository under test."""
    return ROOT


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory) -> Path:
    """A DVC cache for all clones of this run, whichever process they are in: what one has made, others need not."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "dvc-cache"


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
def published() -> dict[str, pd.DataFrame]:
    """The tables of the flights problem around March 2013, as ingest shapes them."""
    from flights.ingest import tables

    found, readings = {}, {}
    for table in tables(LAG_MIN):
        if id(table.source) not in readings:
            rows = table.source.read(None, pd.Timestamp.max).rows
            around = rows[rows["month"].isin([2, 3])] if "month" in rows else rows
            readings[id(table.source)] = around
        shaped = table.shape(readings[id(table.source)])
        if table.time:
            shaped = shaped[shaped[table.time].between(*SPAN)].sort_values(list(table.key))
        found[table.name] = shaped[[*table.columns]].reset_index(drop=True)
    return found


@pytest.fixture(scope="session")
def flights(published) -> pd.DataFrame:
    """2,000 real flights of March as a request holds them, in UTC, asked two hours before departure."""
    march = published["flights"][published["flights"]["sched_dep"] >= pd.Timestamp("2013-03-01T12:00Z")]
    rows = march.iloc[:: len(march) // 2000].head(2000).reset_index(drop=True)
    outcome = published["arrivals"].set_index("flight_id")["arr_delay"]
    return rows.assign(at=rows["sched_dep"] - pd.Timedelta(hours=2), arr_delay=rows["flight_id"].map(outcome))


@pytest.fixture(scope="session")
def events(published, tmp_path_factory):
    """The events behind these flights, as month-partitioned tables."""
    from flights.features import FEATURES
    from ringbound.features.offline import EventTables

    folder = tmp_path_factory.mktemp("clean")
    for name in FEATURES.sources:
        for month, part in published[name].groupby(published[name]["available_at"].dt.strftime("%Y-%m")):
            (folder / name).mkdir(exist_ok=True)
            part.to_parquet(folder / name / f"{month}.parquet", index=False)
    return EventTables(folder, FEATURES.sources)


@pytest.fixture(scope="session")
def log(events, tmp_path_factory):
    """A store whose log has these events."""
    from ringbound.features.asof import LATEST
    from ringbound.features.replay import Delivery, deliveries
    from ringbound.store import Store

    store = Store(f"sqlite:///{tmp_path_factory.mktemp('log')}/store.db")
    for name in events.sources:
        store.append(name, deliveries(events, name, 0, LATEST, Delivery())[1], clock=lambda newest: 0)
    return store


@pytest.fixture(scope="session")
def live(log):
    """Features by that log, which remembers all of March."""
    from flights.features import FEATURES
    from ringbound.features.asof import MINUTE
    from ringbound.features.live import LiveFeatures
    from ringbound.store import event_clock

    return LiveFeatures(FEATURES, log, clock=event_clock, retained=40 * 24 * 60 * MINUTE)


@pytest.fixture(scope="session")
def references(published):
    """The reference tables of the flights problem."""
    from flights.features import holiday_table
    from ringbound.features.columns import Reference

    return {
        "planes": Reference.of(published["planes"], "tailnum", ["seats", "year"]),
        "airports": Reference.of(published["airports"], "faa", ["lat", "lon"]),
        "holidays": holiday_table(2012, 2015),
    }


@pytest.fixture(scope="session")
def windowed(flights, events):
    """The windowed features of these flights, offline."""
    from flights.features import FEATURES
    from ringbound.features.offline import asof_join

    (values,) = asof_join(FEATURES, events, [flights])
    return values


@pytest.fixture(scope="session", params=["linear", "trees"])
def bundle_folder(request, tmp_path_factory, flights, references, windowed) -> Path:
    """A real bundle of each kind, fitted on few flights."""
    import numpy as np

    from flights.features import FEATURES
    from ringbound.features.frames import columns_of
    from ringbound.models.bundle import Rung, write_bundle
    from ringbound.models.calibration import learn_calibration
    from ringbound.models.candidates import fit_linear, fit_trees
    from ringbound.models.cascade import Cascade
    from ringbound.models.encoding import Encoder, learn_vocabularies
    from ringbound.models.prior import learn_prior

    features = FEATURES.compute(columns_of(flights), references, windowed)
    encoder = Encoder(FEATURES.numbers, learn_vocabularies(features, FEATURES.categories))
    late = (flights["arr_delay"].fillna(60).to_numpy() >= 15).astype(float)
    common = {"sizes": encoder.sizes, "task": "classification", "seed": 1}
    X = encoder.matrix(features)
    if request.param == "linear":
        model = fit_linear(X, late, **common, strength=0.1)
    else:
        model = fit_trees(X, late, **common, learning_rate=0.1, iterations=20, leaves=15, min_leaf=20, penalty=1.0)
    plain = [name for name in FEATURES.categories if name in FEATURES.plain]
    few = Encoder(
        [name for name in FEATURES.numbers if name in FEATURES.plain], {n: encoder.vocabularies[n] for n in plain}
    )
    reduced = fit_linear(few.matrix(features), late, **common | {"sizes": few.sizes}, strength=0.1)
    folder = tmp_path_factory.mktemp(request.param) / "models"
    write_bundle(
        folder, full=Rung(encoder, model, learn_calibration(model.predict(X), late)), reduced=Rung(few, reduced),
        prior=learn_prior(features, late, {"carrier": None, "dep_minute": 60.0}), cascade=Cascade(0.1, 0.4),
        entry="flights.features:FEATURES", features=FEATURES, references=references,
        task="classification", threshold=float(np.float64(0.25)),
        provenance={"candidate": request.param, "rows": len(flights), "first_day": "2013-01-01", "last_day": "2013-12-31"},
    )  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def questions(flights) -> list[dict]:
    """The flights as JSON requests."""
    columns = ["carrier", "flight", "tailnum", "origin", "dest", "sched_dep", "sched_arr", "at"]
    times = {name: flights[name].dt.strftime("%Y-%m-%dT%H:%M:%SZ") for name in ("sched_dep", "sched_arr", "at")}
    texts = flights[columns].assign(**times)
    return json.loads(texts.to_json(orient="records"))
