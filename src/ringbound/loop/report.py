"""What a change really does, on one page for a pull request: verdict first, then what it rests on.

Both sides come from their revisions: small files from git, outputs from DVC's cache or remote. Nothing is run again.
What is missing is said in its place, and the rest is reported.
"""

import csv
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ringbound.errors import RingboundError
from ringbound.features.catalog import catalogue_at, differences
from ringbound.loop.gate import Contender, Judged, contender, judge
from ringbound.models.comparison import flips
from ringbound.models.gates import Gates, Reason, Verdict
from ringbound.models.registry import MODEL, VERDICT
from ringbound.revision import Revision

LONGEST = 65_536
"""Characters that fit a comment on GitHub."""
SHOWN = 15
"""Lines of a table that are shown; the rest is counted."""
SIGNS = {"passed": "✅", "failed": "❌", "open": "❔", "better": "✅", "worse": "❌", "inconclusive": "❔"}
TABLES = ("data/raw", "data/clean", "data/quarantine")


def report(base: Revision, head: Revision, *, package: str, stage: str) -> str:
    """Return the page, in Markdown, on what `head` changes against `base`."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            before, after = contender(base, Path(folder) / "base"), contender(head, Path(folder) / "head")
            judged = judge(
                before, after, Gates.of(head.yaml("params.yaml").get("gates")), stage=stage, proofs=_proofs(head)
            )
            parts = [*_verdict(judged, base, head)]
            if before.version != after.version:
                parts += _models(before, after, judged)
        except RingboundError as error:
            parts = ["# ❔ The models could not be compared", f"{error}"]
        sections: list[tuple[str, Callable[[], list[str]]]] = [
            ("Data", lambda: _data(base, head)),
            ("Features", lambda: _features(base, head, package)),
            ("Parameters", lambda: _params(base, head)),
            ("Stages", lambda: _stages(base, head)),
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


def _proofs(head: Revision) -> list[Reason]:
    """Return what `ringbound gate` has proven of this model, or that it has not."""
    plain, model = head.json(VERDICT), head.json(MODEL)
    if plain and model and plain["challenger"] == model["version"]:
        return [r for r in Verdict.from_json(plain).reasons if r.gate in ("leakage", "skew")]
    return [Reason(name, "open", "not proven for this model yet: ringbound gate") for name in ("leakage", "skew")]


def _verdict(judged: Judged, base: Revision, head: Revision) -> list[str]:
    verdict = judged.verdict
    says = {"promote": "✅ Promote", "keep": "❌ Keep what serves", "inconclusive": "❔ Inconclusive"}[verdict.decision]
    sides = f"`{verdict.challenger}` ({_short(head)}) against `{verdict.champion}` ({_short(base)})"
    if verdict.challenger == verdict.champion:
        return ["# The model is the same", f"Bundle {sides}: not a bit differs."]
    return [
        f"# {says}",
        f"Model {sides}, by the gates of `params.yaml`.",
        _table(["", "gate", "what it saw"], [[SIGNS[r.outcome], r.gate, r.says] for r in verdict.reasons]),
    ]


def _short(revision: Revision) -> str:
    return revision.name if revision.commit is None else f"{revision.name}, {revision.commit[:8]}"


def _models(before: Contender, after: Contender, judged: Judged) -> Iterator[str]:
    yield from _metrics(judged)
    yield from _slices(judged)
    if judged.comparison.calibration:
        yield from _calibration(judged)
        yield from _flips(before, after, judged)
    yield "## Latency and size"
    first, second = judged.latency_us
    rows = [
        ["one row, the model alone", f"{first:.0f} µs", f"{second:.0f} µs", f"{second / first:.2f}×"],
        ["bundle", f"{before.size / 1e3:,.0f} kB", f"{after.size / 1e3:,.0f} kB", f"{after.size / before.size:.2f}×"],
    ]
    yield _table(["", "before", "after", "ratio"], rows)
    yield "Both timed in turns, in one process; from run to run the ratio moves by some tenths."


def _metrics(judged: Judged) -> Iterator[str]:
    found = judged.comparison
    yield "## Metrics"
    yield _table(
        ["metric", "before", "after", "difference (95% interval)", "", ""],
        [
            [name, f"{d.before:.4f}", f"{d.after:.4f}",
             f"{d.change.value:+.4f} ({d.change.low:+.4f} to {d.change.high:+.4f})",
             f"`{_bar(d.change.value, d.change.low, d.change.high)}`", f"{SIGNS[d.judgement]} {d.judgement}"]
            for name, d in found.metrics.items()
        ],
    )  # fmt: skip
    left = {
        "before alone": found.only_before,
        "after alone": found.only_after,
        "with another outcome": found.relabelled,
    }
    apart = ", ".join(f"{count:,} {where}" for where, count in left.items() if count)
    yield (
        f"Paired on {len(found.rows):,} rows that both answered, {found.rows['block'].nunique()} blocks resampled as a whole"
        + (f"; left out: {apart}." if apart else ".")
        + " In the bar, `│` is no change, `●` the difference, `─` its interval."
    )


def _bar(value: float, low: float, high: float, width: int = 21) -> str:
    """Draw an interval around zero: as wide as its farther end."""
    reach = max(abs(low), abs(high), abs(value)) or 1.0
    place = lambda x: round((x / reach + 1) / 2 * (width - 1))  # noqa: E731
    marks = [" "] * width
    marks[place(low) : place(high) + 1] = "─" * (place(high) + 1 - place(low))
    marks[width // 2] = "│"
    marks[place(value)] = "●"
    return "".join(marks)


def _slices(judged: Judged) -> Iterator[str]:
    table = judged.comparison.slices
    sure = table[table["judgement"] != "inconclusive"]
    yield "## Slices"
    if len(sure):
        yield _table(
            ["slice", "rows", "loss before", "after", "difference (95% interval)", ""],
            [
                [f"{r.slice} {r.value}", f"{r.rows:,}", f"{r.before:.4f}", f"{r.after:.4f}",
                 f"{r.change:+.4f} ({r.low:+.4f} to {r.high:+.4f})", f"{SIGNS[str(r.judgement)]} {r.judgement}"]
                for r in sure.sort_values("change", ascending=False).itertuples()
            ],
        )  # fmt: skip
    yield (
        f"{len(sure)} of {len(table)} slices changed beyond noise: mean loss, by "
        f"{', '.join(dict.fromkeys(table['slice']))}; judged together (Holm), so that many slices raise no alarm by chance."
    )


def _calibration(judged: Judged) -> Iterator[str]:
    first, second = judged.comparison.calibration["before"], judged.comparison.calibration["after"]
    yield "## Calibration"
    top = max(float(t[c].max()) for t in (first, second) for c in ("predicted", "observed"))
    numbers = lambda column: ", ".join(f"{x:.3f}" for x in column)  # noqa: E731
    yield (
        "```mermaid\nxychart-beta\n"
        '    title "observed, by tenth of the rows: bars after the change; lines said after, observed before"\n'
        f"    x-axis [{', '.join(str(n) for n in range(1, len(second) + 1))}]\n"
        f'    y-axis "share" 0 --> {min(1.0, 1.1 * top):.2f}\n'
        f"    bar [{numbers(second['observed'])}]\n    line [{numbers(second['predicted'])}]\n"
        f"    line [{numbers(first['observed'])}]\n```"
    )
    said = [
        f"{name} {d.before:.4f} → {d.after:.4f}" for name, d in judged.comparison.metrics.items() if "calib" in name
    ]
    yield f"Calibration error: {', '.join(said)}."


def _flips(before: Contender, after: Contender, judged: Judged) -> Iterator[str]:
    rows = judged.comparison.rows
    thresholds = [float(side.evaluation.about["threshold"]) for side in (before, after)]
    flipped = flips(rows, *thresholds)
    to_yes = int((flipped["after"] >= thresholds[1]).sum())
    right = int(((flipped["after"] >= thresholds[1]) == (flipped["truth"] == 1)).sum())
    yield "## Decisions that flip"
    yield (
        f"{len(flipped):,} of {len(rows):,} ({len(flipped) / len(rows):.1%}): {to_yes:,} from no to yes, "
        f"{len(flipped) - to_yes:,} from yes to no; {right:,} of them are now right. Those that moved most:"
    )
    names: list[str] = after.evaluation.about["slices"]
    yield _table(
        ["id", *names, "outcome", "before", "after"],
        [
            [row["id"], *(row[name] for name in names), "yes" if row["truth"] == 1 else "no",
             f"{row['before']:.3f}", f"{row['after']:.3f}"]
            for row in flipped.head(5).astype(object).to_dict("records")
        ],
    )  # fmt: skip


def _data(base: Revision, head: Revision) -> list[str]:
    changed = [path for path in TABLES if _hash(base, path) != _hash(head, path)]
    if not changed:
        return [f"Unchanged, to the bit: {', '.join(path for path in TABLES if path in head.outputs)}."]
    lines = []
    for path in changed:
        before, after = _rows_and_schemas(base, path), _rows_and_schemas(head, path)
        rows = []
        for name in sorted({*before, *after}):
            (n, old), (m, new) = before.get(name, (0, {})), after.get(name, (0, {}))
            columns = [f"+{c}" for c in new if c not in old] + [f"−{c}" for c in old if c not in new]
            columns += [f"{c}: {old[c]} → {new[c]}" for c in new if c in old and old[c] != new[c]]
            if n != m or columns:
                rows.append([name, f"{n:,}", f"{m:,}", f"{m - n:+,}", ", ".join(columns) or "same columns"])
        same = "other values in as many rows of the same columns" if not rows else ""
        lines += [
            f"`{path}` {same}",
            *([_table(["table", "rows before", "after", "", "schema"], rows)] if rows else []),
        ]
    return [*lines, *_drift(base, head)]


def _hash(revision: Revision, path: str) -> str | None:
    return revision.outputs.get(path, {}).get("md5")


def _rows_and_schemas(revision: Revision, path: str) -> dict[str, tuple[int, dict[str, str]]]:
    """Return each table's rows and columns with types, from the footers of its Parquet files."""
    if path not in revision.outputs:
        return {}
    found: dict[str, tuple[int, dict[str, str]]] = {}
    for name, file in revision.files(path):
        if not name.endswith(".parquet"):
            continue
        about = pq.ParquetFile(file)
        table = name.split("/")[0].removesuffix(".parquet")
        rows, columns = found.get(table, (0, {}))
        types = {field.name: str(field.type) for field in about.schema_arrow}
        found[table] = (rows + about.metadata.num_rows, columns | types)
    return found


def _drift(base: Revision, head: Revision) -> list[str]:
    """Return what whylogs' profiles say has drifted in `head` and had not in `base`."""
    sides = [revision.text("data/reports/drift.csv") for revision in (base, head)]
    old, new = ([r for r in csv.DictReader(io.StringIO(text or "")) if r["drifted"] == "True"] for text in sides)
    known = {(r["period"], r["column"]) for r in old}
    fresh = [r for r in new if (r["period"], r["column"]) not in known]
    if not fresh:
        return ["Drift between periods: none that was not there before."]
    rows = [[r["period"], r["column"], f"{float(r['psi']):.3f}", f"{float(r['bound']):.3f}"] for r in fresh]
    return ["Drift between periods that was not there before:", _table(["period", "column", "PSI", "bound"], rows)]


def _features(base: Revision, head: Revision, package: str) -> list[str]:
    model, was = head.json(MODEL), base.json(MODEL)
    if model and was and model["features"]["hash"] == was["features"]["hash"]:
        return [f"The same definitions, `{model['features']['hash']}`."]
    lines = differences(catalogue_at(base.commit or "HEAD", base.root, package), _catalogue(head, package))
    return ["```diff\n" + "\n".join(lines[:80]) + "\n```"] if lines else ["The same definitions."]


def _catalogue(head: Revision, package: str) -> Mapping[str, dict[str, str]]:
    if head.commit:
        return catalogue_at(head.commit, head.root, package)
    from ringbound.features.catalog import catalogue, load_features

    return catalogue(load_features(package))


def _params(base: Revision, head: Revision) -> list[str]:
    old, new = (dict(_flat(revision.yaml("params.yaml"))) for revision in (base, head))
    rows = [
        [f"`{name}`", _plain(old, name), _plain(new, name)]
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name) or (name in old) != (name in new)
    ]
    return [_table(["parameter", "before", "after"], rows)] if rows else ["Unchanged."]


def _plain(values: Mapping[str, Any], name: str) -> str:
    return json.dumps(values[name]) if name in values else "—"


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _stages(base: Revision, head: Revision) -> list[str]:
    """Say which stages have run again since, what they had that was other, and what came out other."""
    old, new = (revision.yaml("dvc.lock").get("stages", {}) for revision in (base, head))
    rows = []
    for name, stage in new.items():
        before = old.get(name, {})
        if stage == before:
            continue
        causes = _changed(before, stage, "deps") or [
            "parameters" if stage.get("params") != before.get("params") else "command"
        ]
        rows.append([name, ", ".join(causes), ", ".join(_changed(before, stage, "outs")) or "the same bytes came out"])
    return (
        [_table(["stage", "because of", "what changed"], rows)] if rows else ["None: every output is the one before."]
    )


def _changed(before: Mapping[str, Any], after: Mapping[str, Any], kind: str) -> list[str]:
    old = {entry["path"]: entry["md5"] for entry in before.get(kind, [])}
    found = [f"`{entry['path']}`" for entry in after.get(kind, []) if old.get(entry["path"]) != entry["md5"]]
    return [*found[:6], f"{len(found) - 6} more"] if len(found) > 6 else found


def _table(names: list[str], rows: list[list[Any]]) -> str:
    cells = lambda row: "| " + " | ".join(str(c).replace("|", "\\|").replace("\n", " ") for c in row) + " |"  # noqa: E731
    lines = [cells(names), cells(["---"] * len(names)), *(cells(row) for row in rows[:SHOWN])]
    if len(rows) > SHOWN:
        lines.append(cells([f"and {len(rows) - SHOWN} more", *[""] * (len(names) - 1)]))
    return "\n".join(lines)
