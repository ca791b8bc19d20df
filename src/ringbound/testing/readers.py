"""What every reader of events is held to: order, bounds, and the same bits whatever stretch is read at once."""

import numpy as np

from ringbound.features.columns import Category, Column
from ringbound.features.events import EventReader, Events, EventSource


def check_reader(reader: EventReader, source: EventSource, expected: Events) -> None:
    """Hold a reader of a source to the events it must have, (n,) at least 3 of them, in order of when they were known."""
    n = len(expected.available_at)
    assert n >= 3, "expected events to check with"
    first, last = int(expected.available_at[0]), int(expected.available_at[-1])
    assert reader.until >= last, "a reader says until when it knows everything"
    assert reader.identity, "a reader says what it reads, for caches"

    whole = reader.read(source.name, first - 1, last)
    assert same_events(whole, expected), "every event, in order of when it was known"
    assert len(reader.read(source.name, last, last + 1).available_at) == 0, (
        "the beginning of a stretch is outside of it"
    )
    assert int(reader.read(source.name, first - 1, first).available_at[-1]) == first, "its end is inside"
    assert len(reader.read(source.name, last, first).available_at) == 0, "a stretch that runs backwards is empty"

    middle = int(expected.available_at[n // 2])
    parts = Events.joined(reader.read(source.name, first - 1, middle), reader.read(source.name, middle, last))
    assert same_events(parts, expected), "two stretches give what one gives"


def same_events(some: Events, others: Events) -> bool:
    """Return whether events are the same to the bit, however their texts are coded."""
    return (
        np.array_equal(some.available_at, others.available_at)
        and some.ids.tolist() == others.ids.tolist()
        and some.fields.keys() == others.fields.keys()
        and all(_same(some.fields[name], others.fields[name]) for name in some.fields)
    )


def _same(some: Column, others: Column) -> bool:
    if isinstance(some, Category) or isinstance(others, Category):
        return isinstance(some, Category) and isinstance(others, Category) and (some.texts() == others.texts()).all()
    return some.tobytes() == others.tobytes()
