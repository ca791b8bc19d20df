import json
from datetime import UTC, datetime, timedelta

import pytest

from ringbound.errors import InputError
from ringbound.serving.intake import Intake
from ringbound.store.clock import CLOCKS, WALL
from ringbound.store.log import Store
from ringbound.testing.parcels import FEATURES

EVENT = {
    "id": "p1", "time": "2020-03-01T10:00:00-05:00", "depot": "north", "courier": None, "route": 7, "late_min": 7,
}  # fmt: skip
HAPPENED = int(datetime(2020, 3, 1, 15, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.fixture
def store(tmp_path):
    return Store(f"sqlite:///{tmp_path}/store.db")


@pytest.fixture
def intake(store):
    return Intake(FEATURES.sources, store, WALL)


def test_an_event_is_available_from_now_on(intake, store):
    before = WALL.now()
    assert intake.take("arrivals", [EVENT]) == {"accepted": 1, "duplicates": 0, "conflicting": []}
    (row,) = store.tail(0)
    assert before <= row.available_at <= WALL.now()
    assert json.loads(row.payload) == {
        "depot": "north", "courier": None, "route": 7.0, "late_min": 7.0
    }  # fmt: skip


def test_history_sent_again_says_itself_when_it_was_known(store):
    known = EVENT | {"available_at": "2020-03-01T15:05:00Z"}
    Intake(FEATURES.sources, store, CLOCKS["event"]).take("arrivals", [known])
    assert store.tail(0)[0].available_at == HAPPENED + 5 * 60_000_000


def test_a_live_event_cannot_say_when_it_was_known(intake):
    with pytest.raises(InputError, match="event 0: available_at: Extra inputs are not permitted"):
        intake.take("arrivals", [EVENT | {"available_at": "2020-03-01T15:05:00Z"}])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"late_min": 99999}, r"event 1: late_min: expected a finite number at least -600 at most 6000; got 99999"),
        ({"late_min": None}, "event 1: late_min"),
        ({"depot": "North"}, "event 1: depot"),
        ({"time": "2020-03-01T10:00:00"}, "event 1: time: .*timezone"),
        ({"id": ""}, "event 1: id"),
        ({"id": "a\x00b"}, "event 1: id: String should match pattern"),  # PostgreSQL has no text with it
        ({"colour": "red"}, "event 1: colour: Extra inputs are not permitted"),
        ({"time": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}, "event 1: time: expected a time up to now"),
    ],
)
def test_one_event_that_does_not_fit_refuses_the_batch(intake, store, change, says):
    with pytest.raises(InputError, match=says):
        intake.take("arrivals", [EVENT, EVENT | {"id": "b"} | change])
    assert store.tail(0) == []


def test_unknown_sources_and_sizes_are_refused(intake):
    with pytest.raises(InputError, match=r"source: expected one of \['arrivals', 'pickups'\]; got 'tides'"):
        intake.take("tides", [EVENT])
    for count in (0, 1001):
        with pytest.raises(InputError, match=f"events: expected 1 to 1000; got {count}"):
            intake.take("arrivals", [EVENT] * count)


def test_measurements_may_be_missing(intake):
    unmeasured = {"id": "a", "time": "2020-03-01T10:00:00Z", "depot": "north", "route": 1}
    assert intake.take("pickups", [unmeasured])["accepted"] == 1
