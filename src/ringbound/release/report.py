"""What a change really does, on one page for a pull request: verdict first, then what it rests on.

Both sides come from their revisions: small files from git, outputs from DVC's cache or remote. Nothing is run again.
What is missing is said in its place, and the rest is reported.
"""

import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ringbound.errors import RingboundError
from ringbound.evaluation.comparison import flips
from ringbound.models.facts import ModelFacts
from ringbound.problem.packed import from_column
from ringbound.release import changes, cost
from ringbound.release.gates import GateResult, Gates, Verdict
from ringbound.release.judgement import Contender, Judgement, contender, judge, look_at
from ringbound.release.looks import number_of, read_looks
from ringbound.release.markdown import table
from ringbound.workspace import layout
from ringbound.workspace.revision import Revision

LONGEST = 65_536
"""Characters that fit a comment on GitHub."""
SIGNS = {"passed": "✅", "failed": "❌", "open": "❔", "better": "✅", "worse": "❌", "inconclusive": "❔"}


def report(base: Revision, head: Revision, *, environment: str) -> str:
    """Return the page, in Markdown, on what `head` changes against `base`."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            before, after = contender(base, Path(folder) / "base"), contender(head, Path(folder) / "head")
            gates = Gates.from_section(head.yaml("params.yaml").get("gates"))
            look = number_of(look_at(before, after, gates), read_looks(head.text(layout.LOOKS), layout.LOOKS))
            judged = judge(before, after, gates, environment=environment, proofs=_proofs(head), look=look)
            parts = [*_verdict(judged, base, head)]
            if before.version != after.version:
                parts += _models(before, after, judged, gates.least_rows)
        except RingboundError as error:
            parts = ["# ❔ The models could not be compared", f"{error}"]
        sections: list[tuple[str, Callable[[], list[str]]]] = [
            ("Data", lambda: changes.data(base, head)),
            ("Features", lambda: changes.features(base, head)),
            ("Parameters", lambda: changes.params(base, head)),
            ("Stages", lambda: changes.stages(base, head)),
            ("Cost", lambda: cost.changes(base, head)),
        ]
        for title, section in sections:
            try:
                lines = section()
            except RingboundError as error:
                lines = [f"Not known: {error}"]
            parts += [f"## {title}", *lines]
    page = "\n\n".join(parts) + "\n"
    if len(page) <= LONGEST:
        return page
    return page[: LONGEST - 200].rsplit("\n", 1)[0] + "\n\n*The page is cut here: it would not fit a comment.*\n"


def _proofs(head: Revision) -> list[GateResult]:
    """Return what `ringbound gate` has proven of this model, or that it has not."""
    verdict, model = head.record(layout.VERDICT, Verdict), head.record(layout.MODEL, ModelFacts)
    proven = verdict if verdict and model and verdict.challenger == model.version else None
    return [
        (proven.result(name) if proven else None)
        or GateResult(name, "open", "not proven for this model yet: ringbound gate")
        for name in ("leakage", "skew")
    ]


def _verdict(judged: Judgement, base: Revision, head: Revision) -> list[str]:
    verdict = judged.verdict
    says = {"promote": "✅ Promote", "keep": "❌ Keep what serves", "inconclusive": "❔ Inconclusive"}[verdict.decision]
    sides = f"`{verdict.challenger}` ({_short(head)}) against `{verdict.champion}` ({_short(base)})"
    if verdict.challenger == verdict.champion:
        return ["# The model is the same", f"Bundle {sides}: not a bit differs."]
    return [
        f"# {says}",
        f"Model {sides}, by the gates of `params.yaml`.",
        table(["", "gate", "what it saw"], [[SIGNS[r.outcome], r.gate, r.says] for r in verdict.results]),
    ]


def _short(revision: Revision) -> str:
    return revision.name if revision.commit is None else f"{revision.name}, {revision.commit[:8]}"


def _models(before: Contender, after: Contender, judged: Judgement, least_rows: int) -> Iterator[str]:
    yield from _metrics(judged)
    yield from _slices(judged)
    if after.evaluation.task.level is None:
        yield from _calibration(judged, after)
    if after.evaluation.task.classes:
        yield from _classes(after, judged)
    elif after.evaluation.task.threshold is None:
        yield from _moved(after, judged)
        yield from _errors(after, judged, least_rows)
    else:
        yield from _flips(before, after, judged)
        yield from _bias(before, after, judged, least_rows)
    yield "## Latency and size"
    first, second = judged.latency_us
    rows = [
        ["one row, the model alone", f"{first:.0f} µs", f"{second:.0f} µs", f"{second / first:.2f}×"],
        ["bundle", f"{before.size / 1e3:,.0f} kB", f"{after.size / 1e3:,.0f} kB", f"{after.size / before.size:.2f}×"],
    ]
    yield table(["", "before", "after", "ratio"], rows)
    yield "Both timed in turns, in one process; from run to run the ratio moves by some tenths."


def _metrics(judged: Judgement) -> Iterator[str]:
    comparison, blocks = judged.comparison, judged.comparison.rows["block"].nunique()
    yield "## Metrics"
    yield table(
        ["metric", "before", "after", "difference (95% interval)", "", ""],
        [
            [name, f"{d.before:.4f}", f"{d.after:.4f}",
             f"{d.change.value:+.4f} ({d.change.low:+.4f} to {d.change.high:+.4f})",
             f"`{_bar(d.change.value, d.change.low, d.change.high)}`", f"{SIGNS[d.judgement]} {d.judgement}"]
            for name, d in comparison.metrics.items()
        ],
    )  # fmt: skip
    left = {
        "before alone": comparison.only_before,
        "after alone": comparison.only_after,
        "with another outcome": comparison.relabelled,
    }
    apart = ", ".join(f"{count:,} {where}" for where, count in left.items() if count)
    yield (
        f"Paired on {len(comparison.rows):,} rows that both answered, {blocks} blocks resampled as a whole"
        + (f"; left out: {apart}." if apart else ".")
        + " In the bar, `│` is no change, `●` the difference, `─` its interval."
    )


def _bar(value: float, low: float, high: float, width: int = 21) -> str:
    """Draw an interval around zero, as wide as its farther end; nothing where one of its numbers is none."""
    if not all(map(math.isfinite, (value, low, high))):
        return ""
    reach = max(abs(low), abs(high), abs(value)) or 1.0
    place = lambda x: round((x / reach + 1) / 2 * (width - 1))  # noqa: E731
    marks = [" "] * width
    marks[place(low) : place(high) + 1] = "─" * (place(high) + 1 - place(low))
    marks[width // 2] = "│"
    marks[place(value)] = "●"
    return "".join(marks)


def _slices(judged: Judgement) -> Iterator[str]:
    slices = judged.comparison.slices
    sure = slices[slices["judgement"] != "inconclusive"]
    yield "## Slices"
    if len(sure):
        yield table(
            ["slice", "rows", "loss before", "after", "difference (95% interval)", ""],
            [
                [f"{r.slice} {r.value}", f"{r.rows:,}", f"{r.before:.4f}", f"{r.after:.4f}",
                 f"{r.change:+.4f} ({r.low:+.4f} to {r.high:+.4f})", f"{SIGNS[str(r.judgement)]} {r.judgement}"]
                for r in sure.sort_values("change", ascending=False).itertuples()
            ],
        )  # fmt: skip
    yield (
        f"{len(sure)} of {len(slices)} slices changed beyond noise: mean loss, by "
        f"{', '.join(dict.fromkeys(slices['slice']))}; judged together (Holm), so that many slices raise no alarm by chance."
    )


def _calibration(judged: Judgement, after: Contender) -> Iterator[str]:
    tenths, task = judged.comparison.calibration["after"], after.evaluation.task
    numbers = lambda column: ", ".join(f"{x:.4g}" for x in column)  # noqa: E731
    seen = tenths[["predicted", "observed"]].to_numpy()
    low, high = min(0.0, 1.1 * float(seen.min())), max(0.0, 1.1 * float(seen.max()))
    shares = task.probabilities or task.classes
    yield "## Calibration" if shares else "## Predicted and observed"
    yield (
        "```mermaid\nxychart-beta\n"
        f"    x-axis [{', '.join(str(n) for n in range(1, len(tenths) + 1))}]\n"
        f'    y-axis "{"share" if shares else "mean"}" {low:.4g} --> '
        f"{min(high, 1.0) if shares else high:.4g}\n"
        f"    bar [{numbers(tenths['observed'])}]\n    line [{numbers(tenths['predicted'])}]\n```"
    )
    words = ", of the likeliest class" if task.classes else ""
    name, _ = task.stated
    error = judged.comparison.metrics[name]
    yield (
        f"After the change, by tenths of the rows{words}: bars are what was observed, the line is what was said. "
        f"{name.replace('_', ' ').capitalize()} of the sample, noise included: {error.before:.4g} before, "
        f"{error.after:.4g} after."
    )


def _classes(after: Contender, judged: Judgement) -> Iterator[str]:
    """Say which classes are decided otherwise, and of which rows."""
    rows, task, names = judged.comparison.rows, after.evaluation.task, after.evaluation.facts.slices
    first, second = (from_column(rows[side]) for side in ("before", "after"))
    before, now = task.decide(first), task.decide(second)
    assert before is not None
    assert now is not None
    truth = np.array(task.classes, object)[rows["truth"].astype(int)]
    flipped = np.flatnonzero(before != now)
    right = [int((side[flipped] == truth[flipped]).sum()) for side in (before, now)]
    yield "## Decisions that change"
    yield (
        f"{len(flipped):,} of {len(rows):,} ({len(flipped) / len(rows):.1%}): {right[0]:,} of them were right before, "
        f"{right[1]:,} are now. By class:"
    )
    yield table(
        ["class", "came", "decided before", "decided now", "found before", "found now"],
        [
            [name, *(f"{int((side == name).sum()):,}" for side in (truth, before, now)),
             *(_found(truth == name, side == name) for side in (before, now))]
            for name in task.classes
        ],
    )  # fmt: skip
    apart = np.abs(second - first).max(axis=1)
    most = flipped[np.argsort(-apart[flipped], kind="stable")[:5]]
    if len(most):
        yield "Those whose probabilities moved most:"
        yield table(
            ["id", *names, "came", "before", "now"],
            [
                [rows["id"].iloc[row], *(rows[name].iloc[row] for name in names), truth[row],
                 f"{before[row]} ({first[row].max():.2f})", f"{now[row]} ({second[row].max():.2f})"]
                for row in most.tolist()
            ],
        )  # fmt: skip


def _found(came: np.ndarray, decided: np.ndarray) -> str:
    return f"{(came & decided).sum() / came.sum():.1%}" if came.any() else "—"


def _moved(after: Contender, judged: Judgement) -> Iterator[str]:
    """Say of which rows the answer changes most."""
    rows, names = judged.comparison.rows, after.evaluation.facts.slices
    moved = (rows["after"] - rows["before"]).abs()
    nearer = (rows["after"] - rows["truth"]).abs() < (rows["before"] - rows["truth"]).abs()
    yield "## Answers that change"
    yield (
        f"By {moved.mean():.4g} in the mean, by more than {moved.quantile(0.95):.4g} for one row in twenty; "
        f"{nearer.mean():.1%} of all are nearer to the outcome now. Those that moved most:"
    )
    most = rows.loc[moved.sort_values(kind="stable", ascending=False).index[:5]]
    yield table(
        ["id", *names, "outcome", "before", "after"],
        [
            [row["id"], *(row[name] for name in names), *(f"{row[one]:.4g}" for one in ("truth", "before", "after"))]
            for row in most.astype(object).to_dict("records")
        ],
    )


def _errors(after: Contender, judged: Judgement, least_rows: int) -> Iterator[str]:
    """Say how far groups are apart in their mean error: of whom too much is expected, of whom too little."""
    rows, lines = judged.comparison.rows, []
    errors = rows.assign(before=rows["before"] - rows["truth"], after=rows["after"] - rows["truth"])
    for name in after.evaluation.facts.slices:
        groups = errors.groupby(name, observed=True)
        means = groups[["before", "after"]].mean()[groups.size() >= least_rows]
        if len(means) < 2:
            continue
        gaps = [f"{means[side].max() - means[side].min():.4g}" for side in ("before", "after")]
        most = int(means["after"].abs().to_numpy().argmax())
        lines.append([name, len(means), *gaps, f"{means.index[most]} {means['after'].iloc[most]:+.4g}"])
    yield "## Bias"
    yield table(["by", "groups", "mean error: gap before", "after", "farthest off now"], lines)
    yield (
        f"Errors are answer minus outcome; each gap is between the two groups farthest apart, of those with "
        f"{least_rows:,} rows or more."
    )


def _flips(before: Contender, after: Contender, judged: Judgement) -> Iterator[str]:
    rows = judged.comparison.rows
    thresholds = [side.evaluation.task.threshold or 0.0 for side in (before, after)]
    flipped = flips(rows, *thresholds)
    to_yes = int((flipped["after"] >= thresholds[1]).sum())
    right = int(((flipped["after"] >= thresholds[1]) == (flipped["truth"] == 1)).sum())
    yield "## Decisions that flip"
    yield (
        f"{len(flipped):,} of {len(rows):,} ({len(flipped) / len(rows):.1%}): {to_yes:,} from no to yes, "
        f"{len(flipped) - to_yes:,} from yes to no; {right:,} of them are now right. Those that moved most:"
    )
    names = after.evaluation.facts.slices
    yield table(
        ["id", *names, "outcome", "before", "after"],
        [
            [row["id"], *(row[name] for name in names), "yes" if row["truth"] == 1 else "no",
             f"{row['before']:.3f}", f"{row['after']:.3f}"]
            for row in flipped.head(5).astype(object).to_dict("records")
        ],
    )  # fmt: skip


def _bias(before: Contender, after: Contender, judged: Judgement, least_rows: int) -> Iterator[str]:
    """Say how far groups are apart in how often they are called yes, and in how often a yes of theirs is missed.

    These are fairlearn's selection rate and false-negative rate; its MetricFrame takes as long as all the rest.
    """
    rows, lines = judged.comparison.rows, []
    for side, column in ((before, "before"), (after, "after")):
        called = rows[column] >= (side.evaluation.task.threshold or 0.0)
        missed = (~called).astype(float).where(rows["truth"] == 1)
        rows = rows.assign(**{f"called_{column}": called, f"missed_{column}": missed})  # type: ignore[arg-type]
    for name in after.evaluation.facts.slices:
        groups = rows.groupby(name, observed=True)
        large = groups.size() >= least_rows
        if large.sum() < 2:
            continue
        rates = {
            rate: groups[rate].mean()[large]
            for rate in ("called_before", "called_after", "missed_before", "missed_after")
        }
        missed = rates["missed_after"].dropna()
        gaps = [f"{rate.max() - rate.min():.1%}" for rate in rates.values()]
        most = f"{missed.idxmax()} {missed.max():.1%}" if len(missed) else "—"
        lines.append([name, int(large.sum()), *gaps, most])
    yield "## Bias"
    yield table(
        ["by", "groups", "called yes: gap before", "after", "yes missed: gap before", "after", "most missed now"], lines
    )
    yield f"Each gap is between the two groups farthest apart, of those with {least_rows:,} rows or more."
