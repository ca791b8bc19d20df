"""A model by its version alone, wherever in the history of the workspace it is."""

from contextlib import suppress
from pathlib import Path

from ringbound import workspace
from ringbound.errors import BundleError, WorkspaceError
from ringbound.models.bundle import Bundle, load_bundle
from ringbound.models.facts import ModelFacts, read_facts
from ringbound.workspace import layout
from ringbound.workspace.revision import Revision, git


def find_bundle(root: Path, version: str) -> Bundle:
    """Return the model of a version: the workspace's own, or that of the commit that brought it, from DVC's cache or remote.

    `BundleError` says where it cannot be had, or is for other features than those that are installed.
    """
    own = root / layout.MODELS
    with suppress(BundleError):  # damaged, or none: history has it
        if read_facts(own).model.version == version:
            return load_bundle(own)
    try:
        commits = git(root, "log", "--all", "--format=%H", f"-S{version}", "--", layout.MODEL).split()
    except WorkspaceError as error:
        raise BundleError(f"model {version}: expected the history of the workspace in git; {error}") from error
    for commit in reversed(commits):
        at = Revision(root, commit)
        described = at.record(layout.MODEL, ModelFacts)
        if described is not None and described.version == version:
            folder = workspace.fresh_folder(root / layout.FETCHED / f"model-{version}")
            try:
                fetched = at.fetch(layout.MODELS, folder)
            except WorkspaceError as error:
                raise BundleError(f"model {version}: of commit {commit[:12]}; {error}") from error
            try:
                return load_bundle(fetched)
            except BundleError as error:
                raise BundleError(f"model {version}: check out commit {commit[:12]}, which made it; {error}") from error
    raise BundleError(f"model {version}: no commit here describes it; fetch the branch that made it")
