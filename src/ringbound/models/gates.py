"""The gates between a challenger and service: better beyond noise, nowhere worse, calibrated, quick, honest.

`params.yaml: gates` sets them. A gate's outcome is passed, failed or open; the verdict follows from all of them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import pandas as pd

from ringbound.errors import ModelError
from ringbound.models.comparison import Comparison, primary_loss

Outcome = Literal["passed", "failed", "open"]
Decision = Literal["promote", "keep", "inconclusive"]


@dataclass(frozen=True)
class Gates:
    """The bounds, as params.yaml has them."""

    guarded: list[str]
    calibration_error: float
    latency_ratio: float
    proven_rows: int
    replayed_days: int
    draws: int
    seed: int
    least_rows: int

    @classmethod
    def of(cls, section: Any) -> "Gates":
        """Return the section `gates` of params.yaml, which must have exactly these names and types."""
        expected = {field.name: field.type for field in fields(cls)}
        given = section if isinstance(section, dict) else {}
        if given.keys() != expected.keys():
            raise ModelError(
                f"params.yaml, section gates: expected {sorted(expected)}; got {sorted(given)}; correct it"
            )
        for name, value in given.items():
            wanted = (int, float) if expected[name] is float else list if name == "guarded" else int
            if not isinstance(value, wanted) or isinstance(value, bool):
                raise ModelError(f"params.yaml, section gates: expected {name} as a {expected[name]}; got {value!r}")
        return cls(**given)


@dataclass(frozen=True)
class Reason:
    """One gate's outcome, and what it saw."""

    gate: str
    outcome: Outcome
    says: str


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger should take the champion's place in a stage; both by their bundles' versions."""

    decision: Decision
    stage: str
    challenger: str
    champion: str
    reasons: list[Reason]

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> "Verdict":
        """Undo `to_json`."""
        return cls(**plain | {"reasons": [Reason(**reason) for reason in plain["reasons"]]})


def better_gate(comparison: Comparison, task: str) -> Reason:
    """Better beyond noise in the proper loss of the task."""
    name = "log_loss" if primary_loss(task) == "log_loss" else "rmse"
    found = comparison.metrics[name]
    outcome: Outcome = {"better": "passed", "worse": "failed", "inconclusive": "open"}[found.judgement]  # type: ignore
    change = found.change
    return Reason(
        "better",
        outcome,
        f"{name} {found.before:.4f} → {found.after:.4f}, {change.value:+.4f} "
        f"(95% interval {change.low:+.4f} to {change.high:+.4f}) on {len(comparison.rows):,} rows: {found.judgement}",
    )


def slices_gate(guarded: pd.DataFrame, names: Sequence[str]) -> Reason:
    """No guarded slice worse beyond noise; `guarded` are these slices as compared, a row each."""
    worse = guarded[guarded["judgement"] == "worse"]
    says = ", ".join(f"{row.slice} {row.value} {row.change:+.4f} on {row.rows:,} rows" for row in worse.itertuples())
    judged = f"none of {len(guarded)} slices by {', '.join(names)} is worse beyond noise"
    return Reason("slices", "failed" if len(worse) else "passed", f"worse: {says}" if len(worse) else judged)


def calibration_gate(comparison: Comparison, bound: float) -> Reason | None:
    """Stated and observed frequency apart by at most `bound` on average; None for regression."""
    found = comparison.metrics.get("calibration_error")
    if found is None:
        return None
    ok = found.after <= bound
    return Reason("calibration", "passed" if ok else "failed", f"calibration error {found.after:.4f}, bound {bound:g}")


def latency_gate(ratio: float, bound: float) -> Reason:
    """One row takes at most `bound` times as long. What was measured is not said: a verdict has the same bytes each time."""
    ok = ratio <= bound
    return Reason(
        "latency", "passed" if ok else "failed", f"{'at most' if ok else 'more than'} {bound:g} times as long"
    )


def decide(reasons: Sequence[Reason]) -> Decision:
    """Promote where every gate is passed, keep where one failed, and say so where it is not clear."""
    outcomes = {reason.outcome for reason in reasons}
    return "keep" if "failed" in outcomes else "inconclusive" if "open" in outcomes else "promote"
