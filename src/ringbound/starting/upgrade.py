"""What another version of ringbound changes in a workspace, before anything is run with it."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ringbound import workspace
from ringbound.errors import RecordError, RingboundError
from ringbound.evaluation.answers import FACTS, EvaluationFacts
from ringbound.evaluation.records import Ladder, Metrics
from ringbound.models.facts import FACTS as BUNDLE
from ringbound.models.facts import BundleFacts, ModelFacts
from ringbound.problem.declaration import load_problem
from ringbound.problem.tasks import task_from_json
from ringbound.problem.training import MADE_WITH, MadeWith
from ringbound.release.gates import Gates, Verdict
from ringbound.workspace import layout
from ringbound.workspace.records import Record

RECORDS: dict[str, type[Record]] = {
    f"{layout.MODELS}/{BUNDLE}": BundleFacts,
    layout.MODEL: ModelFacts,
    layout.METRICS: Metrics,
    layout.LADDER: Ladder,
    f"{layout.EVALUATION}/{FACTS}": EvaluationFacts,
    layout.VERDICT: Verdict,
}
"""The files that a workspace is read by, of those that a version may write otherwise."""


def pinned(root: Path) -> str:
    """Return the version of ringbound that a workspace asks for; nothing where it asks for none alone."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8")).get("project", {})
    found = [re.fullmatch(r"ringbound\s*==\s*(\S+)", str(one)) for one in project.get("dependencies", [])]
    return next((match[1] for match in found if match), "")


def changes(root: Path) -> list[str]:
    """Return what the installed version finds otherwise than a workspace's files have it, a line each; none: nothing.

    The definition of its features, files of another format, and parameters of the machinery that it does not know, or
    misses. What notebooks import that is not there any more comes out as the declaration is read.
    """
    lines = []
    try:
        problem = load_problem(workspace.problem_entry(root))
    except RingboundError as error:
        problem, lines = None, [f"the declaration cannot be read: {error}"]
    made_with = root / layout.FEATURES / MADE_WITH
    if problem and made_with.is_file():
        try:
            hash_ = MadeWith.read(made_with).hash
            if hash_ != problem.features.hash:
                lines.append(f"features: made by {hash_}; now {problem.features.hash}: all is computed and learnt anew")
        except RecordError as error:
            lines.append(str(error))
    for name, kind in RECORDS.items():
        if (root / name).is_file():
            try:
                _read(kind, root / name)
            except RingboundError as error:
                lines.append(str(error))
    try:
        Gates.from_section(workspace.load_yaml(root / "params.yaml").get("gates"))
    except RingboundError as error:
        lines.append(str(error))
    return lines


def _read(kind: Any, file: Path) -> None:
    found = kind.read(file)
    if isinstance(found, ModelFacts | EvaluationFacts):
        task_from_json(found.task)


def says(root: Path) -> tuple[str, list[str]]:
    """Return which version a workspace asks for beside the one that is installed, and what that changes."""
    asked, here = pinned(root), version("ringbound")
    same = "as its pyproject.toml asks for" if asked == here else f"its pyproject.toml asks for {asked or 'no version'}"
    return f"ringbound {here} is installed, {same}", changes(root)
