"""The gates between a challenger and service: better beyond noise, nowhere worse, calibrated, quick, honest.

`params.yaml: gates` sets them. A gate's outcome is passed, failed or open; the verdict follows from all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import pandas as pd

from ringbound.errors import ModelError
from ringbound.evaluation.comparison import Comparison
from ringbound.problem.task import Task
from ringbound.workspace.records import Record

Outcome = Literal["passed", "failed", "open"]
Decision = Literal["promote", "keep", "inconclusive"]


@dataclass(frozen=True)
class Gates:
    """The bounds, as params.yaml has them; `calibration_error` is left out where answers are no probabilities."""

    latency_ratio: float
    proven_rows: int
    replayed_days: int
    draws: int
    seed: int
    least_rows: int
    calibration_error: float | None = None

    @classmethod
    def from_section(cls, section: Any) -> "Gates":
        """Return the section `gates` of params.yaml, which must have exactly these names and types."""
        names = [field.name for field in fields(cls)]
        given = section if isinstance(section, dict) else {}
        if given.keys() | {"calibration_error"} != set(names):
            raise ModelError(f"params.yaml, section gates: expected {sorted(names)}; got {sorted(given)}; correct it")
        for name, value in given.items():
            wanted = (int, float) if name in ("calibration_error", "latency_ratio") else (int,)
            if not isinstance(value, wanted) or isinstance(value, bool):
                kind = "number" if float in wanted else "whole number"
                raise ModelError(f"params.yaml, section gates: expected {name} as a {kind}; got {value!r}")
            least = 0 if name in ("seed", "proven_rows", "calibration_error") else 1e-9
            if (not least <= value <= 10**6 and name != "seed") or value < 0:
                raise ModelError(
                    f"params.yaml, section gates: expected {name} above 0 and up to a million; got {value!r}"
                )
        return cls(**given)


@dataclass(frozen=True)
class GateResult:
    """One gate's outcome, and what it saw."""

    gate: str
    outcome: Outcome
    says: str


@dataclass(frozen=True)
class Verdict(Record):
    """Whether the challenger should take the champion's place in an environment; both by their bundles' versions."""

    format: ClassVar[int] = 2
    made_by: ClassVar[str] = "ringbound gate"

    decision: Decision
    environment: str
    challenger: str
    champion: str
    results: list[GateResult]

    def result(self, gate: str) -> GateResult | None:
        """Return what one gate said; None where it was not asked."""
        return next((result for result in self.results if result.gate == gate), None)


def better_gate(comparison: Comparison, task: Task) -> GateResult:
    """Better beyond noise in the proper loss of the task."""
    loss = comparison.metrics[task.loss]
    outcomes: dict[str, Outcome] = {"better": "passed", "worse": "failed", "inconclusive": "open"}
    change = loss.change
    return GateResult(
        "better",
        outcomes[loss.judgement],
        f"{task.loss} {loss.before:.4f} → {loss.after:.4f}, {change.value:+.4f} "
        f"(95% interval {change.low:+.4f} to {change.high:+.4f}) on {len(comparison.rows):,} rows: {loss.judgement}",
    )


def slices_gate(guarded: pd.DataFrame, names: Sequence[str]) -> GateResult:
    """No guarded slice worse beyond noise; `guarded` are these slices as compared, a row each."""
    worse = guarded[guarded["judgement"] == "worse"]
    says = ", ".join(f"{row.slice} {row.value} {row.change:+.4f} on {row.rows:,} rows" for row in worse.itertuples())
    judged = f"none of {len(guarded)} slices by {', '.join(names)} is worse beyond noise"
    return GateResult("slices", "failed" if len(worse) else "passed", f"worse: {says}" if len(worse) else judged)


def calibration_gate(comparison: Comparison, bound: float | None) -> GateResult | None:
    """Stated and observed frequency apart by at most `bound` on average; open where no bound is set.

    None where the task has no such metric, and `ModelError` where a bound is set for it.
    """
    error = comparison.metrics.get("calibration_error")
    if error is not None and bound is None:
        says = (
            f"calibration error {error.after:.4f}; params.yaml, section gates, has no calibration_error to hold it to"
        )
        return GateResult("calibration", "open", says)
    if bound is None:
        return None
    if error is None:
        raise ModelError(
            "params.yaml, section gates: calibration_error: expected answers that are probabilities; remove it"
        )
    ok = error.after <= bound
    return GateResult(
        "calibration", "passed" if ok else "failed", f"calibration error {error.after:.4f}, bound {bound:g}"
    )


def latency_gate(ratio: float, bound: float) -> GateResult:
    """One row takes at most `bound` times as long. What was measured is not said: a verdict has the same bytes each time."""
    ok = ratio <= bound
    return GateResult(
        "latency", "passed" if ok else "failed", f"{'at most' if ok else 'more than'} {bound:g} times as long"
    )


def decide(results: Sequence[GateResult]) -> Decision:
    """Promote where every gate is passed, keep where one failed, and say so where it is not clear."""
    outcomes = {result.outcome for result in results}
    return "keep" if "failed" in outcomes else "inconclusive" if "open" in outcomes else "promote"
