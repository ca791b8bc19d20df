"""The parcels of the tiny problem, asked another way: early, in time or late. Each thing is made once, and shared."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from ringbound import Multiclass
from ringbound.evaluation.ladder import LadderResult, evaluate_ladder
from ringbound.models.bundle import Bundle
from ringbound.models.ladder import LadderTrial, try_ladder, write_model
from ringbound.models.selection import search_models
from ringbound.monitoring.learn import learn_profile
from ringbound.problem.training import TrainingTable, read_training_table, with_features, write_training_table
from ringbound.testing import examples
from ringbound.testing.parcels import ARRIVED, FEATURES
from ringbound.testing.parcels import PROBLEM as PARCELS

CLASSES = ("early", "in time", "late")
TASK = Multiclass(CLASSES)


def fate(late_min):
    """Return what became of parcels that were so many minutes late."""
    return np.array(CLASSES, object)[np.digitize(late_min, [0, 15])]


PROBLEM = replace(
    PARCELS,
    name="fates-of-parcels",
    question="Will this parcel be early, in time or late?",
    task=TASK,
    label="fate",
    outcome=replace(ARRIVED, value=lambda events: fate(events["late_min"])),
)
ENTRY = "fates:PROBLEM"


@cache
def folder() -> Path:
    """A folder that is gone when the process ends."""
    made = examples.folder() / "fates"
    made.mkdir()
    return made


@cache
def training() -> TrainingTable:
    """The training table of the tiny problem with other outcomes."""
    parcels, table = examples.town().parcels, examples.training()
    came = examples.town().tables["arrivals"].set_index("parcel_id")["late_min"].reindex(parcels["parcel_id"])
    columns = table.table[["parcel_id", "at", "day", "month", "split"]]
    known = parcels["late"].notna().to_numpy()
    columns = columns.assign(fate=[one if there else None for one, there in zip(fate(came), known, strict=True)])
    write_training_table(
        with_features(columns, examples.features()),
        month="month",
        requests=table.requests,
        features=FEATURES,
        references=examples.town().references,
        out=folder() / "features",
    )
    return read_training_table(folder() / "features", PROBLEM)


@cache
def ladder() -> LadderTrial:
    """Every rung, tried on the judged weeks."""
    rows, candidates = training().labelled("train", "valid"), [examples.LINEAR, examples.TREES]
    budget = replace(examples.budget(4), storage=f"sqlite:///{folder()}/studies.db")
    full = search_models(rows, candidates, budget)
    return try_ladder(full, search_models(rows, [examples.LINEAR], replace(budget, trials=2), features=FEATURES.plain))


@cache
def bundle() -> Bundle:
    """The fitted ladder, from its files."""
    profile = learn_profile(ladder())
    return write_model(folder() / "models", ladder().refit(), ladder(), training(), None, profile=profile, entry=ENTRY)


@cache
def evaluation() -> LadderResult:
    """How it did in the last week."""
    return evaluate_ladder(bundle(), training().labelled("test"), draws=50, seed=1)
