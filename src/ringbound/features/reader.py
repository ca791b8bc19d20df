"""Open events by the place they are in: a folder of tables, or a store."""

from collections.abc import Mapping

from ringbound import workspace
from ringbound.features.events import EventReader, EventSource


def open_events(place: str, sources: Mapping[str, EventSource]) -> EventReader:
    """Return the reader of the events in a folder of the workspace or, where `place` is a URL, in a store."""
    if "://" in place:
        from ringbound.features.logged import LoggedEvents
        from ringbound.store import Store

        return LoggedEvents(Store(place, make=False), sources)
    from ringbound.features.offline import EventTables

    return EventTables(workspace.stage_input(place), sources, months=24)
