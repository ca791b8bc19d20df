import json
from datetime import UTC, datetime

import pytest

from ringbound import Classification, Costs, Regression
from ringbound.errors import InputError
from ringbound.serving.outcomes import OutcomeIntake
from ringbound.store import SetClock, Store

TASK = Classification(Costs(miss=3.0, false_alarm=1.0))
SENT = {"prediction_id": "p", "time": "2020-03-01T10:00:00-05:00", "outcome": True}
TIME = int(datetime(2020, 3, 1, 15, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(f"sqlite:///{tmp_path}/store.db")


@pytest.fixture
def intake(store) -> OutcomeIntake:
    return OutcomeIntake(TASK, store)


def test_an_outcome_is_kept_as_it_was_determined(intake, store):
    assert intake.take([SENT]) == {"accepted": 1, "duplicates": 0, "corrections": 0, "superseded": 0, "unknown": 1}
    (kept,) = store.outcomes()
    assert (kept.prediction_id, kept.time, kept.value) == ("p", TIME, 1.0)
    assert kept.available_at > TIME


def test_a_number_is_the_outcome_of_a_regression(store):
    OutcomeIntake(Regression("minutes"), store).take([SENT | {"outcome": "7.50"}])
    assert store.outcomes()[0].value == 7.5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"outcome": None}, "outcome 1: outcome: expected .* got nothing; send outcomes when they are known"),
        ({"outcome": 0.3}, "outcome 1: outcome: expected"),
        ({"outcome": "late"}, "outcome 1: outcome: expected"),
        ({"outcome": float("nan")}, "outcome 1: outcome: expected"),
        ({"time": None}, "outcome 1: time: expected a time with offset"),
        ({"time": "2020-03-01T10:00:00"}, "outcome 1: time: expected a time with offset"),
        ({"time": "2999-03-01T10:00:00Z"}, "outcome 1: time: expected a time up to now; got one to come"),
        ({"prediction_id": ""}, "outcome 1: prediction_id"),
        ({"prediction_id": "x" * 201}, "outcome 1: prediction_id"),
        ({"colour": "red"}, "outcome 1: colour: Extra inputs are not permitted"),
    ],
)
def test_a_batch_with_one_that_does_not_fit_is_refused_whole(intake, store, change, says):
    with pytest.raises(InputError, match=says):
        intake.take([SENT, SENT | change])
    assert store.outcomes() == []


@pytest.mark.parametrize("outcome", [json.dumps(float("inf")), '"7,5"', "true", "[1]"])
def test_a_regression_takes_finite_numbers_alone(store, outcome):
    with pytest.raises(InputError, match="outcome 0: outcome: expected"):
        OutcomeIntake(Regression(), store).take([SENT | {"outcome": json.loads(outcome)}])


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_has_a_size(intake, count):
    with pytest.raises(InputError, match=f"expected 1 to 1000; got {count}"):
        intake.take([SENT] * count)


def test_history_may_be_told_ahead_of_the_log(store):
    told = OutcomeIntake(TASK, store, SetClock(5, takes_history=True)).take([SENT])
    assert told["accepted"] == 1
    assert store.outcomes()[0].available_at == TIME
