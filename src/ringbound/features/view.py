"""A view: what to remember of an entity's events, declared in a few lines.

    view("origin", entity="origin", events="departures", delay_mean=("mean", "dep_delay", ["1h", "3h", "24h"]))

declares three features, `origin_delay_mean_1h` and so on: of the request's origin, over the departures from there.
"""

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ringbound.errors import FeatureError
from ringbound.features.asof import AGGREGATES, DECAYED, HALVINGS, MINUTE

KINDS = (*AGGREGATES, DECAYED)
UNITS = {"min": MINUTE, "h": 60 * MINUTE, "d": 24 * 60 * MINUTE}
LONE = ("count", "age", "since")


@dataclass(frozen=True)
class Windowed:
    """One feature of a view: an aggregate of a `track` (None: of the events themselves) over `window` microseconds.

    The window ends `ago` microseconds before the time of the question.
    """

    name: str
    aggregate: str
    track: str | None
    window: int
    ago: int = 0

    @property
    def reach(self) -> int:
        """How far before the question it looks, in microseconds."""
        return self.ago + self.window * (HALVINGS if self.aggregate == DECAYED else 1)


@dataclass(frozen=True)
class View:
    """What to remember of an entity: `entity` are columns that both the request and the events have; none, of all events.

    `conditions` are the functions whose share `rate` takes, by the name of their track.
    """

    name: str
    entity: tuple[str, ...]
    events: str
    features: tuple[Windowed, ...]
    conditions: dict[str, Callable]

    @property
    def tracks(self) -> list[str]:
        """The numbers and conditions of an event that this view needs, each once."""
        return list(dict.fromkeys(f.track for f in self.features if f.track is not None))

    @property
    def longest(self) -> int:
        """How far back the windows reach, in microseconds: what happened before is forgotten."""
        return max(feature.reach for feature in self.features)


def view(name: str, *, entity: str | Sequence[str], events: str, **features: tuple) -> View:
    """Declare a view; each feature is `(aggregate, windows)` or `(aggregate, number or condition, windows)`.

    Aggregates: of the events `count`, `age` and `since` (minutes since the last and the first of them became known); of a
    number `sum`, `mean`, `min`, `max`, `last`, `std`, `trend` (the slope a day) and `decayed` (the mean of ten windows in a
    row, of which each counts half as much as the one after it); `distinct`, how many different values, of a number or a
    category; `rate` of a condition, a function of the event's numbers that works on each element:
    the share of the events for which it holds, leaving out those that miss a number it takes. A window is a text like
    `90min`, `3h` or `28d`, or `1h, 23h ago`, which ends so long before the question: an hour of yesterday. Several make
    several features. Where it is empty, `count` is 0 and all others are
    missing. Without an entity, `[]`, all events count.

    >>> made = view("shop", entity="shop", events="sales", paid=("mean", "paid", ["1h", "1d"]), sales=("count", "1h"))
    >>> [feature.name for feature in made.features]
    ['shop_paid_1h', 'shop_paid_1d', 'shop_sales_1h']
    >>> [feature.name for feature in view("all", entity=[], events="sales", sales=("count", "1h, 23h ago")).features]
    ['all_sales_1h_23h_ago']
    """
    declared, conditions = [], {}
    for key, parts in features.items():
        aggregate, *rest = parts
        if aggregate not in KINDS or len(rest) != (1 if aggregate in LONE else 2):
            raise FeatureError(
                f"view {name}, {key}: expected (aggregate, windows) for {', '.join(LONE)} or (aggregate, number, windows) "
                f"for {', '.join(a for a in KINDS if a not in LONE)}; got {parts!r}"
            )
        track: Any = None if aggregate in LONE else rest[0]
        if callable(track) != (aggregate == "rate"):
            raise FeatureError(
                f"view {name}, {key}: rate takes a function of numbers, the others a number's name; got {track!r}"
            )
        if callable(track):
            conditions[track.__name__] = track
            track = track.__name__
        windows = [rest[-1]] if isinstance(rest[-1], str) else list(rest[-1])
        for window in windows:
            named = re.sub(r"\W+", "_", window)
            declared.append(Windowed(f"{name}_{key}_{named}", aggregate, track, *_length_and_ago(window)))
    if not declared:
        raise FeatureError(f"view {name}: expected at least one feature; got none")
    keys = (entity,) if isinstance(entity, str) else tuple(entity)
    return View(name, keys, events, tuple(declared), conditions)


def _length_and_ago(window: str) -> tuple[int, int]:
    """Return a window's length and how long before the question it ends: `1h, 23h ago`."""
    match = re.fullmatch(r"(\w+), (\w+) ago", window)
    return (microseconds(match[1]), microseconds(match[2])) if match else (microseconds(window), 0)


def microseconds(window: str) -> int:
    """Return a window's length: `90min`, `3h`, `28d`."""
    match = re.fullmatch(r"(\d+)(min|h|d)", window)
    if not match or not int(match[1]):
        raise FeatureError(f"expected a window like 90min, 3h, 28d or 1h, 23h ago; got {window!r}")
    return int(match[1]) * UNITS[match[2]]


def arguments_of(condition: Callable) -> list[str]:
    """Return the names of the numbers that a condition takes."""
    return list(inspect.signature(condition).parameters)
