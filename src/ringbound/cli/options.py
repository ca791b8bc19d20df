"""Options that several commands share."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ringbound import workspace
from ringbound.workspace import layout

if TYPE_CHECKING:
    from ringbound.store import Store

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


def archive_folder() -> Path:
    """Return the folder of archives: RINGBOUND_ARCHIVE, which several hosts may share, or that of the workspace."""
    given = os.environ.get("RINGBOUND_ARCHIVE")
    return Path(given).absolute() if given else workspace.root() / layout.ARCHIVE


def open_store(url: str | None) -> "Store":
    """Open the store that a command is about, with its archive; `StoreError` where there is none."""
    from ringbound.store import Store

    return Store(url or workspace.default_store(), make=False, archive=archive_folder())
