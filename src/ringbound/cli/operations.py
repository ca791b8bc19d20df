"""Commands for who keeps it running: `ringbound ops archive`."""

from typing import Annotated

import typer

from ringbound.cli.options import StoreOption, open_store
from ringbound.workspace import layout

app = typer.Typer(no_args_is_help=True, help="Keep what runs in order.")


@app.callback()
def operations() -> None:
    """Keep what runs in order."""


@app.command()
def archive(
    older_than: Annotated[str, typer.Option(help="The age from which answers are moved, like 90d or 36h.")] = "90d",
    store: StoreOption = None,
) -> None:
    """Move old answers with their outcomes and seals out of the store into Parquet by month, which is read like it.

    Events stay: windows, replays and receipts are made of them.
    """
    from ringbound.features.view import microseconds
    from ringbound.store import WALL

    age = microseconds(older_than)
    opened = open_store(store)
    done = opened.put_away(WALL.now() - age)
    typer.echo(
        f"{done.predictions:,} predictions, {done.outcomes:,} outcomes and {done.seals:,} seals moved to {layout.ARCHIVE}"
    )
