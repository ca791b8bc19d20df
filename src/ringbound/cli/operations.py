"""Commands for who keeps it running: `ringbound ops status | archive | gc | container`."""

import json
import re
from typing import Annotated

import typer

from ringbound import workspace
from ringbound.cli.options import StoreOption, open_store
from ringbound.errors import WorkspaceError

app = typer.Typer(no_args_is_help=True, help="Keep what runs in order.")


@app.command()
def status(
    window: Annotated[str, typer.Option(help="How far back to look, like 90min, 24h or 7d.")] = "24h",
    store: StoreOption = None,
) -> None:
    """Say on one screen what answered of late and how fast, what serves, how old each source's news is, and who may ask."""
    import pandas as pd

    from ringbound.features.view import microseconds
    from ringbound.problem.declaration import load_problem
    from ringbound.rollout.view import status_lines
    from ringbound.store import WALL, instant

    opened, since = open_store(store), WALL.now() - microseconds(window)
    answered = [
        {
            "model": one.model_version,
            "rung": one.rung,
            "reason": one.reason or "",
            "answers": one.answers,
            "outcomes": one.outcomes,
            "mean ms": round(one.mean_us / 1000, 1),
            "longest ms": round(one.longest_us / 1000),
            "last": instant(one.last)[:19],
        }
        for one in opened.answered(since)
    ]
    typer.echo(pd.DataFrame(answered).to_string(index=False) if answered else f"no answers in the last {window}")
    end = opened.end()
    typer.echo(f"log: position {end.position:,}, newest event {instant(end.newest)[:19] if end.newest else 'none'}")
    for name, source in sorted(load_problem(workspace.problem_entry()).features.sources.items()):
        newest = opened.newest(name, source.lateness_us)
        behind = (
            "no events" if newest is None else f"{((end.newest or newest) - newest) / 3.6e9:.1f} h behind the newest"
        )
        limit = f", stale after {source.stale}" if source.stale else ""
        typer.echo(f"  {name}: {behind}{limit}")
    for name in opened.environments():
        typer.echo(f"{name}: {status_lines(opened.facts(name))[0]}")
    keys = opened.all_keys()
    hold = sum(key.revoked_at is None for key in keys)
    says = f"keys: {hold} hold, {len(keys) - hold} revoked" + ("" if hold else "; nobody may ask")
    typer.echo(says if keys else "keys: none; where a service listens to this machine alone, anybody here may ask")


@app.command()
def archive(
    older_than: Annotated[str, typer.Option(help="The age from which answers are moved, like 90d or 36h.")] = "90d",
    store: StoreOption = None,
) -> None:
    """Move old answers with their outcomes and seals out of the store into Parquet by month, which is read like it.

    Events stay: windows, replays and receipts are made of them.
    """
    from ringbound.features.view import microseconds
    from ringbound.release.publication import state
    from ringbound.store import WALL

    age = microseconds(older_than)
    opened = open_store(store)
    before = max(0, WALL.now() - age)
    on = [now.rollout.start.seq for name in opened.environments() if (now := state(opened, name)).rollout]
    done, pairs = opened.put_away(before), opened.drop_pairs(before, on)
    typer.echo(
        f"{done.predictions:,} predictions, {done.outcomes:,} outcomes and {done.seals:,} seals moved to "
        + str(workspace.archive_folder())
        + (f"; {pairs:,} comparisons of roll-outs deleted, whose decisions stay" if pairs else "")
    )


@app.command()
def gc(
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without, it is only said.")] = False,
    older_than: Annotated[str, typer.Option(help="The age from which caches of runs go, like 30d.")] = "30d",
) -> None:
    """Say what can go: caches, copies, and outputs of commits that no version, branch or tag names. --yes removes it."""
    from ringbound.features.view import microseconds
    from ringbound.release.registry import open_registry
    from ringbound.release.retention import sweeping

    days = microseconds(older_than) / 8.64e10
    with sweeping(open_registry(workspace.root()), older_than_days=days) as found:
        for one in found.wastes:
            typer.echo(f"{one.size / 1e6:>10,.1f} MB  {one.what}, {len(one.paths):,}; {one.means}")
        for line in [*found.losses, *found.notes]:
            typer.echo(f"  {line}")
        if not found.wastes:
            typer.echo("nothing can go")
        elif yes:
            typer.echo(f"{found.clear() / 1e6:,.1f} MB are free")
        else:
            typer.echo(f"{found.size / 1e6:,.1f} MB would be free; --yes removes it")


@app.command()
def container(
    tag: Annotated[str, typer.Option(help="What the image is called, like shop:v3.")] = "ringbound",
    environment: Annotated[
        str, typer.Option(help="Of what this environment has, like prod; by default of what the workspace made.")
    ] = "",
) -> None:
    """Build an image that serves, for who is not root: the Bento and what it needs, with a bill of that in data/ops."""
    from ringbound.release.registry import fetch_version, open_registry
    from ringbound.serving.image import bill_of_materials, build_image
    from ringbound.workspace import layout

    if not re.fullmatch(r"[a-z0-9]+([._/-]+[a-z0-9]+)*(:[\w][\w.-]{0,127})?", tag):
        raise WorkspaceError(f"--tag: expected the name of an image, like shop:v3; got {tag!r}")
    root = workspace.root()
    if environment:
        archive = fetch_version(open_registry(root), environment) / layout.BENTO
    else:
        archive = workspace.stage_input(layout.BENTO)
    build_image(archive, root, tag)
    bill = (root / layout.STORE).parent / f"{tag.replace('/', '-').replace(':', '-')}.cdx.json"
    bill.parent.mkdir(parents=True, exist_ok=True)
    bill.write_text(json.dumps(bill_of_materials(tag), indent=1), "utf-8")
    typer.echo(
        f"{tag}: docker run --read-only --tmpfs /tmp:exec -e BENTOML_HOME=/tmp/bentoml -p 127.0.0.1:3000:3000 {tag}"
    )
