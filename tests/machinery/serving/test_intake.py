import json
from datetime import UTC, datetime, timedelta

import pytest

from ringbound.errors import InputError
from ringbound.serving.intake import Intake
from ringbound.store import HOUR, Event, EventClock, SetClock
from ringbound.store.clock import CLOCKS, WALL
from ringbound.store.store import Store
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
    assert intake.take("arrivals", [EVENT]) == {"accepted": 1, "duplicates": 0, "conflicting": [], "late": 1}
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
        ({"time": "2020-03-01T10:00:00"}, "event 1: time: expected a time with offset"),
        ({"time": 1583056800}, "event 1: time: expected a time with offset"),
        ({"time": "1583056800"}, "event 1: time: expected a time with offset"),
        ({"time": "2020-03-01_10:00:00Z"}, "event 1: time: expected a time with offset"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "event 1: time: .*outside of the years"),
        ({"time": "9999-12-31T23:59:59-12:00"}, "event 1: time: .*outside of the years"),
        ({"id": ""}, "event 1: id"),
        ({"id": "a\x00b"}, "event 1: id: .*which has a NUL"),
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


def test_an_event_that_comes_too_late_is_kept_and_told(intake, store):
    now = datetime.now(UTC)
    fresh = EVENT | {"id": "fresh", "time": (now - timedelta(hours=3)).isoformat()}
    assert intake.take("arrivals", [fresh, EVENT])["late"] == 1
    assert intake.take("arrivals", [fresh, EVENT]) == {"accepted": 0, "duplicates": 2, "conflicting": [], "late": 1}
    assert len(store.tail(0)) == 2


def on_events(store, step_h=24) -> Intake:
    return Intake(FEATURES.sources, store, EventClock(step_h * HOUR))


def at(name: str, time: str, **more) -> dict:
    return EVENT | {"id": name, "time": time} | more


def test_times_and_ids_follow_the_one_rule(store):
    intake = Intake(FEATURES.sources, store, CLOCKS["event"])
    events = [EVENT | {"id": 7, "time": " 2020-03-01"}, EVENT | {"id": "007", "time": "2020-03-01 00:00 +01:00"}]
    assert intake.take("arrivals", events)["accepted"] == 2
    assert sorted((row.id, row.time) for row in store.tail(0)) == [
        ("007", HAPPENED - 16 * HOUR),
        ("7", HAPPENED - 15 * HOUR),
    ]


def test_the_first_event_of_a_log_is_no_later_than_now(store):
    with pytest.raises(InputError, match=r"event 0: expected a time up to 20.*, which is now"):
        on_events(store).take("arrivals", [at("z", "9999-12-31T23:59:59Z")])


def test_an_event_sent_again_is_no_step(store):
    intake = on_events(store)
    intake.take("arrivals", [at("a", "2020-03-01T15:00:00Z"), at("b", "2020-03-02T14:00:00Z")])
    store.void("arrivals", "b", "wrong")
    assert intake.take("arrivals", [at("b", "2020-03-02T14:00:00Z")])["duplicates"] == 1
    with pytest.raises(InputError, match="event 1"):
        intake.take("arrivals", [at("b", "2020-03-02T14:00:00Z"), at("c", "2020-03-03T10:00:00Z")])


def test_an_event_from_the_far_future_does_not_move_the_present_of_history(store):
    intake = on_events(store)
    intake.take("arrivals", [at("a", "2020-03-01T15:00:00Z")])
    for event in (
        at("z", "9999-12-31T23:59:59Z"),
        at("z", "2020-03-01T15:00:00Z", available_at="2020-03-02T15:00:01Z"),
    ):
        with pytest.raises(
            InputError, match=r"event 1: expected a time up to 2020-03-02T15:00:00.*, 24 h after the newest"
        ):
            intake.take("arrivals", [at("b", "2020-03-01T14:00:00Z"), event])
    assert [row.id for row in store.tail(0)] == ["a"]
    assert on_events(store, 48).take("arrivals", [at("c", "2020-03-03T15:00:00Z")])["accepted"] == 1


def test_history_that_goes_on_step_by_step_is_taken_in_one_batch(store):
    days = [at(f"d{day}", f"2020-03-{day:02}T15:00:00Z") for day in range(1, 30)]
    assert on_events(store).take("arrivals", days[::-1])["accepted"] == 29
    with pytest.raises(InputError, match="event 1: expected a time up to 2020-03-31T10"):
        on_events(store).take("arrivals", [at("e", "2020-03-30T10:00:00Z"), at("f", "2020-04-03T15:00:00Z")])


def test_what_was_voided_moves_no_present(store):
    store.append("arrivals", [Event("a", HAPPENED, {}), Event("z", HAPPENED + 10**15, {})], SetClock(0))
    store.void("arrivals", "z", "a clock that was wrong")
    assert store.end().newest == HAPPENED
    intake = on_events(store)
    assert intake.take("arrivals", [at("b", "2020-03-01T16:00:00Z")])["accepted"] == 1
    assert store.tail(0)[-1].available_at == HAPPENED + HOUR
