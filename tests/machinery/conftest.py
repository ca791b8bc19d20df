"""What tests of the machinery share: a town's parcels, their events in tables and in a log, bundles, small workspaces."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from postgresql import PostgreSQL
from ringbound.features.asof import LATEST, MINUTE
from ringbound.features.columns import Reference
from ringbound.features.frames import columns_of
from ringbound.features.history import PAST, deliveries
from ringbound.features.live import LiveFeatures
from ringbound.features.offline import EventTables, asof_join
from ringbound.models.bundle import write_bundle
from ringbound.models.calibration import learn_calibration
from ringbound.models.candidates import fit_linear, fit_trees
from ringbound.models.encoding import Encoder, learn_vocabularies
from ringbound.models.facts import Learnt
from ringbound.models.prior import learn_prior
from ringbound.models.rung import Rung
from ringbound.store.clock import CLOCKS
from ringbound.store.store import Store
from ringbound.testing.notebooks import write_notebook
from ringbound.testing.parcels import ENTRY, FEATURES, PROBLEM
from ringbound.testing.town import Town, make_town

SRC = Path(__file__).resolve().parents[2] / "src"
ALL_DAYS = 60 * 24 * 60 * MINUTE


@pytest.fixture(scope="session")
def town() -> Town:
    """3,900 parcels and their events."""
    return make_town(days=39)


@pytest.fixture(scope="session")
def parcels(town) -> pd.DataFrame:
    """The last 2,000 parcels as a request holds them, in UTC, asked two hours before they are promised."""
    return town.parcels.tail(2000).reset_index(drop=True)


@pytest.fixture(scope="session")
def events(town, tmp_path_factory) -> EventTables:
    """The town's events as month-partitioned tables."""
    return town.write(tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="session")
def log(events, tmp_path_factory) -> Store:
    """A store whose log has these events."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('log')}/store.db")
    for name in events.sources:
        store.append(name, deliveries(events, name, 0, LATEST).events, PAST)
    return store


@pytest.fixture(scope="session")
def live(log) -> LiveFeatures:
    """Features by that log, which remembers all of its days."""
    return LiveFeatures(FEATURES, log, clock=CLOCKS["event"], retained=ALL_DAYS)


@pytest.fixture(scope="session")
def references(town) -> dict[str, Reference]:
    """The reference tables of the parcels."""
    return town.references


@pytest.fixture(scope="session")
def windowed(parcels, events) -> dict[str, np.ndarray]:
    """The windowed features of these parcels, offline."""
    (values,) = asof_join(FEATURES, events, [parcels])
    return values


@pytest.fixture(scope="session")
def questions(town, parcels) -> list[dict]:
    """The parcels as JSON requests."""
    return town.questions(parcels)


@pytest.fixture(scope="session", params=["linear", "trees"])
def bundle_folder(request, tmp_path_factory, parcels, references, windowed) -> Path:
    """A real bundle of each kind, fitted on few parcels."""
    features = FEATURES.compute(columns_of(parcels), references, windowed)
    encoder = Encoder(FEATURES.numbers, learn_vocabularies(features, FEATURES.categories))
    late = parcels["late"].fillna(1).to_numpy()
    common = {"sizes": encoder.sizes, "task": PROBLEM.task, "seed": 1}
    X = encoder.matrix(features)
    if request.param == "linear":
        model = fit_linear(X, late, **common, strength=0.1)
    else:
        model = fit_trees(X, late, **common, learning_rate=0.1, iterations=20, leaves=15, min_leaf=20, penalty=1.0)
    plain = [name for name in FEATURES.numbers if name in FEATURES.plain]
    few = Encoder(plain, encoder.vocabularies)
    reduced = fit_linear(few.matrix(features), late, **common | {"sizes": few.sizes}, strength=0.1)
    folder = tmp_path_factory.mktemp(request.param) / "models"
    write_bundle(
        folder,
        problem=PROBLEM,
        full=Rung(encoder, model, learn_calibration(model.predict(X), late)),
        reduced=Rung(few, reduced),
        prior=learn_prior(features, late, PROBLEM.prior, PROBLEM.task),
        default=float(late.mean()),
        references=references,
        learnt=Learnt(len(parcels), "2020-03-10", "2020-03-30", "no table", request.param, {}, 1),
        entry=ENTRY,
    )
    return folder


class SmallWorkspace:
    """A workspace with one stage, `one`, whose cells a test chooses."""

    def __init__(self, root: Path):
        self.root = root
        (root / "src/tiny").mkdir(parents=True)
        (root / "src/tiny/__init__.py").write_text("")
        (root / "pyproject.toml").write_text('[tool.ringbound]\nproblem = "tiny.problem:PROBLEM"\n')
        (root / "params.yaml").write_text("one:\n  number: 3\n")
        self.declare()

    def declare(self, *, deps: str = "", outs: str = "") -> None:
        """Write dvc.yaml with the stage's usual outputs, and more of both kinds, each separated by commas."""
        (self.root / "dvc.yaml").write_text(
            f"stages:\n  one:\n    cmd: ringbound stage one\n    params: [one]\n    deps: [{deps}]\n    outs:\n"
            f"      - data/out.txt\n      - data/reports/one.ipynb\n      - data/reports/one.html\n{outs}"
        )

    def stage(self, *cells: dict) -> None:
        """Write the stage's notebook and export its module."""
        write_notebook(self.root / "notebooks/one.ipynb", *cells)
        self.ringbound("notebooks", "export", check=True)

    @property
    def environment(self) -> dict[str, str]:
        """What commands in the workspace are run with."""
        return os.environ | {"PYTHONPATH": os.pathsep.join([str(self.root / "src"), str(SRC)])}

    def ringbound(self, *arguments: str, check: bool = False) -> subprocess.CompletedProcess:
        """Run a command of Ringbound's in the workspace."""
        command = [sys.executable, "-m", "ringbound", *arguments]
        done = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=check)
        # ZeroMQ has a line of its own to say when a kernel ends at the wrong moment; it is none of ours.
        lines = [line for line in done.stderr.splitlines(keepends=True) if "(src/signaler.cpp:" not in line]
        done.stderr = "".join(lines)
        return done

    def run(self) -> subprocess.CompletedProcess:
        """Run the stage."""
        return self.ringbound("stage", "one")


@pytest.fixture
def small(tmp_path: Path) -> SmallWorkspace:
    """A workspace in a folder whose name has a space."""
    return SmallWorkspace(tmp_path / "a workspace")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A PostgreSQL server for tests of stores."""
    found = PostgreSQL(tmp_path_factory.mktemp("postgresql"))
    yield found
    found.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    """The URL of an empty store, of both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return request.getfixturevalue("server").database()
