"""Questions that are left undecided: the same everywhere, recorded, and what they are good for."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.csv
import pytest

from ringbound.batch.score import score
from ringbound.errors import ProblemError
from ringbound.features.asof import LATEST
from ringbound.features.columns import Category
from ringbound.features.history import PAST, deliveries
from ringbound.features.live import LiveFeatures
from ringbound.problem.exposure import Exposure
from ringbound.problem.numbers import Regression
from ringbound.proofs.receipts import verify
from ringbound.serving.predictor import Predictor
from ringbound.serving.service import answer_model
from ringbound.store import EventClock, Store
from ringbound.testing import examples
from ringbound.testing.parcels import PROBLEM

SHARED = replace(PROBLEM, undecided=0.2)


@pytest.fixture
def bundle():
    return replace(examples.bundle(), problem=SHARED)


@pytest.fixture
def questions() -> list[dict]:
    return examples.town().questions(examples.town().parcels.tail(600))


@pytest.fixture
def live(tmp_path) -> LiveFeatures:
    """What happened, in a store of its own."""
    store = Store(f"sqlite:///{tmp_path}/store.db")
    for name in PROBLEM.features.sources:
        store.append(name, deliveries(examples.events(), name, 0, LATEST).events, PAST)
    return LiveFeatures(PROBLEM.features, store, clock=EventClock(), retained=60 * 86_400_000_000)


def test_a_share_is_left_undecided_and_recorded_with_how_likely_that_was(bundle, live, questions):
    answers = Predictor(bundle, live).predict(questions)
    left = np.array([one["decision"] is None for one in answers])
    assert 0.15 < left.mean() < 0.25
    decided = [one for one in answers if one["decision"] is not None]
    assert all(one["decision"] == (one["probability"] >= 0.25) for one in decided)
    kept = live.store.find([one["prediction_id"] for one in answers])
    for one in answers:
        record = kept[one["prediction_id"]]
        assert record.decision is one["decision"]
        assert record.propensity == (0.2 if one["decision"] is None else 0.8)
    again = Predictor(bundle, live).predict(questions[::-1])[::-1]
    assert [one["decision"] is None for one in again] == left.tolist()
    assert answer_model(bundle).model_json_schema()["properties"]["decision"]["anyOf"][1] == {"type": "null"}


def test_batch_leaves_the_same_questions_undecided(bundle, live, questions, tmp_path):
    pd.DataFrame(questions).to_csv(tmp_path / "rows.csv", index=False)
    score(str(tmp_path / "rows.csv"), tmp_path / "scored.csv", bundle, events=examples.events(), progress=False)
    scored = pyarrow.csv.read_csv(tmp_path / "scored.csv").to_pylist()
    online = Predictor(bundle, live).predict(questions)
    assert [one["decision"] is None for one in scored] == [one["decision"] is None for one in online]


def test_receipts_of_what_was_left_undecided_are_sound(bundle, live, questions):
    answers = Predictor(bundle, live).predict(questions)
    kept = live.store.find([one["prediction_id"] for one in answers])
    checked = verify(live.store, list(kept.values()), lambda version: bundle)
    assert {one.step for one in checked} == {""}
    decided = next(one for one in kept.values() if one.decision is not None)
    lost = replace(decided, decision=None, propensity=1.0)
    assert verify(live.store, [lost], lambda version: bundle)[0].step == "record"


def test_who_is_left_goes_by_the_unit_alone():
    by = Exposure(0.5, ("who",), "salt")
    who = Category.from_texts([f"w{n}" for n in range(200)])
    first = by.undecided({"who": who, "size": np.arange(200.0)})
    assert (first == by.undecided({"who": who, "size": np.zeros(200)})).all()
    assert 60 < first.sum() < 140
    assert (first != Exposure(0.5, ("who",), "other").undecided({"who": who})).any()


@pytest.mark.parametrize(
    "change",
    [{"undecided": 1.0}, {"undecided": -0.1}, {"undecided": 0.1, "unit": ("colour",)}],
)
def test_a_share_that_is_none_is_refused(change):
    with pytest.raises(ProblemError, match="expected undecided to be a share below 1"):
        replace(PROBLEM, **change)


def test_a_task_that_decides_nothing_leaves_nothing_undecided():
    with pytest.raises(ProblemError, match="of a task that decides"):
        replace(PROBLEM, task=Regression("minutes"), undecided=0.1)
