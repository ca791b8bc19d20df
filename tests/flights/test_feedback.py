"""What a service was told comes back into the training table of flights, and poison does not."""

import re

import numpy as np
import pandas as pd
import pytest

from flights.problem import PROBLEM
from ringbound.features.asof import LATEST
from ringbound.features.history import PAST, deliveries
from ringbound.features.offline import EventTables
from ringbound.feedback.derive import derive_outcomes
from ringbound.models.bundle import load_bundle
from ringbound.monitoring.answers import put_into
from ringbound.problem.training import Rows, read_training_table
from ringbound.store import Outcome, SetClock, Store
from workspace_clone import Clone

HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def clone(built) -> Clone:
    return built


@pytest.fixture(scope="module")
def where(tmp_path_factory) -> str:
    """A store outside of the workspace: within it a stage reads what it declares, and nothing else."""
    return f"sqlite:///{tmp_path_factory.mktemp('service')}/store.db"


@pytest.fixture(scope="module")
def store(clone, where) -> Store:
    """A store with the answers of a week of March, and what the arrivals of their flights tell."""
    root = clone.root
    training = read_training_table(root / "data/features", PROBLEM)
    rows = Rows(PROBLEM, training.table, training.requests, training.references)
    week = training.table["day"].between("2013-03-18", "2013-03-24").to_numpy()
    made = Store(where)
    put_into(made, load_bundle(root / "data/models"), rows.where(np.flatnonzero(week)), known=None)
    tables = EventTables(root / "data/clean", PROBLEM.features.sources)
    arrivals = deliveries(tables, "arrivals", 0, LATEST).events
    for start in range(0, len(arrivals), 10_000):
        made.append("arrivals", arrivals[start : start + 10_000], PAST)
    derive_outcomes(made, PROBLEM, since=0, through=2**53)
    return made


def table_of(clone: Clone) -> pd.DataFrame:
    files = sorted((clone.root / "data/features/table").glob("*.parquet"))
    return pd.concat([pd.read_parquet(file, columns=["flight_id", "late"]) for file in files]).set_index("flight_id")


def test_arrivals_tell_the_outcome_of_every_flight_that_has_one(clone, store):
    came = {one.prediction_id: one.outcome for one in store.judged()}
    table = read_training_table(clone.root / "data/features", PROBLEM).table
    week = table[table["day"].between("2013-03-18", "2013-03-24")].reset_index(drop=True)
    told = week.index.map(lambda row: came[f"{row:08x}"]).astype(float).to_series(index=week.index)
    pd.testing.assert_series_equal(told, week["late"], check_names=False)


def test_a_correction_is_learnt_and_poison_is_put_aside(clone, store, where):
    before = table_of(clone)["late"]
    told = [one for one in store.outcomes(most=100_000) if one.told_by == "events"]
    wrong = told[100]
    store.tell([Outcome(wrong.prediction_id, wrong.time + HOUR_US, 1 - wrong.value)], SetClock(wrong.time), "desk")
    poisoned = told[200::80]  # more than one in fifty stops the pipeline in validate
    flips = [Outcome(one.prediction_id, one.time + HOUR_US, 1 - one.value) for one in poisoned]
    store.tell(flips, SetClock(max(one.time for one in told)), "stranger")
    params = clone.root / "params.yaml"
    kept = params.read_text()
    params.write_text(kept.replace('feedback: ""', f'feedback: "{where}"'))
    assert clone.repro("features") == ["ingest", "validate", "features"]
    after = table_of(clone)["late"]
    differ = before.fillna(-1) != after.fillna(-1)
    assert differ.sum() == 1, "the corrected flight, and none of those that the stranger told"
    rejected = pd.read_parquet(clone.root / "data/raw/rejected.parquet")
    aside = rejected[rejected["source"] == "feedback:store.db"]
    assert set(aside["place"]) == {one.prediction_id for one in poisoned}
    assert aside["reason"].str.startswith("stranger: its outcomes of a week are ").all()
    shown = (clone.root / "data/reports/features.html").read_text()
    assert re.search(r"1 labels? (is|are) what came back from the service", shown)
    params.write_text(kept)
    clone.repro("features")
    pd.testing.assert_series_equal(table_of(clone)["late"], before)
