"""Where things are: the workspace's root, every path in it, its records, and its revisions in git."""

from ringbound.workspace.paths import (
    archive_folder,
    default_store,
    fresh_folder,
    load_yaml,
    package_name,
    parse_yaml,
    problem_entry,
    root,
    stage_folder,
    stage_input,
    stage_output,
)

__all__ = [
    "archive_folder",
    "default_store",
    "fresh_folder",
    "load_yaml",
    "package_name",
    "parse_yaml",
    "problem_entry",
    "root",
    "stage_folder",
    "stage_input",
    "stage_output",
]
