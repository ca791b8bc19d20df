"""Options that several commands share."""

from typing import Annotated

import typer

StoreOption = Annotated[
    str | None,
    typer.Option(envvar="RINGBOUND_STORE", help="The operational store's URL; by default SQLite in data/ops."),
]
PROD = "prod"
EnvironmentOption = Annotated[str, typer.Option("--environment", help="The environment whose model is the champion.")]
