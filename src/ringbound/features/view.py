"""What a feature is: a plain function of request columns and reference tables, named in one place.

A function's parameters name what it needs, so a definition reads as what it is and nothing is wired by hand:

    def block_min(sched_dep, sched_arr):
        return (sched_arr - sched_dep) / np.timedelta64(1, "m")
"""

import ast
import hashlib
import inspect
import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import FunctionType
from typing import Any, Literal

import numpy as np

from ringbound.errors import FeatureError
from ringbound.features.columns import Category, Column, Reference

KERNEL_VERSION = 1
"""Raise when this package computes another value from the same definition."""

Kind = Literal["category", "number", "timestamp"]


@dataclass(frozen=True)
class Field:
    """One column of a request: its kind, its bounds, and how to explain it to who asks.

    `ge` and `le` bound numbers (inclusive), `pattern` is a regular expression that a whole text must match.
    """

    name: str
    kind: Kind
    description: str
    example: Any
    required: bool = True
    ge: float | None = None
    le: float | None = None
    pattern: str | None = None


class FeatureSet:
    """Request fields and the features made from them, in the order in which a model takes them.

    `derived` are functions of request fields that features may ask for as if they were fields; `numbers` are functions
    giving float64 (n,); `categories` are functions giving a `Category`, or names of request fields taken as they are;
    `references` are the names of the reference tables that functions may ask for.
    """

    def __init__(
        self,
        request: Sequence[Field],
        *,
        numbers: Sequence[Callable],
        derived: Sequence[Callable] = (),
        categories: Sequence[Callable | str] = (),
        references: Sequence[str] = (),
    ):
        self.request = list(request)
        self.references = list(references)
        self.derived = [f.__name__ for f in derived]
        self.functions = {f.__name__: f for f in (*derived, *numbers, *categories) if not isinstance(f, str)}
        self.numbers = [f.__name__ for f in numbers]
        self.categories = [f if isinstance(f, str) else f.__name__ for f in categories]
        fields = {field.name for field in self.request}
        available = fields | set(self.references) | set(self.derived)
        for name, function in self.functions.items():
            unknown = set(inspect.signature(function).parameters) - available
            if unknown:
                raise FeatureError(
                    f"{name}: takes {sorted(unknown)}; there is {sorted(available)}; correct its parameters"
                )
        for name in self.categories:
            if name not in self.functions and name not in fields:
                raise FeatureError(f"{name}: expected a function or a request field of {sorted(fields)}")
        repeated = {n for n in self.names if self.names.count(n) > 1}
        if repeated:
            raise FeatureError(f"features: {sorted(repeated)} are declared twice")

    @property
    def names(self) -> list[str]:
        """The features in model order: numbers, then categories."""
        return [*self.numbers, *self.categories]

    def compute(self, columns: Mapping[str, Column], references: Mapping[str, Reference]) -> dict[str, Column]:
        """Return every feature, (n,) each, from request columns of n rows. Row i depends on row i alone."""
        missing = [f.name for f in self.request if f.name not in columns]
        if missing:
            raise FeatureError(f"features: missing columns {missing}; got {sorted(columns)}")
        inputs: dict[str, Any] = {**columns, **references}
        for name in self.derived:
            inputs[name] = self._call(name, inputs)
        return {name: self._call(name, inputs) if name in self.functions else columns[name] for name in self.names}

    def _call(self, name: str, inputs: Mapping[str, Any]) -> Column:
        function = self.functions[name]
        value = function(*(inputs[parameter] for parameter in inspect.signature(function).parameters))
        if isinstance(value, Category) or np.issubdtype(value.dtype, np.datetime64):
            return value
        return np.asarray(value, dtype=np.float64)

    @property
    def hash(self) -> str:
        """Twelve hex digits that change when a value could: on code, bounds and order, not on prose or comments."""
        fields = [{k: v for k, v in asdict(f).items() if k not in ("description", "example")} for f in self.request]
        meaning = {
            "kernel": KERNEL_VERSION,
            "request": fields,
            "features": [(name, _meaning(self.functions.get(name), set())) for name in [*self.derived, *self.names]],
        }
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:12]


def _meaning(function: Any, seen: set[str]) -> list[str]:
    """Return the code of a function without prose, and of what it uses from its own package."""
    if function is None or function.__name__ in seen:
        return []
    seen.add(function.__name__)
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    definition = tree.body[0]
    if isinstance(definition, ast.FunctionDef) and ast.get_docstring(definition) is not None:
        definition.body = definition.body[1:]
    found = [ast.unparse(tree)]  # ast.dump differs between versions of Python
    package = function.__module__.split(".")[0]
    for name in sorted(set(function.__code__.co_names)):
        used = function.__globals__.get(name)
        if isinstance(used, FunctionType) and used.__module__.split(".")[0] == package:
            found += _meaning(used, seen)
        elif isinstance(used, (str, int, float, tuple)):
            found.append(f"{name}={used!r}")
    return found
