"""`ringbound upgrade`: what the installed version changes in a workspace."""

from typing import Annotated

import typer

from ringbound import workspace
from ringbound.errors import WorkspaceError


def upgrade(
    check: Annotated[bool, typer.Option("--check", help="Say what would change; nothing is written.")] = False,
) -> None:
    """Say what the version of ringbound that is installed changes in this workspace; exit code 1 where it is something."""
    from ringbound.starting.upgrade import says

    if not check:
        raise WorkspaceError(
            "upgrade: expected --check; a version is installed as any package is, named in pyproject.toml, and "
            '"dvc repro" makes anew what it makes otherwise'
        )
    first, lines = says(workspace.root())
    typer.echo(first)
    for line in lines:
        typer.echo(f"- {line}")
    typer.echo('what it changes is above; "dvc repro" makes it anew' if lines else "it changes nothing here")
    raise typer.Exit(bool(lines))
