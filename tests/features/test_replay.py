"""Proof by replay on a stretch of real days, calm and stormy; and that the proofs fail when they should."""

import numpy as np
import pandas as pd
import pytest

from flights.features import FEATURES
from ringbound.errors import FeatureError
from ringbound.features.definition import FeatureSet
from ringbound.features.frames import columns_of
from ringbound.features.offline import EventTables, asof_join
from ringbound.features.prove import prove
from ringbound.features.replay import Delivery, differs, replay
from ringbound.features.training import TrainingTable
from ringbound.store import Store


@pytest.fixture(scope="module")
def days(published):
    """Every flight of three days, one of them the 23 hours of 10 March."""
    flights = published["flights"]
    at = flights["sched_dep"] - pd.Timedelta(hours=2)
    chosen = at.between(pd.Timestamp("2013-03-09T00:00Z"), pd.Timestamp("2013-03-12T00:00Z"))
    return flights[chosen].assign(at=at[chosen]).reset_index(drop=True)


@pytest.fixture(scope="module")
def table(days, events):
    (values,) = asof_join(FEATURES, events, [days])
    return days.assign(**values)


def test_every_value_online_is_the_offline_value(days, table, events, tmp_path):
    done = replay(FEATURES, events, days, table, Store(f"sqlite:///{tmp_path}/store.db"))
    assert done.rows == len(days) > 2000
    assert done.values == len(days) * len(FEATURES.windowed)
    assert (done.mismatches, done.first) == (0, None)


def test_late_disordered_and_repeated_events_change_nothing(days, table, events, tmp_path):
    stormy = Delivery(late=0.1, twice=0.1, seed=5)
    store = Store(f"sqlite:///{tmp_path}/store.db")
    done = replay(FEATURES, events, days, table, store, delivery=stormy)
    assert done.mismatches == 0
    calm = table[list(FEATURES.windowed)].to_numpy()
    from ringbound.features.join import windowed_values
    from ringbound.features.live import from_log

    logged = {name: from_log(source, store.since(name, 0, 2**61)) for name, source in FEATURES.sources.items()}
    at = days["at"].dt.tz_localize(None).to_numpy("datetime64[us]").astype(np.int64)
    late = np.array(list(windowed_values(FEATURES.views, FEATURES.sources, logged, at, columns_of(days)).values())).T
    assert differs(late, calm).mean() > 0.05, "the storm changed nothing at all: it was none"


def test_a_wrong_value_is_found_and_named(days, table, events, tmp_path):
    spoilt = table.assign(aircraft_delay_last_24h=table["aircraft_delay_last_24h"].mask(table.index == 7, 1234.0))
    done = replay(FEATURES, events, days, spoilt, Store(f"sqlite:///{tmp_path}/store.db"))
    assert done.mismatches == 1
    assert done.first.startswith("aircraft_delay_last_24h, row 7 ")
    assert "offline np.float64(1234.0)" in done.first


def test_a_store_with_events_is_not_replayed_into(days, table, events, log):
    with pytest.raises(FeatureError, match="expected an empty store"):
        replay(FEATURES, events, days, table, log)


def training(days, table, references, values) -> TrainingTable:
    computed = FEATURES.compute(columns_of(days), references, values)
    texts = {name: column.texts() if hasattr(column, "texts") else column for name, column in computed.items()}
    return TrainingTable(days[["flight_id"]].assign(**texts), FEATURES.names, references, "")


def test_nothing_leaks_from_values_as_of_the_question(days, table, references, events):
    values = {name: table[name].to_numpy() for name in FEATURES.windowed}
    held, leaks = prove(FEATURES, events, training(days, table, references, values), days, rows=500, seed=1)
    assert held == 500 * len(FEATURES.names)
    assert leaks == []


def test_a_leaky_view_is_named_with_its_row_and_the_event(days, table, references, events, published):
    """One view is joined as of departure, two hours after the question: the commonest leak there is."""
    (leaky,) = asof_join(
        FeatureSet(FEATURES.request, sources=FEATURES.sources.values(), views=FEATURES.views),
        events,
        [days.assign(at=days["sched_dep"])],
    )
    values = {name: table[name].to_numpy() for name in FEATURES.windowed}
    values["aircraft_delay_last_24h"] = leaky["aircraft_delay_last_24h"]
    _, leaks = prove(FEATURES, events, training(days, table, references, values), days, rows=0, seed=0)
    assert {leak.feature for leak in leaks} == {"aircraft_delay_last_24h"}
    for leak in leaks[:20]:
        row = int(leak.row.split()[1])
        source, name = leak.event.split(", ")[0].split(" ")
        happened = published[source].set_index("flight_id").loc[name]
        assert happened["tailnum"] == days["tailnum"][row]
        assert happened["dep_delay"] == leak.trained
        assert days["at"][row] < happened["available_at"] <= days["sched_dep"][row]
        assert "min too late, gives this value" in leak.event


def test_a_missing_lag_is_a_leak(days, table, references, events):
    """Values of events as if each were known the moment it happens."""
    hasty = EventTables(events.folder, FEATURES.sources)

    def known_at_once(name, after, until):
        known = events.table(name, after, until)
        return known.set_column(known.column_names.index("available_at"), "available_at", known["time"])

    hasty.table = known_at_once
    (values,) = asof_join(FEATURES, hasty, [days])
    _, leaks = prove(FEATURES, events, training(days, table, references, values), days, rows=300, seed=2)
    named = {leak.feature for leak in leaks if leak.event}
    assert {"origin_departures_1h", "dest_delay_mean_3h", "weather_temp_6h"} <= named
