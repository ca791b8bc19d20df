"""Options that several commands share."""

from typing import Annotated, Literal

import typer

from ringbound.workspace import layout

StoreOption = Annotated[
    str | None,
    typer.Option(envvar="RINGBOUND_STORE", help="The operational store's URL; by default SQLite in data/ops."),
]
EventsOption = Annotated[
    str,
    typer.Option(
        help=f"Where the events are that features look back on: a folder like {layout.CLEAN}, or a store's URL."
    ),
]
EngineOption = Annotated[Literal["local", "dask"], typer.Option(help="Where to compute.")]
SchedulerOption = Annotated[str, typer.Option(help="A Dask cluster's address; without one, dask starts its own.")]
PROD = "prod"
EnvironmentOption = Annotated[str, typer.Option("--environment", help="The environment whose model is the champion.")]
