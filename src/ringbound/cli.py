"""The command line: `ringbound summary | score | serve | features …`."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer._click.exceptions import NoArgsIsHelpError, UsageError  # typer brings a click of its own

from ringbound import feature_commands, model_commands, workspace
from ringbound.errors import RingboundError, one_line
from ringbound.feature_commands import CLEAN, StoreOption

if TYPE_CHECKING:
    from ringbound.features.events import EventReader, EventSource

ARCHIVE = "data/bento/model.bento"
BUNDLE = "data/models"

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Turn notebooks into a production ML system: look at what the pipeline made, score files, serve.",
)
app.add_typer(feature_commands.app, name="features")
app.add_typer(model_commands.app, name="registry")
for command in (model_commands.gate, model_commands.report, model_commands.ladder):
    app.command()(command)


def open_events(place: str, sources: "Mapping[str, EventSource]") -> "EventReader":
    """Return the reader of the events in a folder or, where `place` is a URL, in a store."""
    if "://" in place:
        from ringbound.features.live import LoggedEvents
        from ringbound.store import Store

        return LoggedEvents(Store(place), sources)
    from ringbound.features.offline import EventTables

    return EventTables(workspace.stage_input(place), sources, kept=24)


@app.command()
def summary() -> None:
    """Say what the pipeline has made and what to try next."""
    from rich.console import Console
    from rich.table import Table

    root = workspace.root()
    metrics = json.loads(workspace.stage_input("data/reports/metrics.json").read_text("utf-8"))
    facts = json.loads(workspace.stage_input(f"{BUNDLE}/bundle.json").read_text("utf-8"))
    rows = metrics.pop("rows")
    learnt = facts["provenance"]
    title = f"model {facts['version']}: {learnt['candidate']}, on {rows:,} rows it has not seen"
    table = Table(title=title, title_justify="left")
    table.add_column("metric")
    for name in metrics:
        table.add_column(f"{name} (95% interval)")
    for metric in next(iter(metrics.values())):
        cells = [
            f"{m[metric]['value']:.4f} ({m[metric]['low']:.4f} to {m[metric]['high']:.4f})" for m in metrics.values()
        ]
        table.add_row(metric, *cells)
    Console(highlight=False).print(table)
    reports = sorted(path.relative_to(root).as_posix() for path in (root / "data/reports").glob("*.html"))
    typer.echo(f"learnt from {learnt['rows']:,} rows, {learnt['first_day']} to {learnt['last_day']}")
    typer.echo("model card: data/reports/model_card.md")
    typer.echo(f"executed notebooks: {' '.join(reports)}")
    typer.echo("next: make serve (answers on http://127.0.0.1:3000), make lab (the notebooks), make test")


@app.command()
def score(
    input: Annotated[str, typer.Option(help="A file or a quoted glob: CSV, JSON Lines or Parquet, by suffix.")],
    output: Annotated[Path, typer.Option(help="The file to write; its suffix gives the format.")],
    bundle: Annotated[Path | None, typer.Option(help=f"The model bundle; by default the workspace's {BUNDLE}.")] = None,
    events: Annotated[
        str,
        typer.Option(
            help="Where the events are that features look back on: a folder like data/clean, or a store's URL."
        ),
    ] = CLEAN,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Score files in batch, with the same bits as online; a killed run goes on where it was."""
    from ringbound.models.bundle import load_bundle
    from ringbound.serving.batch import input_files
    from ringbound.serving.batch import score as score_files

    input_files(input, output)  # a wrong path is said before models and events are looked for
    loaded = load_bundle(bundle or workspace.stage_input(BUNDLE))
    reader = open_events(events, loaded.features.sources) if loaded.features.views else None
    done = score_files(input, output, loaded, events=reader, progress=not quiet)
    notes = [f"{done.rows:,} rows written to {output}"]
    notes += [f"{done.errors:,} not scored: see column error"] if done.errors else []
    notes += [f"{done.malformed:,} lines were no rows: see {output.name}.malformed"] if done.malformed else []
    notes += [f"{done.resumed:,} parts taken over from a run that was stopped"] if done.resumed else []
    typer.echo("; ".join(notes))


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 3000,
    store: StoreOption = None,
    clock: Annotated[
        Literal["wall", "event"],
        typer.Option(help="Now: by this machine's clock, or by the newest event, for replays."),
    ] = "wall",
    workers: Annotated[int, typer.Option(min=1, help="Processes that answer.")] = 1,
    stage: Annotated[
        str, typer.Option(help="Serve what this stage has, like prod; by default what the workspace made.")
    ] = "",
) -> None:
    """Serve the packaged model over HTTP until stopped."""
    from ringbound.serving.package import serve as serve_archive
    from ringbound.store import Store

    url = store or workspace.default_store()
    Store(url)  # refuses what is not a store before anything listens
    archive = model_commands.fetched(stage) / ARCHIVE if stage else workspace.stage_input(ARCHIVE)
    serve_archive(
        archive,
        workspace.root(),
        host=host,
        port=port,
        store=url,
        clock=clock,
        workers=workers,
        snapshot=workspace.root() / "data/ops/features.npz",
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; wrong use is one line and exit code 2, a failure one line and exit code 1."""
    try:
        code = app(arguments, standalone_mode=False)
    except NoArgsIsHelpError as error:
        print(error.ctx.get_help() if error.ctx else "", file=sys.stderr)
        code = 2
    except UsageError as error:
        command = error.ctx.command_path if error.ctx else "ringbound"
        print(f"{command}: {one_line(Exception(error.format_message()))} (see {command} --help)", file=sys.stderr)
        code = 2
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except (RingboundError, OSError) as error:
        print(f"ringbound: {one_line(error)}", file=sys.stderr)
        code = 1
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
