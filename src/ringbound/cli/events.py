"""Commands for the log of events: `ringbound events lateness | void`."""

from typing import Annotated

import typer

from ringbound import workspace
from ringbound.cli.options import StoreOption, open_store

app = typer.Typer(no_args_is_help=True, help="Look at the events in the operational store, and take wrong ones back.")


@app.command()
def lateness(store: StoreOption = None) -> None:
    """Say how long after they happen events become known, by source, and how many came too late to count."""
    from ringbound.features.lateness import lateness_table
    from ringbound.features.logged import LoggedEvents
    from ringbound.problem.declaration import load_problem

    sources = load_problem(workspace.problem_entry()).features.sources
    log = LoggedEvents(open_store(store), sources)
    typer.echo(lateness_table(sources, log).frame.to_string(float_format="{:.1f}".format))
    typer.echo("minutes; too late: beyond the declared lateness, so in no window")


@app.command()
def void(
    source: Annotated[str, typer.Argument(help="A source, like departures.")],
    name: Annotated[str, typer.Argument(metavar="ID", help="The event's id.")],
    reason: Annotated[str, typer.Option(help="Why; kept for good.")],
    store: StoreOption = None,
) -> None:
    """Take a wrong event back: from now on no answer counts it. It stays in the log, and so does its id."""
    from ringbound.store import instant

    event = open_store(store).void(source, name, reason)
    typer.echo(f"{source} {name}, available at {instant(event.available_at)}: void ({reason})")
