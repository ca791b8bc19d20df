"""How events tell what came of what was asked about: a parcel's arrival is its outcome."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class EventOutcome:
    """An event of `source` says what came of the questions that have its key.

    `of_question(rows)` and `of_event(events)` return keys, (n,) of texts, missing where there is none, from the request
    fields of questions (times in UTC) and from the fields of events with their `id` and `time`; `value(events)` returns what
    came, (n,) of numbers, missing where an event says nothing. An event counts for questions that were asked before it.

    >>> arrived = EventOutcome(
    ...     source="arrivals",
    ...     of_question=lambda rows: rows["parcel"],
    ...     of_event=lambda events: events["parcel"],
    ...     value=lambda events: (events["late_min"] >= 15).astype(float),
    ... )
    """

    source: str
    of_question: "Callable[[pd.DataFrame], pd.Series]"
    of_event: "Callable[[pd.DataFrame], pd.Series]"
    value: "Callable[[pd.DataFrame], pd.Series]"
