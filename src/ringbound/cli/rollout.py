"""Commands for roll-outs: `ringbound rollout start | status | stop | history | settle | publish`."""

import secrets
from typing import Annotated

import typer

from ringbound import workspace
from ringbound.cli.options import PROD, EnvironmentOption, StoreOption, open_store
from ringbound.errors import FeatureError, RolloutError

app = typer.Typer(no_args_is_help=True, help="Bring a version to those who ask, in steps that stop by themselves.")


@app.command()
def start(
    version: Annotated[str, typer.Argument(help="A version of the registry, like v3.")],
    environment: EnvironmentOption = PROD,
    steps: Annotated[
        str, typer.Option(help="Shares of keys that get its answers, one after the other; shadow is none.")
    ] = "shadow,5%,25%,100%",
    hold: Annotated[str, typer.Option(help="How long each step lasts at least, like 30s, 10min or 2d.")] = "1h",
    rows: Annotated[int, typer.Option(min=0, help="How many rows each step sees at least.")] = 1000,
    key: Annotated[
        str,
        typer.Option(
            help="The field by which a row keeps its arm, like a customer; by default a ranking's group, else equal rows do."
        ),
    ] = "",
    slower: Annotated[float, typer.Option(help="How many times as long as the champion is slow.")] = 2.0,
    apart: Annotated[str, typer.Option(help="The share of rows on which the two may decide differently.")] = "25%",
    differ: Annotated[
        float | None, typer.Option(help="By how much answers have to differ to be different, instead of by decisions.")
    ] = None,
    alpha: Annotated[float, typer.Option(help="The chance with which an equal challenger may be stopped.")] = 0.05,
    salt: Annotated[
        str, typer.Option(help="What keys are mixed with; by default something new, so that others are in it.")
    ] = "",
    promote: Annotated[
        bool, typer.Option("--promote", help="After the last step it serves alone, where its verdict allows.")
    ] = False,
    store: StoreOption = None,
) -> None:
    """Begin: the version answers beside the champion, in shadow or to a share of keys, and is judged at every moment."""
    from ringbound.problem.declaration import load_problem
    from ringbound.release.publication import begin
    from ringbound.release.registry import open_registry
    from ringbound.rollout.plan import Plan

    root = workspace.root()
    problem = load_problem(workspace.problem_entry(root))
    fields = [field.name for field in problem.features.asked]
    key = key or (problem.group if problem.group in fields else "")
    if key and key not in fields:
        raise RolloutError(f"--key: expected a field of a row, one of {', '.join(fields)}; got {key!r}")
    plan = Plan(
        steps=tuple(_share(step, "--steps") for step in steps.split(",")),
        hold_s=_seconds(hold),
        rows=rows,
        key=key,
        salt=salt or secrets.token_hex(8),
        slower=slower,
        apart=_share(apart, "--apart"),
        differ=differ,
        alpha=alpha,
        promote=promote,
    )
    begun = begin(open_store(store), open_registry(root), environment, version, plan)
    typer.echo(f"{environment}: {begun.version} answers beside what serves; see ringbound rollout status")


@app.command()
def status(environment: EnvironmentOption = PROD, store: StoreOption = None) -> None:
    """Say what serves, how far a roll-out has come, and what is known against the challenger."""
    from ringbound.rollout.view import status_lines

    for line in status_lines(open_store(store).facts(environment)):
        typer.echo(line)


@app.command()
def stop(
    reason: Annotated[str, typer.Option(help="Why; kept for good.")],
    environment: EnvironmentOption = PROD,
    store: StoreOption = None,
) -> None:
    """End the roll-out that is on: from now on the champion answers all."""
    from ringbound.release.publication import state

    if not reason.strip():
        raise RolloutError("--reason: expected words that say why; got none")
    opened = open_store(store)
    now = state(opened, environment)
    if now.rollout is None:
        raise RolloutError(f"{environment}: expected a roll-out that is on; there is none")
    begun = now.rollout.start
    about = {"version": begun.version, "model": begun.model, "code": begun.code}
    if opened.add_fact(environment, "stop", details={"why": reason}, last=now.last, **about) is None:
        raise RolloutError(f"{environment}: something else was decided just now; look at ringbound rollout status")
    typer.echo(f"{environment}: the roll-out of {begun.version} is stopped")


@app.command()
def history(environment: EnvironmentOption = PROD, store: StoreOption = None) -> None:
    """Show what was decided, when and why."""
    from ringbound.rollout.view import history_lines

    lines = history_lines(open_store(store).facts(environment, looks=False))
    typer.echo("\n".join(lines) if lines else f"{environment}: nothing was decided yet")


@app.command()
def publish(environment: EnvironmentOption = PROD, store: StoreOption = None) -> None:
    """Let the services serve what the registry has; a roll-out that is on ends."""
    from ringbound.release.publication import publish as publish_version
    from ringbound.release.publication import version_to_publish
    from ringbound.release.registry import open_registry

    version = version_to_publish(open_registry(workspace.root()), environment)
    publish_version(open_store(store), environment, version, "as the registry has it")
    typer.echo(f"{environment}: {version.version} is to serve")


@app.command()
def settle(environment: EnvironmentOption = PROD, store: StoreOption = None) -> None:
    """Write down in the registry what a roll-out has promoted."""
    from ringbound.release.publication import settle as settle_registry
    from ringbound.release.registry import open_registry

    given = settle_registry(open_store(store), open_registry(workspace.root()), environment)
    typer.echo(f"{environment} has {given}" if given else f"{environment}: the registry has what serves")


def _seconds(text: str) -> float:
    """Return how long a step lasts: seconds like 30s, or what windows are written as."""
    from ringbound.features.view import microseconds

    plain = text.strip()
    if plain.endswith("s") and plain[:-1].isdecimal():
        return float(plain[:-1])
    try:
        return microseconds(plain) / 1e6
    except FeatureError:
        raise RolloutError(f"--hold: expected a time like 30s, 10min, 3h or 2d; got {text!r}") from None


def _share(text: str, option: str) -> float:
    """Return a share as it is written: shadow, 5% or 0.05."""
    plain = text.strip()
    try:
        return 0.0 if plain == "shadow" else float(plain[:-1]) / 100 if plain.endswith("%") else float(plain)
    except ValueError:
        raise RolloutError(f"{option}: expected shares like shadow, 5% or 0.05; got {plain!r}") from None
