import json

import numpy as np
import pytest

from ringbound.errors import InputError
from ringbound.features import live as live_module
from ringbound.features.asof import LATEST, MINUTE
from ringbound.features.definition import FeatureSet
from ringbound.features.events import EventSource
from ringbound.features.frames import columns_of, instants, plain_rows
from ringbound.features.history import PAST, deliveries
from ringbound.features.live import LiveFeatures
from ringbound.features.logged import LoggedEvents
from ringbound.features.lookup import values_as_of
from ringbound.store.clock import CLOCKS, WALL
from ringbound.store.records import Event
from ringbound.store.store import Store
from ringbound.testing.parcels import FEATURES

ALL_DAYS = 60 * 24 * 60 * MINUTE
ENTITIES = ["depot", "courier", "route"]


@pytest.fixture(scope="module")
def asked(parcels):
    return plain_rows(parcels[ENTITIES]), instants(parcels["at"]).tolist()


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
    live = LiveFeatures(FEATURES, log, clock=CLOCKS["event"])
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
        sent = deliveries(events, name, 0, LATEST).events
        store.append(name, sent[: len(sent) // 2], PAST)
        rest[name] = sent[len(sent) // 2 :]
    return store, rest


def test_a_snapshot_and_the_tail_give_the_same_bits(growing, asked, windowed, tmp_path, monkeypatch):
    store, rest = growing
    monkeypatch.setattr(live_module, "SNAPSHOT_EVERY", 1000)
    snapshot = tmp_path / "ops/features.npz"
    LiveFeatures(FEATURES, store, clock=CLOCKS["event"], snapshot=snapshot, retained=ALL_DAYS)
    assert snapshot.is_file()
    for name, events in rest.items():
        store.append(name, events, PAST)
    read = []
    monkeypatch.setattr(store, "since", lambda *arguments: read.append(arguments))
    again = LiveFeatures(FEATURES, store, clock=CLOCKS["event"], snapshot=snapshot, retained=ALL_DAYS)
    assert not read, "the log was read whole in spite of the snapshot"
    assert same(again.values(*asked)[0], windowed)
    monkeypatch.undo()
    assert remembered(again) == remembered(LiveFeatures(FEATURES, store, clock=CLOCKS["event"], retained=ALL_DAYS))


def test_tailing_gives_the_same_bits(growing, asked, windowed):
    store, rest = growing
    live = LiveFeatures(FEATURES, store, clock=CLOCKS["event"], retained=ALL_DAYS)
    for name, events in rest.items():
        store.append(name, events, PAST)
    assert same(live.values(*asked)[0], windowed)


@pytest.mark.parametrize("spoil", ["cut", "other log", "other features"])
def test_a_snapshot_that_does_not_fit_is_left_aside(growing, asked, tmp_path, monkeypatch, caplog, spoil):
    store, _ = growing
    snapshot = tmp_path / "features.npz"
    monkeypatch.setattr(live_module, "SNAPSHOT_EVERY", 1000)
    fresh = LiveFeatures(FEATURES, store, clock=CLOCKS["event"], snapshot=snapshot, retained=ALL_DAYS)
    if spoil == "cut":
        snapshot.write_bytes(snapshot.read_bytes()[:-500])
    elif spoil == "other log":
        monkeypatch.setattr(store, "log", "another")
    else:
        monkeypatch.setattr(FEATURES, "hash", "another")
    read, since = [], store.since
    monkeypatch.setattr(store, "since", lambda *arguments: read.append(arguments[0]) or since(*arguments))
    again = LiveFeatures(FEATURES, store, clock=CLOCKS["event"], snapshot=snapshot, retained=ALL_DAYS)
    assert sorted(read) == sorted(FEATURES.sources), "the snapshot was taken for good"
    assert "the log is read instead" in caplog.text
    assert same(again.values(*asked)[0], fresh.values(*asked)[0])


def test_the_wall_clock_refuses_the_future_and_the_forgotten(tmp_path, asked):
    live = LiveFeatures(FEATURES, Store(f"sqlite:///{tmp_path}/store.db"), clock=WALL)
    now = WALL.now()
    values, times = live.values(asked[0][:1], [None])
    assert times[0] >= now
    assert values["depot_arrivals_1h"].tolist() == [0]
    with pytest.raises(InputError, match="at: expected a time up to now"):
        live.values(asked[0][:1], [now + 10 * MINUTE])
    with pytest.raises(InputError, match="as far as events are remembered"):
        live.values(asked[0][:1], [now - ALL_DAYS])


def test_the_snapshot_holds_plain_arrays(growing, tmp_path, monkeypatch):
    monkeypatch.setattr(live_module, "SNAPSHOT_EVERY", 1000)
    LiveFeatures(FEATURES, growing[0], clock=CLOCKS["event"], snapshot=tmp_path / "s.npz", retained=ALL_DAYS)
    with np.load(tmp_path / "s.npz", allow_pickle=False) as arrays:
        log, definition, position, _ = arrays["about"].tolist()
    assert (log, definition) == (growing[0].log, FEATURES.hash)
    assert json.loads(position) == growing[0].end().position


@pytest.mark.parametrize("how", ["tail", "restored", "snapshot and tail"])
def test_a_voided_event_counts_on_no_path(growing, parcels, asked, windowed, tmp_path, monkeypatch, how):
    store, rest = growing
    for name, events in rest.items():
        store.append(name, events, PAST)
    monkeypatch.setattr(live_module, "SNAPSHOT_EVERY", 1000)
    snapshot = tmp_path / "features.npz" if how == "snapshot and tail" else None
    live = LiveFeatures(FEATURES, store, clock=CLOCKS["event"], snapshot=snapshot, retained=ALL_DAYS)
    every = [event for event in store.tail(0, 10_000) if event.source in FEATURES.sources]
    for event in every[:: len(every) // 300]:
        store.void(event.source, event.id, "noise")
    if how != "tail":
        live = LiveFeatures(FEATURES, store, clock=CLOCKS["event"], snapshot=snapshot, retained=ALL_DAYS)
    values = live.values(*asked)[0]
    logged = LoggedEvents(store, FEATURES.sources, until=LATEST)
    offline = values_as_of(FEATURES, logged, np.array(asked[1]), columns_of(parcels[ENTITIES]))
    assert same(values, offline)
    assert not same(values, windowed)


def test_the_present_goes_back_when_the_event_that_moved_it_is_voided(growing):
    store, _ = growing
    live = LiveFeatures(FEATURES, store, clock=CLOCKS["event"])
    present, newest = live.present(), dict(live.online.newest)
    fields = {"depot": "north", "courier": "c07", "route": 1.0, "late_min": 1.0}
    store.append("arrivals", [Event("z", present + 10 * MINUTE, fields)], PAST)
    live.refresh()
    assert live.present() == live.online.newest["arrivals"] == present + 10 * MINUTE
    store.void("arrivals", "z", "a wrong clock")
    live.refresh()
    assert live.present() == present
    assert live.online.newest == newest


def test_a_far_event_that_is_voided_leaves_nothing_forgotten(growing, asked, tmp_path, monkeypatch):
    """It moved the present by two days: the snapshot made then, and what was forgotten since, are of no use after it."""
    store, _ = growing
    monkeypatch.setattr(live_module, "SNAPSHOT_EVERY", 1)
    snapshot = tmp_path / "features.npz"
    live = LiveFeatures(FEATURES, store, clock=CLOCKS["event"], snapshot=snapshot)
    present = live.present()
    fields = {"depot": "north", "courier": "c07", "route": 1.0, "late_min": 1.0}
    store.append("arrivals", [Event("far", present + 2 * 24 * 60 * MINUTE, fields)], PAST)
    live.refresh()
    LiveFeatures(FEATURES, store, clock=CLOCKS["event"], snapshot=snapshot)
    assert live.present() == present + 2 * 24 * 60 * MINUTE
    store.void("arrivals", "far", "a wrong clock")
    rows = [asked[0][0]] * 3
    ats = [present, present - 60 * MINUTE, present - 20 * 60 * MINUTE]
    fresh = LiveFeatures(FEATURES, store, clock=CLOCKS["event"])
    restored = LiveFeatures(FEATURES, store, clock=CLOCKS["event"], snapshot=snapshot)
    expected = fresh.values(rows, ats)[0]
    assert same(live.values(rows, ats)[0], expected)
    assert same(restored.values(rows, ats)[0], expected)


def test_a_void_leaves_the_news_of_sources_without_views_and_entities(tmp_path):
    notes = EventSource("notes", FEATURES.sources["pickups"].fields, {"wait_min": 100})
    features = FeatureSet(FEATURES.request, sources=[*FEATURES.sources.values(), notes], views=FEATURES.views)
    store = Store(f"sqlite:///{tmp_path}/store.db")
    live = LiveFeatures(features, store, clock=CLOCKS["event"])
    for name in ("notes", "arrivals"):
        store.append(name, [Event(f"{n}", n * MINUTE, {"depot": None, "late_min": 1.0}) for n in range(1, 5)], PAST)
    live.refresh()
    for name in ("notes", "arrivals"):
        store.void(name, "4", "noise")
    live.refresh()
    assert (live.online.newest["notes"], live.online.newest["arrivals"]) == (3 * MINUTE, 3 * MINUTE)
