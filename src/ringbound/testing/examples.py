"""Small things of the tiny problem, for examples and tests; each is made once and shared, so leave them as they are."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from ringbound.evaluation.ladder import LadderResult, evaluate_ladder
from ringbound.features.asof import LATEST
from ringbound.features.columns import Column
from ringbound.features.history import PAST, deliveries
from ringbound.features.offline import EventTables
from ringbound.feedback.derive import derive_outcomes
from ringbound.models.bundle import Bundle
from ringbound.models.candidates import Candidate, fit_linear, fit_trees
from ringbound.models.ladder import LadderTrial, try_ladder, write_model
from ringbound.models.selection import Budget, SearchResult, search_models
from ringbound.monitoring.answers import put_into
from ringbound.monitoring.learn import learn_profile
from ringbound.problem.training import (
    Rows,
    TrainingTable,
    read_training_table,
    split_by_month,
    with_features,
    write_training_table,
)
from ringbound.store import Store
from ringbound.testing.parcels import ENTRY, FEATURES, PROBLEM
from ringbound.testing.town import Town, make_town

TREES = Candidate(
    "trees",
    fit_trees,
    lambda trial: {
        "learning_rate": 0.1,
        "iterations": trial.suggest_int("iterations", 20, 60),
        "leaves": trial.suggest_int("leaves", 7, 15),
        "min_leaf": 20,
        "penalty": 1.0,
    },
)
LINEAR = Candidate(
    "linear", fit_linear, lambda trial: {"strength": trial.suggest_float("strength", 0.01, 1.0, log=True)}, cost="cheap"
)


@cache
def folder() -> Path:
    """A folder that is gone when the process ends."""
    made = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@cache
def town() -> Town:
    """The parcels of a town, up to a Sunday."""
    return make_town(days=39)


@cache
def events() -> EventTables:
    """What happened to them, as *ingest* leaves it in `folder() / "clean"`."""
    return town().write(folder() / "clean")


@cache
def features() -> dict[str, Column]:
    """The features of every parcel."""
    return town().features(town().parcels, events())


@cache
def training() -> TrainingTable:
    """The training table, split by weeks: two for choosing a model, the last for measuring it."""
    parcels = town().parcels
    split = split_by_month(parcels["month"], valid_months=2, test_months=1)
    columns = parcels[["parcel_id", "at", "day", "month", "late"]].assign(split=split)
    requests = parcels[[field.name for field in FEATURES.asked]]
    write_training_table(
        with_features(columns, features()),
        month="month",
        requests=requests,
        features=FEATURES,
        references=town().references,
        out=folder() / "features",
    )
    return read_training_table(folder() / "features", PROBLEM)


def past() -> Rows:
    """The parcels before the last week whose outcome is known."""
    return training().labelled("train", "valid")


def later() -> Rows:
    """Those of the last week."""
    return training().labelled("test")


def budget(trials: int) -> Budget:
    """A budget whose study lies in `folder()`."""
    return Budget(trials, seed=1, workers=1, storage=f"sqlite:///{folder()}/studies.db")


@cache
def search() -> SearchResult:
    """The best of four trials with all features."""
    return search_models(past(), [LINEAR, TREES], budget(4))


@cache
def reduced_search() -> SearchResult:
    """The best of two trials with what the request alone tells."""
    return search_models(past(), [LINEAR], budget(2), features=FEATURES.plain)


@cache
def ladder() -> LadderTrial:
    """Every rung, tried on the judged weeks."""
    return try_ladder(search(), reduced_search())


@cache
def bundle() -> Bundle:
    """The fitted ladder, from its files in `folder() / "models"`."""
    profile = learn_profile(ladder())
    return write_model(folder() / "models", ladder().refit(), ladder(), training(), None, profile=profile, entry=ENTRY)


@cache
def answered_store() -> str:
    """The URL of a store in which the questions of the last week were answered, with what arrivals tell of them."""
    url = f"sqlite:///{folder()}/answered.db"
    store = Store(url)
    put_into(store, bundle(), later(), known=None)
    store.append("arrivals", deliveries(events(), "arrivals", 0, LATEST).events, PAST)
    derive_outcomes(store, PROBLEM, since=0, through=2**53)
    store.close()
    return url


@cache
def evaluation() -> LadderResult:
    """How it did in the last week."""
    return evaluate_ladder(bundle(), later(), draws=50, seed=1)
