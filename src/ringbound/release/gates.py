"""The gates between a challenger and service: better beyond noise, nowhere worse, calibrated, quick, honest.

`params.yaml: gates` sets them. A gate's outcome is passed, failed or open; the verdict follows from all of them.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from ringbound.errors import ModelError
from ringbound.evaluation.uncertainty import Estimate, detectable, mean_of
from ringbound.problem.packed import from_column
from ringbound.problem.task import Task
from ringbound.release.looks import spent
from ringbound.workspace.records import Record

Outcome = Literal["passed", "failed", "open"]
Decision = Literal["promote", "keep", "inconclusive"]
STATED = ("calibration_error", "bias", "below")
NUMBERS = ("alpha", "latency_ratio", "slice_margin", *STATED)


@dataclass(frozen=True)
class Gates:
    """The bounds, as params.yaml has them.

    One of `calibration_error`, `bias` and `below` is given, by the task: how far stated and observed frequency may be apart,
    the mean answer and the mean outcome in its unit, or the share of outcomes below a quantile from its level.
    `alpha` is the chance that any of all challengers held against the same months passes for better and is not.
    `slice_margin` is the rise of the mean loss in a guarded slice that would matter, in the unit of the loss.
    """

    latency_ratio: float
    proven_rows: int
    replayed_rows: int
    draws: int
    seed: int
    least_rows: int
    alpha: float
    slice_margin: float
    calibration_error: float | None = None
    bias: float | None = None
    below: float | None = None

    @property
    def digest(self) -> str:
        """Eight hex digits that change with any bound, seed or number of draws: judging again by others is another look."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:8]

    @classmethod
    def from_section(cls, section: Any) -> "Gates":
        """Return the section `gates` of params.yaml, which must have exactly these names and types."""
        names = [field.name for field in fields(cls)]
        given = section if isinstance(section, dict) else {}
        if given.keys() | set(STATED) != set(names):
            raise ModelError(f"params.yaml, section gates: expected {sorted(names)}; got {sorted(given)}; correct it")
        for name, value in given.items():
            wanted = (int, float) if name in NUMBERS else (int,)
            if not isinstance(value, wanted) or isinstance(value, bool):
                kind = "number" if float in wanted else "whole number"
                raise ModelError(f"params.yaml, section gates: expected {name} as a {kind}; got {value!r}")
            least = 0 if name in ("seed", "proven_rows", *STATED) else 1e-9
            if (not least <= value <= 10**12 and name != "seed") or value < 0:
                raise ModelError(f"params.yaml, section gates: expected {name} above 0 and up to 10**12; got {value!r}")
        if given["alpha"] >= 1:
            raise ModelError(f"params.yaml, section gates: expected alpha below 1; got {given['alpha']!r}")
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


def better_gate(rows: pd.DataFrame, task: Task, *, look: int, alpha: float, draws: int, seed: int) -> GateResult:
    """Better beyond noise in the proper loss of the task, on rows with `truth`, `before`, `after` and `block`.

    The chance that it is no better must be below what is left of `alpha` at the `look`-th look; worse is what is at 5%.
    """
    y, first, second = (from_column(rows[name]) for name in ("truth", "before", "after"))
    change = mean_of(task.losses(y, second) - task.losses(y, first), rows["block"].to_numpy(), draws=draws, seed=seed)
    allowed, chance = spent(alpha, look), change.chance_of_no_fall()
    low, high = change.interval(mean=True)
    outcome: Outcome = "passed" if chance < allowed else "failed" if low > 0 else "open"
    found = detectable(change.error, len(change.left_out), 1 - 2 * allowed)
    which = "the first look" if look == 1 else f"look {look}"
    return GateResult(
        "better",
        outcome,
        f"{task.loss} {task.losses(y, first).mean():.4f} → {task.losses(y, second).mean():.4f}, {change.value:+.4f} "
        f"(95% interval {low:+.4f} to {high:+.4f}) on {len(rows):,} rows; chance that it is no better {chance:.2g}, allowed "
        f"{allowed:.2g} at {which} at these months; a fall of about {found:.4f} would be found four times in five",
    )


def slices_gate(guarded: pd.DataFrame, names: Sequence[str], margin: float, few: Sequence[str]) -> GateResult:
    """No guarded slice worse: none beyond noise, and each shown to be so by less than `margin`, if it is large enough.

    `guarded` are these slices as compared, a row each; `few` those with too few rows to be compared. A slice is too small to
    guard where no change at all would be shown to be within the margin less than four times in five: it is named, unless it
    seems to be worse by more than the margin. An erratic challenger makes no slice small.
    """
    called = lambda table: ", ".join(f"{row.slice} {row.value}" for row in table.itertuples())  # noqa: E731
    worse = guarded[guarded["judgement"] == "worse"]
    within = guarded["high"] <= margin
    rest = guarded[~within & (guarded["judgement"] != "worse")]
    little = (rest["detectable"] > margin) & (rest["change"] <= margin)
    small, unsure = rest[little], rest[~little]
    unguarded = [*few, *(part for part in [called(small)] if part)]
    also = f"; too small to guard: {', '.join(unguarded)}" if unguarded else ""
    if len(worse):
        says = ", ".join(
            f"{row.slice} {row.value} {row.change:+.4f} on {row.rows:,} rows" for row in worse.itertuples()
        )
        return GateResult("slices", "failed", f"worse: {says}{also}")
    if len(unsure):
        return GateResult("slices", "open", f"may be worse by more than {margin:g}: {called(unsure)}{also}")
    if not len(guarded) and names:
        return GateResult("slices", "open", f"no slice by {', '.join(names)} could be compared{also}")
    if not names:
        return GateResult("slices", "passed", "none is guarded: see `guarded` of the problem")
    judged = f"none of {len(guarded)} slices by {', '.join(names)} is worse beyond noise"
    shown = f", {int(within.sum())} of them by less than {margin:g}"
    return GateResult("slices", "passed", f"{judged}{shown}{also}")


def calibration_gate(task: Task, error: Estimate, gates: Gates) -> GateResult:
    """Answers not shown to be farther from what they state than the bound of the task's metric; open where it has none.

    `error` is that metric on unseen rows. `ModelError` where a bound of another task is set.
    """
    name, best = task.stated
    if others := [one for one in STATED if one != name and getattr(gates, one) is not None]:
        raise ModelError(f"params.yaml, section gates: expected {name} of a {task.name}; got {others[0]}; remove it")
    bound, called = getattr(gates, name), "calibration" if name == "calibration_error" else name
    says = f"{name.replace('_', ' ')} {error.value:.4g} (95% interval {error.low:.4g} to {error.high:.4g})"
    if bound is None:
        return GateResult(called, "open", f"{says}; params.yaml, section gates, has no {name} to hold it to")
    if not np.isfinite([error.value, error.low, error.high]).all():
        return GateResult(called, "open", says)
    away = error.low > best + bound or error.high < best - bound
    around = f" around {best:g}" if best else ""
    return GateResult(called, "failed" if away else "passed", f"{says}, bound {bound:g}{around}")


def latency_gate(ratio: float | None, bound: float) -> GateResult:
    """One row takes at most `bound` times as long. What was measured is not said: a verdict has the same bytes each time."""
    if ratio is None:
        return GateResult("latency", "passed", "nothing serves yet that it could be slower than")
    ok = ratio <= bound
    return GateResult(
        "latency", "passed" if ok else "failed", f"{'at most' if ok else 'more than'} {bound:g} times as long"
    )


def decide(results: Sequence[GateResult]) -> Decision:
    """Promote where every gate is passed, keep where one failed, and say so where it is not clear."""
    outcomes = {result.outcome for result in results}
    return "keep" if "failed" in outcomes else "inconclusive" if "open" in outcomes else "promote"
