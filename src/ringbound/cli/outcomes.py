"""`ringbound outcomes`: how answers have turned out, and what events tell of them."""

import typer

from ringbound import workspace
from ringbound.cli.options import StoreOption, ThroughOption, WindowOption, days_of, instant_of, open_store

app = typer.Typer(help="See how answers have turned out.", invoke_without_command=True)


@app.callback()
def outcomes(context: typer.Context, store: StoreOption = None) -> None:
    """Say how the answers in the store have turned out, by model and rung, as far as outcomes are known."""
    from ringbound.evaluation.judged import judged_table
    from ringbound.problem.declaration import load_problem

    if context.invoked_subcommand:
        return
    judged = open_store(store).judged()
    if not judged:
        typer.echo("no predictions yet")
        return
    typer.echo(judged_table(judged, load_problem(workspace.problem_entry()).task).frame.round(4).to_string(index=False))


@app.command()
def derive(window: WindowOption = "28d", through: ThroughOption = "", store: StoreOption = None) -> None:
    """Take from events what came of the questions of the last days; `ringbound monitor` does so by itself."""
    from ringbound.feedback.derive import derive_outcomes
    from ringbound.monitoring.days import DAY_US
    from ringbound.problem.declaration import load_problem

    end = instant_of(through)
    problem = load_problem(workspace.problem_entry())
    done = derive_outcomes(open_store(store), problem, since=end - days_of(window) * DAY_US, through=end)
    typer.echo(f"{done.outcomes:,} new outcomes of {done.questions:,} questions, from {done.events:,} events")
