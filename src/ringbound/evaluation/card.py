"""The model card: one page for whoever decides about a model (Mitchell et al., FAT* 2019)."""

import numpy as np

from ringbound.evaluation.ablation import AblationResult
from ringbound.evaluation.calibration import CalibrationResult
from ringbound.evaluation.coverage import IntervalTable
from ringbound.evaluation.decisions import DecisionTable
from ringbound.evaluation.ladder import LadderResult
from ringbound.evaluation.months import MonthTable
from ringbound.evaluation.slices import BiasTable, SliceTable
from ringbound.evaluation.unlabelled import UnlabelledTable


class Card(str):
    """A text in Markdown that a notebook shows rendered."""

    def _repr_markdown_(self) -> str:
        return self


def model_card(
    result: LadderResult,
    slices: SliceTable,
    bias: BiasTable,
    *,
    without: AblationResult | None = None,
    months: MonthTable | None = None,
    decisions: DecisionTable | None = None,
    calibration: CalibrationResult | None = None,
    unlabelled: UnlabelledTable | None = None,
    intervals: IntervalTable | None = None,
) -> Card:
    """Return the card as Markdown: what the model is for, what it learnt from, how good it is, where not to trust it.

    >>> from ringbound import bias_table, slice_table, slices_of
    >>> from ringbound.testing import examples
    >>> result, by = examples.evaluation(), slices_of(examples.later(), examples.past())
    >>> slices = slice_table(result, by, draws=20, seed=1, least_rows=100)
    >>> card = model_card(result, slices, bias_table(result, by, least_rows=100))
    >>> [line for line in card.splitlines() if line.startswith("##")]
    ['## Limits']
    """
    problem, model, learnt = result.rows.problem, result.bundle.model, result.bundle.model.learnt
    task, measured, rows = result.bundle.task, result.measured, problem.rows
    table = "\n".join(
        f"| {metric} | " + " | ".join(str(estimates[metric]) for estimates in measured.values()) + " |"
        for metric in task.metrics
    )
    weak = ", ".join(
        f"{s.slice} {s.value} ({s.shrunk:.3f}; by itself {s.metric:.3f}, {s.low:.3f} to {s.high:.3f})"
        for s in slices.weakest().itertuples()
    )
    most = ", ".join(f"{g.by} {g.group} ({g.gap:+.3f})" for g in bias.largest().itertuples())
    worst = bias.measure.replace("_", " ")
    none = "none has enough rows" if problem.guarded else "none is guarded"
    decision = f" Says {task.says_decision}." if task.says_decision else ""
    left_out = "".join(
        f"- The {rung} rung is left out of the ladder: it {why}.\n" for rung, why in model.left_out.items()
    )
    left_out += f"- **The full model {model.warning} on the months it was chosen on.**\n" if model.warning else ""
    limits = "".join(f"- {limit}\n" for limit in problem.limits)
    more = ""
    if months is not None:
        more += f"**By month**, each answered by a model fitted before it: {months.caption}.\n\n"
    if decisions is not None and decisions.costs:
        saved = ", ".join(
            f"{e.value:.1f} ({e.low:.1f} to {e.high:.1f}) less than {name}" for name, e in decisions.saved.items()
        )
        more += f"**Decisions** cost {decisions.costs['model'].value:.1f} false alarms per 100 {rows}: {saved}.\n\n"
    if calibration is not None:
        more += f"**Calibration.** {calibration.caption[0].upper()}{calibration.caption[1:]}.\n\n"
    if intervals is not None:
        worst_slices = ", ".join(
            f"{s.slice} {s.value} {s.covered:.1%} ({s.low:.1%} to {s.high:.1%})"
            for s in intervals.slices_off().head(5).itertuples()
        )
        held = (
            f"Looked at one by one, less is held in: {worst_slices}"
            if worst_slices
            else "In no slice beyond noise less"
        )
        more += f"**Intervals.** {intervals.caption[0].upper()}{intervals.caption[1:]}. {held}.\n\n"
    if without is not None:
        for words, one in (("asked", without.asked), ("fitted", without.without)):
            shown = ", ".join(f"{metric} {one[metric]} instead of {without.full[metric]}" for metric in task.headline)
            more += f"**{words.capitalize()} without {without.field}**: {shown}.\n\n"
    if unlabelled is not None and unlabelled.share:
        answer = f"mean {task.answer}"
        with_, without_ = (unlabelled.frame[answer].loc[f"{w} outcome"] for w in ("with", "without"))
        more += (
            f"**Rows without an outcome** are {unlabelled.share:.1%} of what is asked and count in no figure here; "
            f"{answer} for them {without_:.3f}, for the others {with_:.3f}.\n\n"
        )
    outcome = f"mean {problem.label} {result.rows.y.mean():.3f}"
    if task.classes:
        shares = zip(task.classes, np.bincount(result.rows.y.astype(int), minlength=len(task.classes)), strict=True)
        outcome = ", ".join(f"{name} {count / len(result.rows):.1%}" for name, count in shares)
    return Card(
        f"# Model card: {problem.name}, version {model.version}\n\n"
        f"**Question.** {problem.question}\n\n"
        f"**Model.** {learnt.candidate}, {learnt.arguments}, on features {model.features}.{decision}\n\n"
        f"**Learnt from** {learnt.rows:,} {rows}, {learnt.first} to {learnt.last}. "
        f"**Measured on** {len(result.rows):,} {rows}, {result.rows.period[0]} to {result.rows.period[1]}, {outcome}.\n\n"
        f"| metric | {' | '.join(measured)} |\n|{' --- |' * (1 + len(measured))}\n{table}\n\n"
        f"To beat is {result.baseline}. In brackets {result.covers}; other months may be further off.\n\n"
        f"**Weakest slices by {slices.metric}**, the figure drawn towards the mean of all, since the weakest of many looks "
        f"weaker than it is: {weak or 'none has enough rows'}.\n\n"
        f"**Groups with the largest gap in {worst}.** {most or none}.\n\n"
        f"{more}## Limits\n{left_out}{limits}"
    )
