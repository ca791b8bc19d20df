import json
from datetime import UTC, datetime, timedelta

import pytest

from flights.features import FEATURES
from ringbound.errors import InputError
from ringbound.serving.intake import Intake
from ringbound.store import Store, event_clock, wall_clock

EVENT = {
    "id": "20130301.UA.1.EWR", "time": "2013-03-01T10:00:00-05:00", "carrier": "UA", "flight": 1, "tailnum": None,
    "origin": "EWR", "dest": "IAH", "dep_delay": 7,
}  # fmt: skip
HAPPENED = int(datetime(2013, 3, 1, 15, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.fixture
def store(tmp_path):
    return Store(f"sqlite:///{tmp_path}/store.db")


@pytest.fixture
def intake(store):
    return Intake(FEATURES.sources, store, wall_clock)


def test_an_event_is_available_from_now_on(intake, store):
    before = wall_clock(None)
    assert intake.take("departures", [EVENT]) == {"accepted": 1, "duplicates": 0, "conflicting": []}
    (row,) = store.tail(0)
    assert before <= row.available_at <= wall_clock(None)
    assert json.loads(row.payload) == {
        "carrier": "UA", "flight": 1.0, "tailnum": None, "origin": "EWR", "dest": "IAH", "dep_delay": 7.0
    }  # fmt: skip


def test_history_sent_again_says_itself_when_it_was_known(store):
    known = EVENT | {"available_at": "2013-03-01T15:05:00Z"}
    Intake(FEATURES.sources, store, event_clock).take("departures", [known])
    assert store.tail(0)[0].available_at == HAPPENED + 5 * 60_000_000


def test_a_live_event_can_not_say_when_it_was_known(intake):
    with pytest.raises(InputError, match="event 0: available_at: Extra inputs are not permitted"):
        intake.take("departures", [EVENT | {"available_at": "2013-03-01T15:05:00Z"}])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dep_delay": 99999}, r"event 1: dep_delay: .*less than or equal to 2880; got 99999"),
        ({"dep_delay": None}, "event 1: dep_delay"),
        ({"origin": "Newark"}, "event 1: origin"),
        ({"time": "2013-03-01T10:00:00"}, "event 1: time: .*timezone"),
        ({"id": ""}, "event 1: id"),
        ({"id": "a\x00b"}, "event 1: id: String should match pattern"),  # PostgreSQL has no text with it
        ({"gate": "B4"}, "event 1: gate: Extra inputs are not permitted"),
        ({"time": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}, "event 1: time: expected a time up to now"),
    ],
)
def test_one_event_that_does_not_fit_refuses_the_batch(intake, store, change, says):
    with pytest.raises(InputError, match=says):
        intake.take("departures", [EVENT, EVENT | {"id": "b"} | change])
    assert store.tail(0) == []


def test_unknown_sources_and_sizes_are_refused(intake):
    with pytest.raises(
        InputError, match=r"source: expected one of \['arrivals', 'departures', 'weather'\]; got 'tides'"
    ):
        intake.take("tides", [EVENT])
    for count in (0, 1001):
        with pytest.raises(InputError, match=f"events: expected 1 to 1000; got {count}"):
            intake.take("departures", [EVENT] * count)


def test_measurements_may_be_missing(intake):
    assert (
        intake.take("weather", [{"id": "a", "time": "2013-03-01T10:00:00Z", "origin": "EWR", "temp": 30}])["accepted"]
        == 1
    )
