"""`ringbound simulate`: live through the history under other policies of retraining."""

import os
import warnings
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from ringbound import workspace
from ringbound.workspace import layout

NOTEBOOK = "simulate"


def simulate(
    policies: Annotated[
        Path | None, typer.Option(help="A YAML file with `policies:`, a list like that in params.yaml, to try instead.")
    ] = None,
    start: Annotated[str, typer.Option("--from", help="The first day, like 2013-04-01.")] = "",
    end: Annotated[str, typer.Option("--to", help="The day before which it ends.")] = "",
    every: Annotated[int | None, typer.Option(min=1, help="Live through one in so many rows.")] = None,
) -> None:
    """Say what each policy of retraining would have cost, by the simulate notebook and, for the rest, params.yaml."""
    from ringbound.errors import WorkspaceError
    from ringbound.notebooks.stage import Declaration, run_notebook
    from ringbound.simulation.policy import policies_of

    warnings.filterwarnings("ignore", module="nbformat|nbconvert|papermill|traitlets|tqdm")
    root = workspace.root()
    for option, day in (("--from", start), ("--to", end)):
        try:
            _ = day and date.fromisoformat(day)
        except ValueError as error:
            raise WorkspaceError(f"{option}: expected a day like 2013-04-01; got {day!r}") from error
    given = {"start": start, "end": end, "every": every}
    instead: dict[str, Any] = {name: value for name, value in given.items() if value}
    if policies:
        try:
            declared = workspace.parse_yaml(policies.read_text("utf-8"), policies.name).get("policies")
        except (OSError, UnicodeDecodeError) as error:
            raise WorkspaceError(f"policies: expected a YAML file; {policies.name} cannot be read") from error
        if not isinstance(declared, list) or not declared:
            raise WorkspaceError(f"{policies.name}: expected `policies:`, a list of mappings; got {declared!r}")
        policies_of(declared)
        instead["policies"] = declared
    os.environ["RINGBOUND_ARCHIVE"] = str(workspace.archive_folder())  # the notebook's kernel sees another root
    outputs = [f"{layout.REPORTS}/{NOTEBOOK}.html", f"{layout.REPORTS}/{NOTEBOOK}.ipynb", layout.SIMULATED]
    declared_files = Declaration(["params.yaml", layout.CLEAN, layout.FEATURES, layout.MODELS], outputs)
    run_notebook(NOTEBOOK, root, declared_files, instead=instead, into=layout.SIMULATED_IN)
    typer.echo((root / layout.SIMULATED_IN / Path(layout.SIMULATED).name).read_text("utf-8").rstrip())
    typer.echo(f"read {layout.SIMULATED_IN}/{NOTEBOOK}.html")
