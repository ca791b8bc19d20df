"""`ringbound outcomes`: how answers have turned out."""

import typer

from ringbound import workspace
from ringbound.cli.options import StoreOption, open_store


def outcomes(store: StoreOption = None) -> None:
    """Say how the answers in the store have turned out, by model and rung, as far as outcomes are known."""
    from ringbound.evaluation.judged import judged_table
    from ringbound.problem.declaration import load_problem

    judged = open_store(store).judged()
    if not judged:
        typer.echo("no predictions yet")
        return
    typer.echo(judged_table(judged, load_problem(workspace.problem_entry()).task).frame.round(4).to_string(index=False))
