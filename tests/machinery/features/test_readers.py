"""Every reader of events keeps the same contract; and one that does not is found."""

import numpy as np
import pytest

from ringbound.features.asof import LATEST
from ringbound.features.events import Events
from ringbound.features.logged import LoggedEvents
from ringbound.features.offline import EventTables
from ringbound.features.reader import open_events
from ringbound.testing.parcels import FEATURES
from ringbound.testing.readers import check_reader


@pytest.mark.parametrize("source", FEATURES.sources.values(), ids=FEATURES.sources)
def test_tables_and_log_keep_the_contract(events, log, source):
    expected = events.read(source.name, 0, LATEST, ids=True)

    class WithIds(EventTables):
        """The tables read no ids unless they are asked for."""

        def read(self, name, after, until):
            return super().read(name, after, until, ids=True)

    check_reader(WithIds(events.folder, FEATURES.sources), source, expected)
    check_reader(LoggedEvents(log, FEATURES.sources, until=LATEST), source, expected)


def test_a_reader_that_loses_the_end_of_a_stretch_is_found(events):
    class Careless(EventTables):
        def read(self, name, after, until):
            return super().read(name, after, until - 1, ids=True)

    source = FEATURES.sources["arrivals"]
    with pytest.raises(AssertionError):
        check_reader(Careless(events.folder, FEATURES.sources), source, events.read("arrivals", 0, LATEST, ids=True))


def test_a_place_is_a_folder_or_a_store(events, log, monkeypatch):
    monkeypatch.setattr("ringbound.workspace.stage_input", lambda place: events.folder)
    tables, logged = open_events("data/clean", FEATURES.sources), open_events(str(log.engine.url), FEATURES.sources)
    one, other = (reader.read("arrivals", 0, LATEST) for reader in (tables, logged))
    assert isinstance(one, Events)
    assert np.array_equal(one.available_at, other.available_at)
