"""Commands that answer: `ringbound score | serve`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ringbound import workspace
from ringbound.cli.options import EngineOption, EventsOption, SchedulerOption, StoreOption
from ringbound.errors import WorkspaceError
from ringbound.workspace import layout


def score(
    input: Annotated[str, typer.Option(help="A file or a quoted glob: CSV, JSON Lines or Parquet, by suffix.")],
    output: Annotated[Path, typer.Option(help="The file to write; its suffix gives the format.")],
    bundle: Annotated[
        Path | None, typer.Option(help=f"The model bundle; by default the workspace's {layout.MODELS}.")
    ] = None,
    events: EventsOption = layout.CLEAN,
    explain: Annotated[bool, typer.Option("--explain", help="Say of each row what counted most.")] = False,
    prefix: Annotated[
        str, typer.Option(help="What stands before the names of added columns, for rows that were scored before.")
    ] = "",
    engine: EngineOption = "local",
    scheduler: SchedulerOption = "",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Score files in batch, with the same bits as online; a killed run goes on where it was."""
    from ringbound.batch.readers import input_files
    from ringbound.batch.score import score as score_files
    from ringbound.features.reader import open_events
    from ringbound.models.bundle import load_bundle

    input_files(input, output)  # a wrong path is said before models and events are looked for
    loaded = load_bundle(bundle or workspace.stage_input(layout.MODELS))
    reader = open_events(events, loaded.features.sources) if loaded.features.views else None
    done = score_files(
        input,
        output,
        loaded,
        events=reader,
        explain=explain,
        prefix=prefix,
        engine=engine,
        scheduler=scheduler,
        progress=not quiet,
    )
    notes = [f"{done.rows + done.malformed:,} rows read, {done.rows:,} of them written to {output}"]
    notes += [f"{done.errors:,} not scored: see column error"] if done.errors else []
    notes += [f"{done.lower:,} answered by a lower rung: see column reason"] if done.lower else []
    notes += [f"{done.malformed:,} were no rows: see {output.name}.malformed"] if done.malformed else []
    notes += [f"{done.resumed:,} parts taken over from a run that was stopped"] if done.resumed else []
    typer.echo("; ".join(notes))


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 3000,
    store: StoreOption = None,
    clock: Annotated[
        Literal["wall", "event"],
        typer.Option(help="Now: by this machine's clock, or by the newest event, for replays."),
    ] = "wall",
    step_h: Annotated[
        float, typer.Option(help="On the event clock: the hours by which one event may move the present.")
    ] = 24.0,
    deadline_ms: Annotated[
        float,
        typer.Option(help="Milliseconds after which a lower rung answers, which needs neither store nor full model."),
    ] = 250.0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that answer.")] = 1,
    tls_cert: Annotated[Path | None, typer.Option(help="The certificate to serve HTTPS with, in PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, in PEM.")] = None,
    log: Annotated[
        Literal["text", "json"], typer.Option(envvar="RINGBOUND_LOG", help="How what is logged is written.")
    ] = "text",
    traces: Annotated[
        str, typer.Option(envvar="RINGBOUND_TRACES", help="A collector of OpenTelemetry, like http://127.0.0.1:4318.")
    ] = "",
    environment: Annotated[
        str,
        typer.Option(
            help="Serve what this environment has, like prod, and follow it; by default what the workspace made."
        ),
    ] = "",
) -> None:
    """Serve the packaged model over HTTP until stopped."""
    from ringbound.release.registry import open_registry
    from ringbound.serving.bento import serve as serve_archive
    from ringbound.serving.settings import ServiceSettings, is_loopback
    from ringbound.store import Store

    root = workspace.root()
    url = store or workspace.default_store()
    settings = ServiceSettings(
        bundle=root / layout.MODELS,
        store=url,
        clock=clock,
        workers=workers,
        snapshot=root / layout.SNAPSHOT,
        archive=workspace.archive_folder(),
        keys=root / layout.KEYS,
        step_h=step_h,
        deadline_ms=deadline_ms,
        open=is_loopback(host),
        tls_cert=tls_cert and tls_cert.absolute(),
        tls_key=tls_key and tls_key.absolute(),
        log=log,
        traces=traces,
        environment=environment,
    )
    if not Store(url).all_keys():  # what is not a store is refused before anything listens
        if not settings.open:
            raise WorkspaceError(
                f"serve: expected keys before it listens on {host}, where others reach it; there are none; "
                'run "ringbound keys add", or serve on 127.0.0.1'
            )
        typer.echo(f"no keys: anybody on this machine may ask, at {host}:{port}; see ringbound keys add", err=True)
    if environment:
        from ringbound.release.publication import publish, state, version_to_publish

        version, opened = version_to_publish(open_registry(root), environment), Store(url)
        now = state(opened, environment)
        if now.champion is None:
            publish(opened, environment, version, "as the registry has it", last=now.last)
        elif now.champion.code != version.code:
            typer.echo(
                f"{environment}: {now.champion.version} serves, while the registry has {version.version}; "
                "see ringbound rollout settle",
                err=True,
            )
        archive = root / layout.FETCHED / version.version / layout.BENTO
    else:
        archive = workspace.stage_input(layout.BENTO)
    serve_archive(archive, root, host=host, port=port, settings=settings)
