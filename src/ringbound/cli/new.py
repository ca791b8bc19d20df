"""`ringbound new`: a workspace about somebody's table."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer

from ringbound.errors import ProblemError

MOST_HOURS = 10 * 365 * 24.0


def new(
    folder: Annotated[Path, typer.Argument(help="Where the workspace is to be; not there yet, or empty.")],
    table: Annotated[
        Path | None,
        typer.Option(help="A CSV, JSON Lines or Parquet file: a row for each question; by default an example's."),
    ] = None,
    label: Annotated[str, typer.Option(help="The column that is to be predicted.")] = "",
    time: Annotated[str, typer.Option(help="The column that says when; found, where there is one of times.")] = "",
    key: Annotated[str, typer.Option("--id", help="The column that tells rows apart; found, where there is one.")] = "",
    task: Annotated[
        Literal["", "classification", "ranking", "multiclass", "regression", "count"],
        typer.Option(help="By default what the label looks like."),
    ] = "",
    group: Annotated[
        str, typer.Option(help="Of a ranking, the column of what is put in order together, like a search.")
    ] = "",
    horizon: Annotated[
        str, typer.Option(help="How long before its time a question is asked, like 1h; 0h is at it.")
    ] = "0h",
    mature: Annotated[str, typer.Option(help="How long after its time an outcome is known, like 1h.")] = "1d",
    zone: Annotated[str, typer.Option(help="Whose clock times without an offset are on, and days go by.")] = "",
    name: Annotated[str, typer.Option(help="What the problem is called; by default the folder.")] = "",
) -> None:
    """Look at a table, and write a workspace about it: notebooks, pipeline, tests; everything runs at once."""
    from ringbound.starting.choice import Choice
    from ringbound.starting.look import look
    from ringbound.starting.plan import package_of, texts
    from ringbound.starting.roles import assign_roles
    from ringbound.starting.write import write_workspace

    if table is None and (label or time or key or group):
        raise ProblemError("--table: expected the table that has these columns; got none")
    if table and not label:
        raise ProblemError("--label: expected the column that is to be predicted; got none")
    with TemporaryDirectory() as scratch:
        if table is None:
            table, label, time, horizon = _example(Path(scratch)), "late", "promised", "2h"
        looked = look(table, zone=zone)
        asked_h, known_h = _hours(horizon, "--horizon"), _hours(mature, "--mature")
        if not known_h:
            raise ProblemError(
                "--mature: expected a time above 0: an outcome that is known at once is no outcome; got 0"
            )
        roles = assign_roles(looked, label=label, time=time, key=key, group=group, task=task, horizon_h=asked_h)
        package = package_of(folder)
        called = name or package.replace("_", "-")
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", called):
            raise ProblemError(f"--name: expected small letters, digits and -, like late-parcels; got {called!r}")
        choice = Choice(called, package, asked_h, known_h, zone)
        filled = texts(looked, roles, choice)
        write_workspace(folder, table, filled)
    typer.echo(f"{folder}: a workspace about {looked.rows:,} rows of {table.name}\n")
    typer.echo(filled["inferred"])
    typer.echo(f"\nnext: cd {folder} && make run")


def _example(folder: Path) -> Path:
    """Write the parcels of a small town, and whether they came late, as a table; return the file."""
    from ringbound.testing.town import make_town

    parcels = make_town(days=100).parcels.drop(columns=["at", "day", "month"])
    file = folder / "parcels.csv"
    parcels.to_csv(file, index=False, date_format="%Y-%m-%dT%H:%M:%SZ")
    return file


def _hours(text: str, option: str) -> float:
    from ringbound.errors import FeatureError
    from ringbound.features.view import microseconds

    if text.strip() in ("0", "0h", "0min", "0d"):
        return 0.0
    try:
        hours = microseconds(text.strip()) / 3.6e9
    except FeatureError:
        raise ProblemError(f"{option}: expected a time like 30min, 2h or 1d; got {text!r}") from None
    if hours > MOST_HOURS:
        raise ProblemError(f"{option}: expected up to ten years; got {text!r}")
    return hours
