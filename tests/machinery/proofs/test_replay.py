"""Proof by replay on a stretch of days, calm and stormy; and that the proofs fail when they should."""

from dataclasses import replace

import numpy as np
import pytest

from ringbound.errors import FeatureError
from ringbound.features.asof import LATEST, MINUTE
from ringbound.features.columns import Category, differs
from ringbound.features.definition import FeatureSet
from ringbound.features.frames import columns_of, instants
from ringbound.features.history import Delivery
from ringbound.features.logged import LoggedEvents
from ringbound.features.lookup import values_as_of
from ringbound.features.offline import EventTables, asof_join
from ringbound.proofs.history import History
from ringbound.proofs.leakage import prove
from ringbound.proofs.replay import replay
from ringbound.store.store import Store
from ringbound.testing.parcels import FEATURES


@pytest.fixture(scope="module")
def history(town, events) -> History:
    """The training table of the parcels of ten days."""
    days = town.parcels.tail(1000).reset_index(drop=True)
    computed = town.features(days, events)
    texts = {name: c.texts() if isinstance(c, Category) else c for name, c in computed.items()}
    return History(FEATURES, events, days[["parcel_id"]].assign(**texts), days, town.references)


def spoilt(history: History, **columns) -> History:
    """Return the history with other values of some features."""
    return replace(history, table=history.table.assign(**columns))


def fresh(tmp_path) -> Store:
    return Store(f"sqlite:///{tmp_path}/store.db")


def test_every_value_online_is_the_offline_value(history, tmp_path):
    done = replay(history, fresh(tmp_path))
    assert done.rows == len(history.requests) == 1000
    assert done.values == 1000 * len(FEATURES.windowed)
    assert (done.mismatches, done.first) == (0, None)


def test_late_disordered_and_repeated_events_change_nothing(history, tmp_path):
    store = fresh(tmp_path)
    assert replay(history, store, delivery=Delivery(late=0.1, twice=0.1, seed=5)).mismatches == 0
    logged = LoggedEvents(store, FEATURES.sources, until=LATEST)
    at = instants(history.requests["at"])
    stormy = values_as_of(FEATURES, logged, at, columns_of(history.requests[FEATURES.entities]))
    calm = history.table[list(FEATURES.windowed)].to_numpy()
    assert differs(np.array(list(stormy.values())).T, calm).mean() > 0.05, "the storm changed nothing: it was none"


def test_events_that_come_too_late_are_kept_and_count_on_no_path(history, tmp_path):
    """A third comes up to six hours late; arrivals count up to four hours after they happened, pickups always."""
    store = fresh(tmp_path)
    assert replay(history, store, delivery=Delivery(late=0.3, seed=6)).mismatches == 0
    arrivals, every = FEATURES.sources["arrivals"], store.since("arrivals", 0, LATEST)
    late = [event for event in every if event.available_at - event.time > 4 * 60 * MINUTE]
    assert len(late) > 50
    assert len(LoggedEvents(store, FEATURES.sources).read("arrivals", 0, LATEST)) == len(every) - len(late)
    at, keys = instants(history.requests["at"]), columns_of(history.requests[FEATURES.entities])
    unbound = FeatureSet(
        FEATURES.request, sources=[replace(arrivals, lateness=None), FEATURES.sources["pickups"]], views=FEATURES.views
    )
    values, flooded = (values_as_of(f, LoggedEvents(store, f.sources), at, keys) for f in (FEATURES, unbound))
    differ = {name for name in values if differs(values[name], flooded[name]).any()}
    assert differ
    assert not differ & {"waiting_wait_mean_6h", "waiting_pickups_3h"}


def test_lateness_is_proven_as_it_was_trained(history, events):
    """Tables with arrivals that became known late: the training table and the prover leave out the same."""
    strict = replace(FEATURES.sources["arrivals"], lateness="9min")  # each is known ten minutes after it happens
    features = FeatureSet(
        FEATURES.request, numbers=[], sources=[strict, FEATURES.sources["pickups"]], views=FEATURES.views
    )
    tables = EventTables(events.folder, features.sources)
    (values,) = asof_join(features, tables, [history.requests])
    assert (values["depot_arrivals_1h"] == 0).all()
    assert (values["waiting_pickups_3h"] > 0).any()
    other = replace(history, features=features, tables=tables, table=history.table.assign(**values))
    assert prove(other, rows=300, seed=3).leaks == []


def test_a_wrong_value_is_found_and_named(history, tmp_path):
    name = "courier_late_last_24h"
    wrong = history.table[name].mask(history.table.index == 7, 1234.0)
    done = replay(spoilt(history, **{name: wrong}), fresh(tmp_path))
    assert done.mismatches == 1
    assert done.first.startswith(f"{name}, row 7 ")
    assert "offline np.float64(1234.0)" in done.first


def test_a_store_with_events_is_not_replayed_into(history, log):
    with pytest.raises(FeatureError, match="expected an empty store"):
        replay(history, log)


def test_nothing_leaks_from_values_as_of_the_question(history):
    result = prove(history, rows=500, seed=1)
    assert result.values == 500 * len(FEATURES.names)
    assert result.leaks == []


def test_a_leaky_view_is_named_with_its_row_and_the_event(history, events, town):
    """One view is joined as of the promise, two hours after the question: the commonest leak there is."""
    days = history.requests
    (leaky,) = asof_join(
        FeatureSet(FEATURES.request, sources=FEATURES.sources.values(), views=FEATURES.views),
        events,
        [days.assign(at=days["promised"])],
    )
    name = "courier_late_last_24h"
    leaks = prove(spoilt(history, **{name: leaky[name]}), rows=0, seed=0).leaks
    assert {leak.feature for leak in leaks} == {name}
    given_away = [
        leak for leak in leaks if not np.isnan(leak.trained)
    ]  # others have only lost what was too old by then
    assert len(given_away) > 20
    for leak in given_away[:20]:
        row = int(leak.row.split()[1])
        source, parcel = leak.event.split(", ")[0].split(" ")
        happened = town.tables[source].set_index("parcel_id").loc[parcel]
        assert happened["courier"] == days["courier"][row]
        assert happened["late_min"] == leak.trained
        assert days["at"][row] < happened["available_at"] <= days["promised"][row]
        assert "min too late, gives this value" in leak.event


def test_a_missing_lag_is_a_leak(history, events):
    """Values of events as if each were known the moment it happens."""
    hasty = EventTables(events.folder, FEATURES.sources)

    def known_at_once(name, after, until):
        known = events.table(name, after, until)
        return known.set_column(known.column_names.index("available_at"), "available_at", known["time"])

    hasty.table = known_at_once
    (values,) = asof_join(FEATURES, hasty, [history.requests])
    leaks = prove(spoilt(history, **values), rows=300, seed=2).leaks
    assert {"depot_arrivals_1h", "depot_late_mean_3h", "waiting_pickups_3h"} <= {k.feature for k in leaks if k.event}
