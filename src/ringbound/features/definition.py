"""What features are: plain functions of request columns and reference tables, and values of views; named in one place.

A function's parameters name what it needs, so a definition reads as what it is and nothing is wired by hand:

    def block_min(sched_dep, sched_arr):
        return (sched_arr - sched_dep) / np.timedelta64(1, "m")
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ringbound.errors import FeatureError
from ringbound.features.asof import LONGEST_TREND, NARROW
from ringbound.features.columns import Category, Column, Reference, column_of
from ringbound.features.events import EventSource
from ringbound.features.meaning import meaning_of
from ringbound.features.request import Field
from ringbound.features.view import View, Windowed, arguments_of

KERNEL_VERSION = 3
"""Raise when this package computes another value from the same definition."""

AT = Field(
    "at", "timestamp", "as of when the question is asked; now, if left out", "2025-06-01T12:00:00+00:00", required=False
)


_Call = tuple[str, Callable[..., Any], list[str]]
"""A function: its name, itself, and what it takes."""


@dataclass(frozen=True)
class _Plan:
    """What computing `names` takes, and the functions to call: first those that others build on."""

    names: tuple[str, ...]
    takes: frozenset[str]
    derived: list["_Call"]
    called: list["_Call"]


class FeatureSet:
    """Request fields and the features made from them, in the order in which a model takes them.

    `derived` are functions of request fields that features may ask for as if they were fields; `numbers` are functions
    giving float64 (n,), `categories` functions giving a `Category`, or names of request fields taken as they are;
    `references` are the names of the reference tables that functions may ask for. `views` add windowed values of the
    events of `sources`; functions may ask for these values too. Such a set answers as of a time, the request's `at`.
    """

    def __init__(
        self,
        request: Sequence[Field],
        *,
        numbers: Sequence[Callable | str] = (),
        derived: Sequence[Callable] = (),
        categories: Sequence[Callable | str] = (),
        references: Sequence[str] = (),
        sources: Sequence[EventSource] = (),
        views: Sequence[View] = (),
    ):
        self.request = list(request)
        self.references = list(references)
        self.sources = {source.name: source for source in sources}
        self.views = list(views)
        self.windowed: dict[str, tuple[View, Windowed]] = {f.name: (v, f) for v in self.views for f in v.features}
        self.derived = [f.__name__ for f in derived]
        self.functions = {f.__name__: f for f in (*derived, *numbers, *categories) if not isinstance(f, str)}
        self.numbers = [*(f if isinstance(f, str) else f.__name__ for f in numbers), *self.windowed]
        self.categories = [f if isinstance(f, str) else f.__name__ for f in categories]
        self._closures: dict[str, frozenset[str]] = {}
        self._plans: dict[tuple[str, ...], _Plan] = {}
        self._inputs = {name: list(inspect.signature(f).parameters) for name, f in self.functions.items()}
        functions = [f if isinstance(f, str) else f.__name__ for f in (*derived, *numbers, *categories)]
        self._check([*functions, *(f.name for view in self.views for f in view.features)])

    def _check(self, declared: list[str]) -> None:
        fields = {field.name: field.kind for field in self.request}
        available = {*fields, *self.references, *self.derived, *self.windowed}
        for name, inputs in self._inputs.items():
            if unknown := set(inputs) - available:
                raise FeatureError(
                    f"{name}: takes {sorted(unknown)}; there is {sorted(available)}; correct its parameters"
                )
        for kind, names in (
            ("number", [n for n in self.numbers if n not in self.windowed]),
            ("category", self.categories),
        ):
            for name in names:
                if name not in self.functions and fields.get(name) != kind:
                    there = sorted(field for field, has in fields.items() if has == kind)
                    raise FeatureError(f"{name}: expected a function, or a {kind} of the request, one of {there}")
        if repeated := sorted({name for name in declared if declared.count(name) > 1}):
            raise FeatureError(f"features: {repeated} are declared twice")
        if self.views and "at" in fields:
            raise FeatureError(
                "request: `at` is every request's as-of time where there are views; give the field another name"
            )
        for view in self.views:
            self._check_view(view, fields)

    def _check_view(self, view: View, fields: Mapping[str, str]) -> None:
        if view.events not in self.sources:
            raise FeatureError(f"view {view.name}: expected events of {sorted(self.sources)}; got {view.events!r}")
        source = self.sources[view.events]
        kinds = {field.name: field.kind for field in source.fields}
        for part in view.entity:
            if part in source.derived and part in self.functions:
                if strange := self._closure(part) - {*fields, *self.functions}:
                    raise FeatureError(
                        f"view {view.name}: entity {part}: expected a function of request fields; it takes {sorted(strange)}"
                    )
                continue
            if part not in kinds or kinds[part] != fields.get(part) or kinds[part] == "timestamp":
                raise FeatureError(
                    f"view {view.name}: entity {part}: expected a category or number that both the request {sorted(fields)} "
                    f"and {source.name} {sorted(kinds)} have, of one kind, or one that is derived for both"
                )
        for feature in view.features:
            track = feature.track
            if track is None or (feature.aggregate == "distinct" and track in source.texts):
                continue
            condition = view.conditions.get(track)
            if feature.aggregate in ("std", "trend") and track in source.scale:
                self._check_narrow(view, source, track)
            if feature.aggregate == "trend" and feature.window > LONGEST_TREND:
                raise FeatureError(
                    f"view {view.name}: trend of {track}: expected a window of up to 728d; use a shorter one"
                )
            for number in [track] if condition is None else arguments_of(condition):
                if number not in source.scale:
                    raise FeatureError(
                        f"view {view.name}: expected a number of {source.name} with a scale, one of {sorted(source.scale)}; "
                        f"got {number!r}"
                    )

    def _check_narrow(self, view: View, source: EventSource, track: str) -> None:
        field = next(field for field in source.fields if field.name == track)
        size = max(abs(field.ge or 0.0), abs(field.le or 0.0)) * source.scale[track]
        if size >= NARROW:
            raise FeatureError(
                f"view {view.name}: std and trend of {track}: expected bounds times scale below {NARROW}, so that squares "
                f"add up exactly; got {size:g}; lower the scale, or narrow the bounds"
            )

    @cached_property
    def entities(self) -> list[str]:
        """What views look events up by, each once: request fields, or what is derived from them."""
        return list(dict.fromkeys(part for view in self.views for part in view.entity))

    @cached_property
    def key_fields(self) -> list[str]:
        """The request fields that views look events up by, or by what is derived from them."""
        needed = frozenset().union(*map(self._closure, self.entities))
        return [field.name for field in self.request if field.name in needed]

    def keys(self, columns: Mapping[str, Column]) -> dict[str, Column]:
        """Return what views look events up by, (n,) each, from the `key_fields` of n requests."""
        found: dict[str, Column] = dict(columns)

        def made(name: str) -> Column:
            if name not in found:
                found[name] = _column(self.functions[name](*map(made, self._inputs[name])))
            return found[name]

        return {name: made(name) for name in self.entities}

    def keyed(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Return what views look events up by, row by row, from rows as a request has them."""
        kinds = {field.name: field.kind for field in self.request}
        if all(name in kinds for name in self.entities):
            return rows
        columns = {name: column_of(kinds[name], [row[name] for row in rows]) for name in self.key_fields}
        keys = {n: c.texts().tolist() if isinstance(c, Category) else c.tolist() for n, c in self.keys(columns).items()}
        plain = [dict(zip(keys, values, strict=True)) for values in zip(*keys.values(), strict=True)]
        return [{name: None if value != value else value for name, value in row.items()} for row in plain]

    @cached_property
    def lookback(self) -> dict[str, int]:
        """How far back the views of each source look, in microseconds; 0 where none does."""
        return {
            name: max((view.longest for view in self.views if view.events == name), default=0) for name in self.sources
        }

    @property
    def asked(self) -> list[Field]:
        """The fields of a row that asks: the request's and, where there are views, the time."""
        return [*self.request, AT] if self.views else self.request

    @property
    def names(self) -> list[str]:
        """The features in model order: functions, windowed values, categories."""
        return [*self.numbers, *self.categories]

    def compute(
        self,
        columns: Mapping[str, Column],
        references: Mapping[str, Reference],
        windowed: Mapping[str, np.ndarray] | None = None,
        names: Sequence[str] | None = None,
    ) -> dict[str, Column]:
        """Return every feature, or those of `names`, (n,) each, from request columns and windowed values of n rows.

        Row i depends on row i alone.
        """
        plan = self._plan(tuple(self.names if names is None else names))
        inputs: dict[str, Any] = {**columns, **references, **(windowed or {})}
        if not plan.takes <= inputs.keys():
            raise FeatureError(f"features: missing columns {sorted(plan.takes - inputs.keys())}; got {sorted(inputs)}")
        for name, function, takes in plan.derived:
            inputs[name] = _column(function(*map(inputs.__getitem__, takes)))
        called = {name: _column(function(*map(inputs.__getitem__, takes))) for name, function, takes in plan.called}
        return {name: called[name] if name in called else inputs[name] for name in plan.names}

    @cached_property
    def plain(self) -> list[str]:
        """The features in model order that look back on no events: what is left where none can be looked up."""
        return [name for name in self.names if not self._closure(name) & self.windowed.keys()]

    def _plan(self, names: tuple[str, ...]) -> "_Plan":
        """Return how to compute these features; every answer asks for the same few sets."""
        if names not in self._plans:
            needed = frozenset().union(*map(self._closure, names))
            self._plans[names] = _Plan(
                names,
                takes=frozenset(field.name for field in self.request) | needed & {*self.references, *self.windowed},
                derived=[(name, self.functions[name], self._inputs[name]) for name in self.derived if name in needed],
                called=[(name, self.functions[name], self._inputs[name]) for name in names if name in self.functions],
            )
        return self._plans[names]

    def _closure(self, name: str) -> frozenset[str]:
        """Return the feature and all it is computed from."""
        if name not in self._closures:
            parts = [self._closure(part) for part in self._inputs.get(name, ()) if part != name]
            self._closures[name] = frozenset({name}).union(*parts)
        return self._closures[name]

    def source_of(self, name: str) -> str | None:
        """Return the source of the events that a feature looks back on, the first by name of several; None for none."""
        found = {self.windowed[part][0].events for part in self._closure(name) if part in self.windowed}
        return min(found, default=None)

    def taking(self, field: str) -> list[str]:
        """Return the features whose value depends on a field of the request, in model order."""
        return [
            name
            for name in self.names
            if field in self._closure(name)
            or any(
                field in self._closure(entity)
                for part in self._closure(name)
                if part in self.windowed
                for entity in self.windowed[part][0].entity
            )
        ]

    def taken_by(self, view: View) -> frozenset[str]:
        """Return the request fields, and what is made of them, that a view looks events up by."""
        return frozenset().union(*map(self._closure, view.entity))

    def inputs_of(self, name: str) -> list[str]:
        """Return what a function takes: fields, references, derived columns, windowed values."""
        return self._inputs[name]

    def meaning(self, name: str) -> dict[str, Any]:
        """Return all that a feature's value depends on, as plain data; prose, comments and examples are not part of it."""
        if name in self.windowed:
            view, feature = self.windowed[name]
            condition = view.conditions.get(feature.track or "")
            numbers = [feature.track] if condition is None else arguments_of(condition)
            source_of = self.sources[view.events]
            source = _source_meaning(source_of, {*view.entity, *numbers})
            derived = {part: self.meaning(part) for part in view.entity if part in source_of.derived}
            return {
                "entity": list(view.entity),
                **({"derived": derived} if derived else {}),
                "events": source,
                "value": [feature.aggregate, feature.track, feature.window, *([feature.ago] if feature.ago else [])],
                "condition": None if condition is None else meaning_of(condition),
            }
        if name not in self.functions:
            fields = {field.name: field for field in self.request}
            return {"field": _field_meaning(fields[name])} if name in fields else {"reference": name}
        code = meaning_of(self.functions[name])
        # A function may work over the field of its own name.
        given = {field.name: {"field": _field_meaning(field)} for field in self.request}
        taken = {p: given[p] if p == name else self.meaning(p) for p in self._inputs[name]}
        return {"code": code, "takes": taken}

    def hash_of(self, name: str) -> str:
        """Twelve hex digits that change when the value of one feature could."""
        return _digest([KERNEL_VERSION, self.meaning(name)])

    @cached_property
    def hash(self) -> str:
        """Twelve hex digits that change when a value could: on code, bounds, windows and order, not on prose or comments."""
        fields = [_field_meaning(field) for field in self.request]
        sources = [_source_meaning(source, None) for source in self.sources.values()]
        return _digest([KERNEL_VERSION, fields, sources, [(name, self.meaning(name)) for name in self.names]])


def _column(value: Any) -> Column:
    """Return what a function gave as a column: times and categories as they are, all else as float64."""
    if isinstance(value, Category) or value.dtype.kind == "M":
        return value
    return np.asarray(value, dtype=np.float64)


def _digest(meaning: Any) -> str:
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:12]


def _field_meaning(field: Field) -> dict[str, Any]:
    return {name: value for name, value in asdict(field).items() if name not in ("description", "example")}


def _source_meaning(source: EventSource, used: set | None) -> dict[str, Any]:
    """Return what a source means for the fields `used`, or for all of them."""
    derived = {
        name: [meaning_of(function), *takes]
        for name, (function, *takes) in source.derived.items()
        if used is None or name in used
    }
    return {
        **({"derived": derived} if derived else {}),
        "name": source.name,
        "fields": [_field_meaning(field) for field in source.fields if used is None or field.name in used],
        "scale": {name: scale for name, scale in source.scale.items() if used is None or name in used},
        "lateness": source.lateness_us,
    }
