"""`ringbound cost`: what the workspace's model costs, to be made and to answer."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from ringbound import workspace
from ringbound.cli.options import StoreOption, open_store
from ringbound.workspace import layout


def cost(
    write: Annotated[bool, typer.Option("--write", help=f"Write it to {layout.COST}, to be committed.")] = False,
    rows: Annotated[int, typer.Option(min=10, max=1000, help="The latest requests to time.")] = 100,
    store: StoreOption = None,
) -> None:
    """Say what each stage, a trial and 1,000 answers cost; a budget that is exceeded is an alert, and exit code 1."""
    from ringbound.errors import WorkspaceError
    from ringbound.evaluation.costs import rung_costs
    from ringbound.features.offline import EventTables
    from ringbound.models.bundle import load_bundle
    from ringbound.problem.training import read_requests
    from ringbound.release.cost import Rates, measure, note_costs

    root = workspace.root()
    rates = Rates.from_section(workspace.load_yaml(root / "params.yaml").get("cost"))
    bundle = load_bundle(workspace.stage_input(layout.MODELS))
    tables = EventTables(workspace.stage_input(layout.CLEAN), bundle.features.sources)
    requests = read_requests(workspace.stage_input(layout.FEATURES)).sort_values("at").tail(rows)
    answer_us = {name: round(us, 1) for name, us in rung_costs(bundle, tables, requests).items()}
    found = measure(root, answer_us)
    typer.echo("\n".join(found.lines(rates)))
    if found.unknown:
        typer.echo(f"not known here: {', '.join(found.unknown)}; they came out of DVC's cache, or ran elsewhere")
        typer.echo("whether a run keeps to its budget is not known; dvc repro --force measures it anew")
    if write and found.unknown:
        raise WorkspaceError(
            f"cost: expected every stage to be measured, to be written; {layout.COST} is left as it is"
        )
    if write:
        found.write(root / layout.COST)
        typer.echo(f"written to {layout.COST}")
    beyond = found.beyond(rates)
    if store or (root / layout.STORE).is_file():
        note_costs(open_store(store), beyond, datetime.now(UTC).date().isoformat())
    for line in beyond.values():
        typer.echo(f"over budget: {line}", err=True)
    if beyond:
        raise typer.Exit(1)
