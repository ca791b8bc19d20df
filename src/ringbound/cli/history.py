"""`ringbound history`: what served when, why it changed, and what each change was worth."""

from pathlib import Path
from typing import Annotated

import typer

from ringbound import workspace
from ringbound.cli.options import PROD, StoreOption, open_store
from ringbound.workspace import layout


def history(
    environment: Annotated[str, typer.Argument(help="An environment, like prod.")] = PROD,
    page: Annotated[Path | None, typer.Option(help="An HTML file to write it to, too.")] = None,
    store: StoreOption = None,
) -> None:
    """Say what served when, why it changed, and what each change was worth: by questions that were answered since."""
    from ringbound.release.history import changes_of, history_lines, worths_of, write_page
    from ringbound.release.registry import open_registry

    root = workspace.root()
    registry = open_registry(root)
    changes = changes_of(registry, environment)
    if not changes:
        typer.echo(f"{environment} was given nothing yet; see ringbound registry promote")
        return
    opened = open_store(store) if store or (root / layout.STORE).is_file() else None
    worths = worths_of(registry, changes, opened)
    typer.echo("\n".join(history_lines(changes, worths)))
    if page:
        write_page(page, environment, changes, worths)
        typer.echo(f"written to {page}")
