"""When a model learns anew, and what it must pass before it serves: declared, to be tried on history."""

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, get_args

from ringbound.errors import ModelError, one_line

When = Literal["never", "schedule", "drift", "performance", "cumulative", "forecast"]
WATCHED = ("drift", "performance", "forecast")
"""What needs the monitors."""
ORACLE = "oracle"
MOST_DAYS = 36_500


@dataclass(frozen=True)
class Policy:
    """When a model learns anew: `never`, each `every` days (`schedule`), or where it is looked at and there is a cause.

    A cause is an alert of the monitors on what goes in (`drift`) or on what comes out (`performance`), a loss that will
    surely be above what was promised (`forecast`), or that mistakes above those promised have cost `spend` times what a
    retraining does (`cumulative`; Mahadevan and Mathioudakis, Cost-Effective Retraining, 2023). With `gates`, a model
    learns without the latest days and must be better on them; with a `canary`, that share of questions goes to it for one
    step first. It learns from all history, or from `window` days.
    """

    name: str
    when: When
    every: int = 28
    gates: bool = True
    canary: float = 0.1
    window: int = 0
    spend: float = 1.0

    def __post_init__(self):
        for field in fields(self):
            value, kind = getattr(self, field.name), {"when": str}.get(field.name, field.type)
            if type(value) is not kind and not (kind is float and type(value) is int):
                raise ModelError(f"policy {self.name}: expected {field.name} as {kind.__name__}; got {value!r}")  # type: ignore[union-attr]
        if self.when not in get_args(When):
            raise ModelError(
                f"policy {self.name}: expected when to be one of {list(get_args(When))}; got {self.when!r}"
            )
        named = self.name.isprintable() and self.name.strip() and self.name != ORACLE
        if not (named and 0 < self.every <= MOST_DAYS and 0 <= self.canary < 1):
            raise ModelError(
                f"policy {one_line(Exception(self.name), 80)}: expected a name in a line other than {ORACLE}, every of at "
                f"least a day, and canary as a share below 1; got every {self.every} and canary {self.canary}"
            )
        if not 0 <= self.window <= MOST_DAYS or not 0 < self.spend < 1e9:
            raise ModelError(
                f"policy {self.name}: expected window in days (0: all history), a hundred years at most, and spend above 0; "
                f"got {self.window} and {self.spend}"
            )


STANDARD = (
    Policy("never", "never"),
    Policy("each month", "schedule"),
    Policy("each month, no gates", "schedule", gates=False, canary=0.0),
    Policy("each month, 90 days", "schedule", window=90),
    Policy("on data drift", "drift"),
    Policy("on performance", "performance"),
    Policy("on cumulative cost", "cumulative"),
    Policy("on a forecast", "forecast"),
)
"""What is tried where nothing else is declared."""


def policies_of(declared: Sequence[Any]) -> list[Policy]:
    """Return the policies that params.yaml or a file declares, a mapping each; the standard ones where it is empty.

    >>> [one.name for one in policies_of([{"name": "weekly", "when": "schedule", "every": 7}])]
    ['weekly']
    """
    names = [field.name for field in fields(Policy)]
    needed = [field.name for field in fields(Policy) if field.default is MISSING]
    found = []
    for given in declared:
        if not isinstance(given, dict) or not set(needed) <= set(given) <= set(names):
            raise ModelError(f"policies: expected mappings of {names}, of which {needed} are needed; got {given!r}")
        found.append(Policy(**given))
    found = found or list(STANDARD)
    if len({one.name for one in found}) < len(found):
        raise ModelError(f"policies: expected names that differ; got {[one.name for one in found]}")
    return found
