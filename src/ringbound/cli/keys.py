"""Commands for who may ask a service: `ringbound keys add | list | revoke`."""

from enum import StrEnum
from typing import Annotated

import typer

from ringbound import workspace
from ringbound.cli.options import StoreOption, open_store
from ringbound.errors import StoreError

app = typer.Typer(no_args_is_help=True, help="Say who may ask a service; it knows a second later, without a restart.")
Role = StrEnum("Role", ["predict", "ingest", "operate"])
NameArgument = Annotated[str, typer.Argument(help="Whose key it is.")]


@app.command()
def add(
    name: NameArgument,
    role: Annotated[
        list[Role],
        typer.Option(help="What it may do: ask; send events and outcomes; look at what runs, and at receipts."),
    ],
    rate: Annotated[float, typer.Option(help="Requests a second, 0 for any number.")] = 0.0,
    store: StoreOption = None,
) -> None:
    """Make a key and print it, once: the store has a digest of it only."""
    from ringbound.feedback.derive import EVENTS
    from ringbound.feedback.final import NOBODY
    from ringbound.store import Store

    if name in (EVENTS, NOBODY):
        raise StoreError(f"keys: expected another name than {name!r}, which stands for outcomes that no key told")
    typer.echo(Store(store or workspace.default_store()).add_key(name, [one.value for one in role], rate))


@app.command("list")
def list_keys(store: StoreOption = None) -> None:
    """List the keys, also those that were revoked."""
    import pandas as pd

    from ringbound.store import instant

    keys = [
        {
            "name": key.name,
            "id": key.id,
            "roles": key.roles,
            "a second": f"{key.rate:g}" if key.rate else "any",
            "made": instant(key.made_at)[:19],
            "revoked": "" if key.revoked_at is None else instant(key.revoked_at)[:19],
        }
        for key in open_store(store).all_keys()
    ]
    typer.echo(pd.DataFrame(keys).to_string(index=False) if keys else "there are no keys")


@app.command()
def revoke(name: NameArgument, store: StoreOption = None) -> None:
    """Revoke a key: whoever has it is refused from a second later on."""
    open_store(store).revoke_key(name)
    typer.echo(f"{name} may ask no more")
