"""What two revisions differ in, apart from their models: data, features, parameters, and the stages that ran for it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow.parquet as pq

from ringbound import workspace
from ringbound.data.drift import read_drift
from ringbound.models.facts import ModelFacts
from ringbound.problem.catalog import catalogue, catalogue_at, differences
from ringbound.problem.declaration import load_problem
from ringbound.release.markdown import table
from ringbound.workspace import layout
from ringbound.workspace.revision import Revision

TABLES = (layout.RAW, layout.CLEAN, layout.QUARANTINE)


def data(base: Revision, head: Revision) -> list[str]:
    """Return rows and columns of the tables that changed, and what has drifted since; Markdown, as all below."""
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
            *([table(["table", "rows before", "after", "", "schema"], rows)] if rows else []),
        ]
    return [*lines, *_drift(base, head)]


def _hash(revision: Revision, path: str) -> str | None:
    return revision.outputs.get(path, {}).get("md5")


def _rows_and_schemas(revision: Revision, path: str) -> dict[str, tuple[int, dict[str, str]]]:
    """Return each table's rows and columns with types, from the footers of its Parquet files."""
    if path not in revision.outputs:
        return {}
    tables: dict[str, tuple[int, dict[str, str]]] = {}
    for name, file in revision.files(path):
        if not name.endswith(".parquet"):
            continue
        about = pq.ParquetFile(file)
        name = name.split("/")[0].removesuffix(".parquet")
        rows, columns = tables.get(name, (0, {}))
        types = {field.name: str(field.type) for field in about.schema_arrow}
        tables[name] = (rows + about.metadata.num_rows, columns | types)
    return tables


def _drift(base: Revision, head: Revision) -> list[str]:
    """Return what has drifted in `head` and had not in `base`."""
    old, new = (read_drift(revision.text(layout.DRIFT) or "", revision.name) for revision in (base, head))
    known = {(shift.period, shift.against, shift.column) for shift in old if shift.drifted}
    fresh = [shift for shift in new if shift.drifted and (shift.period, shift.against, shift.column) not in known]
    if not fresh:
        return ["Drift between periods: none that was not there before."]
    rows = [
        [s.period, s.against, s.column, f"{s.psi:.3f}", f"{s.bound:.3f}", s.gone or "—", s.new or "—"] for s in fresh
    ]
    names = ["period", "against", "column", "PSI", "bound", "gone", "new"]
    return ["Drift between periods that was not there before:", table(names, rows)]


def features(base: Revision, head: Revision) -> list[str]:
    """Return the definitions that changed, as a diff."""
    model, was = head.record(layout.MODEL, ModelFacts), base.record(layout.MODEL, ModelFacts)
    if model and was and model.features == was.features:
        return [f"The same definitions, `{model.features}`."]
    lines = differences(catalogue_at(base.commit or "HEAD", base.root), _catalogue(head))
    return ["```diff\n" + "\n".join(lines[:80]) + "\n```"] if lines else ["The same definitions."]


def _catalogue(head: Revision) -> Mapping[str, dict[str, str]]:
    if head.commit:
        return catalogue_at(head.commit, head.root)
    return catalogue(load_problem(workspace.problem_entry(head.root)).features)


def params(base: Revision, head: Revision) -> list[str]:
    """Return the parameters that changed, before and after."""
    old, new = (dict(_flat(revision.yaml("params.yaml"))) for revision in (base, head))
    rows = [
        [f"`{name}`", _plain(old, name), _plain(new, name)]
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name) or (name in old) != (name in new)
    ]
    return [table(["parameter", "before", "after"], rows)] if rows else ["Unchanged."]


def _plain(values: Mapping[str, Any], name: str) -> str:
    return json.dumps(values[name]) if name in values else "—"


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def stages(base: Revision, head: Revision) -> list[str]:
    """Say which stages have run again since, what they had that was other, and what came out other."""
    old, new = (revision.yaml("dvc.lock").get("stages", {}) for revision in (base, head))
    rows = []
    for name, stage in new.items():
        before = old.get(name, {})
        if stage == before:
            continue
        causes = _changed(before, stage, "deps")
        causes += ["parameters"] if stage.get("params") != before.get("params") else []
        causes = causes or ["command"]
        rows.append([name, ", ".join(causes), ", ".join(_changed(before, stage, "outs")) or "the same bytes came out"])
    return [table(["stage", "because of", "what changed"], rows)] if rows else ["None: every output is the one before."]


def _changed(before: Mapping[str, Any], after: Mapping[str, Any], kind: str) -> list[str]:
    old = {entry["path"]: entry["md5"] for entry in before.get(kind, [])}
    changed = [f"`{entry['path']}`" for entry in after.get(kind, []) if old.get(entry["path"]) != entry["md5"]]
    return [*changed[:6], f"{len(changed) - 6} more"] if len(changed) > 6 else changed
