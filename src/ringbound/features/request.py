"""One column of a request or of an event: its kind, its bounds, and how to explain it to who asks."""

from dataclasses import dataclass
from typing import Any, Literal

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
