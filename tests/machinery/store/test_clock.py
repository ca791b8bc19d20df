from ringbound.features.live import LiveFeatures
from ringbound.store.clock import CLOCKS, SetClock
from ringbound.store.records import Event
from ringbound.store.store import Store
from ringbound.testing.parcels import FEATURES

HOUR = 3_600_000_000


def test_a_simulation_drives_the_time(tmp_path):
    """Events are stamped, and questions asked, as of the time that the clock shows."""
    clock = SetClock(10 * HOUR)
    store = Store(f"sqlite:///{tmp_path}/store.db")
    live = LiveFeatures(FEATURES, store, clock=clock)
    arrived = {"depot": "north", "courier": "c01", "route": 1.0, "late_min": 20.0}
    store.append("arrivals", [Event("a", 9 * HOUR, arrived)], clock)
    assert store.tail(0)[0].available_at == 10 * HOUR
    for hours, count in ((0.5, 1), (1.5, 0)):
        clock.time = int((10 + hours) * HOUR)
        values, times = live.values([{"depot": "north", "courier": "c01", "route": 1.0}], [None])
        assert times.tolist() == [clock.time]
        assert values["depot_arrivals_1h"].tolist() == [count]


def test_the_event_clock_shows_where_the_log_stands():
    assert CLOCKS["event"].now(5) == 5
    assert CLOCKS["event"].now(None) == 0
    assert CLOCKS["event"].follows_log
    assert not CLOCKS["wall"].follows_log
