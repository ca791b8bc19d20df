import json
import time

import numpy as np
import pytest

from ringbound.errors import InputError
from ringbound.features.asof import MINUTE
from ringbound.features.definition import FeatureSet
from ringbound.features.events import EventSource
from ringbound.features.online import SMALL, OnlineFeatures
from ringbound.features.request import Field
from ringbound.features.view import view
from ringbound.store.records import LoggedEvent

WHO = Field("who", "category", "a name", "ann")
SALES = EventSource("sales", [WHO, Field("paid", "number", "an amount", 1.5, ge=0, le=1000)], scale={"paid": 100})
VIEW = view(
    "v", entity="who", events="sales", n=("count", "1h"), total=("sum", "paid", "1h"), last=("last", "paid", "1h")
)
FEATURES = FeatureSet([WHO], sources=[SALES], views=[VIEW])
ANN = {"who": "ann"}


def row(seq: int, minute: int, paid: float = 1.0, who: str | None = "ann") -> LoggedEvent:
    return LoggedEvent(
        seq, "sales", f"{seq:09}", minute * MINUTE, minute * MINUTE, json.dumps({"who": who, "paid": paid})
    )


def test_an_entity_nobody_has_heard_of_has_count_0_and_nothing_else():
    online = OnlineFeatures(FEATURES)
    online.apply([row(1, 0)], present=0)
    for who in ("eve", None):
        values = online.values(0, {"who": who})
        assert values[0] == 0
        assert np.isnan(values[1:]).all()


def test_events_of_other_sources_and_without_entity_move_the_position_only():
    online = OnlineFeatures(FEATURES)
    online.apply([LoggedEvent(7, "returns", "a", 0, 0, "{}"), row(8, 0, who=None)], present=0)
    assert online.position == 8
    assert online.values(0, ANN)[0] == 0


def test_what_no_question_may_ask_about_is_forgotten():
    online = OnlineFeatures(FEATURES, retained=60 * MINUTE)
    for minute in range(10_000):
        online.apply([row(minute, minute)], present=minute * MINUTE)
    entity = online.memories[0].entities["ann"]
    assert len(entity.ids) == len(entity.run.times) - 1 < 2 * 120 + 2 * SMALL
    for minute in range(10_000 - 61, 10_000):
        assert online.values(minute * MINUTE, ANN).tolist() == [60, 60, 1]


def test_a_question_older_than_what_is_remembered_is_refused():
    online = OnlineFeatures(FEATURES, retained=60 * MINUTE)
    online.apply([row(1, 1000)], present=1000 * MINUTE)
    assert online.values(940 * MINUTE, ANN)[0] == 0
    with pytest.raises(InputError, match=r"at: expected 1970-01-01T15:40:00Z or later.*; got 1970-01-01T15:39:00Z"):
        online.values(939 * MINUTE, ANN)


def test_entities_that_are_gone_take_no_memory():
    online = OnlineFeatures(FEATURES, retained=60 * MINUTE)
    online.apply([row(i, 0, who=f"w{i}") for i in range(100)], present=0)
    online.apply([row(100, 1000)], present=1000 * MINUTE)
    online.forget()
    assert list(online.memories[0].entities) == ["ann"]


def test_many_events_known_at_once_in_any_order_take_no_longer_each():
    """A source that was down delivers a day at once; nobody waits for each event to find its place."""
    online = OnlineFeatures(FEATURES)
    names = np.random.default_rng(1).permutation(50_000)
    started = time.perf_counter()
    come = [LoggedEvent(int(n), "sales", f"{n:09}", 0, 0, '{"who": "ann", "paid": 1}') for n in names]
    online.apply(come, present=0)
    assert online.values(0, ANN).tolist() == [50_000, 50_000, 1]
    assert online.memories[0].entities["ann"].ids == sorted(f"{n:09}" for n in names)
    assert time.perf_counter() - started < 20
