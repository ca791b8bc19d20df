"""The features as their users see them: what there is, what one means, what a change changes."""

import difflib
import inspect
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ringbound import workspace
from ringbound.errors import FeatureError, one_line
from ringbound.features.definition import FeatureSet
from ringbound.features.view import UNITS, Windowed


def summary(features: FeatureSet, name: str) -> str:
    """Say in one line what a feature is."""
    if name in features.windowed:
        view, feature = features.windowed[name]
        what = f"{feature.aggregate} of {feature.track}" if feature.track else feature.aggregate
        by = f", by {' and '.join(view.entity)}" if view.entity else ""
        return f"{what} over {length(feature)} of {view.events}{by}"
    if name in features.functions:
        prose = inspect.getdoc(features.functions[name]) or "a function of the request"
        return prose.splitlines()[0]
    return next(field.description for field in features.request if field.name == name)


def length(feature: Windowed) -> str:
    """Return a window as it is written: `3h`, or `1h, 23h ago`."""
    ago = f", {_written(feature.ago)} ago" if feature.ago else ""
    return _written(feature.window) + ago


def _written(us: int) -> str:
    unit = next(unit for unit, size in reversed(UNITS.items()) if us % size == 0)
    return f"{us // UNITS[unit]}{unit}"


def describe(features: FeatureSet, name: str) -> str:
    """Return all that a feature is, as text."""
    if name not in features.names:
        near = difflib.get_close_matches(name, features.names, 3) or features.names
        raise FeatureError(f"expected a feature's name; got {name!r}; there is {', '.join(near)}")
    lines = [f"{name}  {features.hash_of(name)}", summary(features, name)]
    if name in features.windowed:
        view, feature = features.windowed[name]
        source = features.sources[view.events]
        known = view.conditions.get(feature.track or "")
        lines += [] if known is None else ["", inspect.getsource(known).rstrip()]
        lines += ["", f"where there are no events: {0 if feature.aggregate == 'count' else 'missing'}"]
        if scale := source.scale.get(feature.track or ""):
            lines.append(f"kept in whole units of 1/{scale}")
    elif name in features.functions:
        for function in [n for n in features.inputs_of(name) if n in features.functions] + [name]:
            lines += ["", inspect.getsource(features.functions[function]).rstrip()]
    return "\n".join(lines)


def catalogue(features: FeatureSet) -> dict[str, dict[str, str]]:
    """Return the hash and the description of every feature, as plain data."""
    return {name: {"hash": features.hash_of(name), "text": describe(features, name)} for name in features.names}


def catalogue_at(revision: str, root: Path) -> dict[str, dict[str, str]]:
    """Return the catalogue of the workspace's problem as it was at a revision."""
    with tempfile.TemporaryDirectory() as folder:
        for path in ("src", "pyproject.toml"):
            _extract(root, revision, path, folder)
        package = workspace.package_name(Path(folder))
        shutil.rmtree(Path(folder) / "src/ringbound", ignore_errors=True)  # the definitions are theirs, the reader ours
        code = (
            "import json, sys; from ringbound.problem.catalog import catalogue; "
            "from ringbound.problem.declaration import load_problem; "
            "print(json.dumps(catalogue(load_problem(sys.argv[1]).features)))"
        )
        path = os.pathsep.join([f"{folder}/src", str(Path(__file__).parents[2])])
        result = subprocess.run(
            [sys.executable, "-c", code, workspace.problem_entry(Path(folder))],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise FeatureError(
            f"{revision}: the features of {package} cannot be read by this version: {one_line(Exception(last), 300)}"
        )
    return json.loads(result.stdout)


def _extract(root: Path, revision: str, path: str, folder: str) -> None:
    packed = subprocess.run(["git", "archive", revision, path], cwd=root, capture_output=True, check=False)
    if packed.returncode:
        raise FeatureError(
            f"expected a revision of this workspace; git says: {one_line(Exception(packed.stderr.decode()), 200)}"
        )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as opened:
        opened.extraction_filter = getattr(tarfile, "data_filter", None)  # Python before 3.11.4 has none
        opened.extractall(folder)


def differences(before: Mapping[str, dict], after: Mapping[str, dict]) -> list[str]:
    """Return what changed, in words: features added and removed, and the definitions of those whose hash changed."""
    lines = [f"+ {name}" for name in after if name not in before]
    lines += [f"- {name}" for name in before if name not in after]
    for name in after:
        if name in before and before[name]["hash"] != after[name]["hash"]:
            lines.append(f"~ {name}  {before[name]['hash']} → {after[name]['hash']}")
            old, new = (entry["text"].splitlines()[1:] for entry in (before[name], after[name]))
            changed = list(difflib.unified_diff(old, new, lineterm="", n=0))[2:]
            lines += [f"    {line}" for line in changed if not line.startswith("@@")] or [
                "    fields or scales that it uses"
            ]
    return lines
