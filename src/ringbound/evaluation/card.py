"""The model card: one page for whoever decides about a model (Mitchell et al., FAT* 2019)."""

from ringbound.evaluation.ablation import AblationResult
from ringbound.evaluation.ladder import LadderResult
from ringbound.evaluation.slices import BiasTable, SliceTable


class Card(str):
    """A text in Markdown that a notebook shows rendered."""

    def _repr_markdown_(self) -> str:
        return self


def model_card(
    result: LadderResult, slices: SliceTable, bias: BiasTable, without: AblationResult | None = None
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
    task, rungs, rows = result.bundle.task, list(result.estimates), problem.rows
    table = "\n".join(
        f"| {metric} | " + " | ".join(str(result.estimates[rung][metric]) for rung in rungs) + " |"
        for metric in task.metrics
    )
    weak = ", ".join(
        f"{s.slice} {s.value} ({s.metric:.3f}, {s.low:.3f} to {s.high:.3f})" for s in slices.weakest().itertuples()
    )
    most = ", ".join(f"{g.by} {g.group} ({g.gap:+.3f})" for g in bias.largest().itertuples())
    worst = bias.measure.replace("_", " ")
    decision = f" Says {task.says_decision}." if task.says_decision else ""
    left_out = "".join(
        f"- The {rung} rung is left out of the ladder: it {why}.\n" for rung, why in model.left_out.items()
    )
    left_out += f"- **The full model {model.warning} on the months it was chosen on.**\n" if model.warning else ""
    limits = "".join(f"- {limit}\n" for limit in problem.limits)
    ablated = ""
    if without is not None:
        shown = ", ".join(
            f"{metric} {without.without[metric]} instead of {without.full[metric]}" for metric in task.headline
        )
        ablated = f"**Without {without.field}** and the {len(without.features)} features that take it: {shown}.\n\n"
    outcome = f"mean {problem.label} {result.rows.y.mean():.3f}"
    return Card(
        f"# Model card: {problem.name}, version {model.version}\n\n"
        f"**Question.** {problem.question}\n\n"
        f"**Model.** {learnt.candidate}, {learnt.arguments}, on features {model.features}.{decision}\n\n"
        f"**Learnt from** {learnt.rows:,} {rows}, {learnt.first} to {learnt.last}. "
        f"**Measured on** {len(result.rows):,} {rows}, {result.rows.period[0]} to {result.rows.period[1]}, {outcome}.\n\n"
        f"| metric (95% interval, by {problem.block}) | {' | '.join(rungs)} |\n|{' --- |' * (1 + len(rungs))}\n{table}\n\n"
        f"**Weakest slices by {slices.metric}.** {weak or 'none has enough rows'}.\n\n"
        f"**Groups with the largest gap in {worst}.** {most or 'none has enough rows'}.\n\n"
        f"{ablated}## Limits\n{left_out}{limits}"
    )
