"""A model of the town with its profile, and stores with what it answered."""

import numpy as np
import pytest

from ringbound.features.frames import instants
from ringbound.monitoring.answers import put_into
from ringbound.monitoring.run import read_profile
from ringbound.problem.training import Rows
from ringbound.store import Store
from ringbound.testing import examples

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


@pytest.fixture(scope="session")
def bundle():
    return examples.bundle()


@pytest.fixture(scope="session")
def profile(bundle):
    return read_profile(examples.folder() / "models")


@pytest.fixture(scope="session")
def rows() -> Rows:
    """The parcels of the last week, those without an outcome among them."""
    training = examples.training()
    table = training.table
    chosen = np.flatnonzero(table["split"] == "test")
    return Rows(training.problem, table, training.requests, training.references).where(chosen)


@pytest.fixture(scope="session")
def known(rows) -> np.ndarray:
    """When their outcomes were known: some hours after they were asked."""
    random = np.random.default_rng(1)
    return instants(rows.table["at"]) + (random.uniform(3, 8, len(rows)) * HOUR_US).astype(int)


@pytest.fixture
def store(tmp_path, bundle, rows, known) -> Store:
    """A store with the answers of a week and what came of them."""
    made = Store(f"sqlite:///{tmp_path}/week.db")
    put_into(made, bundle, rows, known)
    return made
