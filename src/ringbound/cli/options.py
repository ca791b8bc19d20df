"""Options that several commands share."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ringbound import workspace
from ringbound.errors import FeatureError, ModelError
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
WindowOption = Annotated[str, typer.Option(help="How many days, up to the present, like 28d.")]
ThroughOption = Annotated[
    str, typer.Option(help="The present, like 2026-03-01 or 2026-03-01T06:00:00Z; by default now.")
]
MOST_DAYS = 36_500
PROD = "prod"
EnvironmentOption = Annotated[str, typer.Option("--environment", help="The environment whose model is the champion.")]


def open_store(url: str | None) -> "Store":
    """Open the store that a command is about, with its archive; `StoreError` where there is none."""
    from ringbound.store import Store

    return Store(url or workspace.default_store(), make=False, archive=workspace.archive_folder())


def days_of(window: str) -> int:
    """Return a number of whole days, from a text like 28d."""
    from ringbound.features.view import microseconds
    from ringbound.monitoring.days import DAY_US

    try:
        days = microseconds(window) // DAY_US
    except FeatureError:
        days = 0
    if not 1 <= days <= MOST_DAYS:
        raise ModelError(f"--window: expected days, like 28d, of at most a hundred years; got {window!r}")
    return days


def instant_of(through: str) -> int:
    """Return a time that has come, in microseconds since 1970: the present, where none is given."""
    from ringbound.monitoring.days import DAY_US
    from ringbound.store import WALL

    if not through:
        return WALL.now()
    try:
        found = datetime.fromisoformat(through)
    except ValueError as error:
        raise ModelError(f"--through: expected a time like 2026-03-01T06:00:00Z; got {through!r}") from error
    present = round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()) * 1_000_000
    if present > WALL.now() + DAY_US:
        raise ModelError(f"--through: expected a time that has come; got {through!r}")
    return present
