import json

import numpy as np
import pytest

from flights.features import FEATURES
from ringbound.errors import InputError
from ringbound.features import live as live_module
from ringbound.features.asof import LATEST, MINUTE
from ringbound.features.live import LiveFeatures
from ringbound.features.replay import Delivery, deliveries, plain_rows
from ringbound.store import Store, event_clock, wall_clock

MARCH = 40 * 24 * 60 * MINUTE
ENTITIES = ["carrier", "flight", "tailnum", "origin", "dest"]


@pytest.fixture(scope="module")
def asked(flights):
    times = flights["at"].dt.tz_localize(None).to_numpy("datetime64[us]").astype(np.int64).tolist()
    return plain_rows(flights[ENTITIES]), times


def same(some: dict, others: dict) -> bool:
    return all(some[name].tobytes() == others[name].tobytes() for name in FEATURES.windowed)


def remembered(live: LiveFeatures) -> list[dict]:
    """Return the events of every entity of every view."""
    return [
        {key: (entity.ids, entity.run.times.tolist()) for key, entity in memory.entities.items()}
        for memory in live.online.memories
    ]


def test_online_is_offline_to_the_bit(live, asked, windowed):
    assert same(live.values(*asked)[0], windowed)


def test_what_is_restored_reaches_back_over_the_longest_window(log, asked, windowed):
    live = LiveFeatures(FEATURES, log, clock=event_clock)
    rows, times = asked
    late = [place for place, time in enumerate(times) if time >= live.online.oldest]
    assert 20 < len(late) < 200
    values, _ = live.values([rows[place] for place in late], [times[place] for place in late])
    assert all(values[name].tobytes() == windowed[name][late].tobytes() for name in FEATURES.windowed)


@pytest.fixture
def growing(events, tmp_path):
    """A store with the first half of the events, and the second half to come."""
    store = Store(f"sqlite:///{tmp_path}/store.db")
    rest = {}
    for name in events.sources:
        sent = deliveries(events, name, 0, LATEST, Delivery())[1]
        store.append(name, sent[: len(sent) // 2], clock=lambda newest: 0)
        rest[name] = sent[len(sent) // 2 :]
    return store, rest


def test_a_snapshot_and_the_tail_give_the_same_bits(growing, asked, windowed, tmp_path, monkeypatch):
    store, rest = growing
    monkeypatch.setattr(live_module, "SNAPSHOT_EVERY", 1000)
    snapshot = tmp_path / "ops/features.npz"
    LiveFeatures(FEATURES, store, clock=event_clock, snapshot=snapshot, retained=MARCH)
    assert snapshot.is_file()
    for name, events in rest.items():
        store.append(name, events, clock=lambda newest: 0)
    read = []
    monkeypatch.setattr(store, "since", lambda *arguments: read.append(arguments))
    again = LiveFeatures(FEATURES, store, clock=event_clock, snapshot=snapshot, retained=MARCH)
    assert not read, "the log was read whole in spite of the snapshot"
    assert same(again.values(*asked)[0], windowed)
    monkeypatch.undo()
    assert remembered(again) == remembered(LiveFeatures(FEATURES, store, clock=event_clock, retained=MARCH))


def test_tailing_gives_the_same_bits(growing, asked, windowed):
    store, rest = growing
    live = LiveFeatures(FEATURES, store, clock=event_clock, retained=MARCH)
    for name, events in rest.items():
        store.append(name, events, clock=lambda newest: 0)
    assert same(live.values(*asked)[0], windowed)


@pytest.mark.parametrize("spoil", ["cut", "other log", "other features"])
def test_a_snapshot_that_does_not_fit_is_left_aside(growing, asked, tmp_path, monkeypatch, spoil):
    store, _ = growing
    snapshot = tmp_path / "features.npz"
    monkeypatch.setattr(live_module, "SNAPSHOT_EVERY", 1000)
    fresh = LiveFeatures(FEATURES, store, clock=event_clock, snapshot=snapshot, retained=MARCH)
    if spoil == "cut":
        snapshot.write_bytes(snapshot.read_bytes()[:-500])
    elif spoil == "other log":
        monkeypatch.setattr(store, "log", "another")
    else:
        monkeypatch.setattr(FEATURES, "hash", "another")
    read, since = [], store.since
    monkeypatch.setattr(store, "since", lambda *arguments: read.append(arguments[0]) or since(*arguments))
    again = LiveFeatures(FEATURES, store, clock=event_clock, snapshot=snapshot, retained=MARCH)
    assert sorted(read) == sorted(FEATURES.sources), "the snapshot was taken for good"
    assert same(again.values(*asked)[0], fresh.values(*asked)[0])


def test_the_wall_clock_refuses_the_future_and_the_forgotten(tmp_path, asked):
    live = LiveFeatures(FEATURES, Store(f"sqlite:///{tmp_path}/store.db"), clock=wall_clock)
    now = wall_clock(None)
    values, times = live.values(asked[0][:1], [None])
    assert times[0] >= now
    assert values["origin_departures_1h"].tolist() == [0]
    with pytest.raises(InputError, match="at: expected a time up to now"):
        live.values(asked[0][:1], [now + 10 * MINUTE])
    with pytest.raises(InputError, match="as far as events are remembered"):
        live.values(asked[0][:1], [now - MARCH])


def test_the_snapshot_holds_plain_arrays(growing, tmp_path, monkeypatch):
    monkeypatch.setattr(live_module, "SNAPSHOT_EVERY", 1000)
    LiveFeatures(FEATURES, growing[0], clock=event_clock, snapshot=tmp_path / "s.npz", retained=MARCH)
    with np.load(tmp_path / "s.npz", allow_pickle=False) as arrays:
        log, definition, position = arrays["about"].tolist()
    assert (log, definition) == (growing[0].log, FEATURES.hash)
    assert json.loads(position) == growing[0].newest()[0]
