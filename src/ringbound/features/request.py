"""One column of a request or of an event: its kind, its bounds, and how to explain it to who asks."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from ringbound.data.values import EXPECTED, MISSING, shown, value_of
from ringbound.data.values import Kind as ValueKind
from ringbound.errors import NotAValueError

Kind = Literal["category", "number", "timestamp"]


@dataclass(frozen=True)
class Field:
    """One column of a request: its kind, its bounds, and how to explain it to who asks.

    `ge` and `le` bound numbers (inclusive), `pattern` is a regular expression that a whole text must match, by default of
    up to 200 characters. Texts in `missing` count as missing.
    """

    name: str
    kind: Kind
    description: str
    example: Any
    required: bool = True
    ge: float | None = None
    le: float | None = None
    pattern: str | None = None
    missing: tuple[str, ...] = MISSING

    @property
    def value_kind(self) -> ValueKind:
        """The kind of its values: see `ringbound.data.values`."""
        return "string" if self.kind == "category" else self.kind

    @property
    def expectation(self) -> str:
        """What it expects, in words."""
        bounds = [f"at least {self.ge:g}" for _ in [0] if self.ge is not None]
        bounds += [f"at most {self.le:g}" for _ in [0] if self.le is not None]
        bounds += [f"matching {self.pattern}" for _ in [0] if self.pattern is not None]
        return " ".join([EXPECTED[self.value_kind], *bounds])

    def parse(self, value: Any) -> Any:
        """Return one value as it enters features, times as microseconds since 1970, None where it is missing.

        `NotAValueError` says why it is none. `ringbound.batch.table` does the same for columns.

        >>> Field("size", "number", "a size", 1, le=10).parse("2.50")
        2.5
        """
        found = value_of(self.value_kind, value, missing=self.missing)
        if found is None:
            if self.required:
                raise NotAValueError(f"expected {EXPECTED[self.value_kind]}; got nothing")
            return None
        if not self.allows(found):
            raise NotAValueError(f"expected {self.expectation}; got {shown(value)}")
        return found

    def allows(self, value: Any) -> bool:
        """Return whether a value keeps the bounds or the pattern."""
        if self.kind == "category":
            return re.fullmatch(self.pattern or ANYTHING, value, re.S) is not None
        if self.kind == "number":
            return (self.ge is None or value >= self.ge) and (self.le is None or value <= self.le)
        return True


ANYTHING = r".{1,200}"
