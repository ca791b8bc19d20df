"""Commands for features: `ringbound features list | show | diff | compute | load | prove | replay | audit`."""

import tempfile
import time
from typing import TYPE_CHECKING, Annotated

import typer

from ringbound import workspace
from ringbound.cli.options import EngineOption, SchedulerOption, StoreOption, open_store
from ringbound.errors import FeatureError
from ringbound.workspace import layout

if TYPE_CHECKING:
    from ringbound.problem.declaration import Problem
    from ringbound.proofs.history import History

app = typer.Typer(no_args_is_help=True, help="See what the features are, and prove that they are the same everywhere.")


@app.command("list")
def list_features() -> None:
    """List every feature in model order, with its hash."""
    from ringbound.problem.catalog import summary

    features = _problem().features
    for name in features.names:
        typer.echo(f"{features.hash_of(name)}  {name}: {summary(features, name)}")
    typer.echo(f"{features.hash}  all {len(features.names)}")


@app.command()
def show(name: Annotated[str, typer.Argument(help="A feature's name.")]) -> None:
    """Show a feature's definition."""
    from ringbound.problem.catalog import describe

    typer.echo(describe(_problem().features, name))


@app.command()
def diff(revision: Annotated[str, typer.Argument(help="A revision of this workspace, like main or HEAD~1.")]) -> None:
    """Say which definitions differ from those of a revision; prose does not count."""
    from ringbound.problem.catalog import catalogue, catalogue_at, differences

    before = catalogue_at(revision, workspace.root())
    changes = differences(before, catalogue(_problem().features))
    typer.echo("\n".join(changes) or f"the same {len(before)} definitions as {revision}")


@app.command()
def compute(
    engine: EngineOption = "local",
    scheduler: SchedulerOption = "",
) -> None:
    """Compute the training table's windowed values again, and say whether they are the same bytes."""
    from ringbound.proofs.recompute import recompute

    history = _history()
    started = time.perf_counter()
    done = recompute(history, engine=engine, scheduler=scheduler)
    taken = time.perf_counter() - started
    verdict = "the same bytes" if done.same else "OTHER BYTES"
    typer.echo(f"{done.values:,} values in {taken:.1f} s by {engine}: {verdict} as {layout.FEATURES}")
    if not done.same:
        raise FeatureError('the training table is not what these definitions give; run "dvc repro features"')


@app.command()
def load(
    store: StoreOption = None,
    every: Annotated[bool, typer.Option("--all", help="All of it, not only what questions may look back on.")] = False,
) -> None:
    """Put the history in data/clean into the store's log, so that a service starts with it; again changes nothing."""
    from ringbound.features.history import load_history
    from ringbound.features.offline import EventTables
    from ringbound.features.online import RETAINED
    from ringbound.store import Store

    features = _problem().features
    tables = EventTables(workspace.stage_input(layout.CLEAN), features.sources)
    opened = Store(store or workspace.default_store())
    for name, lookback in features.lookback.items():
        after = 0 if every else tables.until - lookback - 2 * RETAINED
        sent, accepted = load_history(tables, opened, name, after)
        typer.echo(f"{name}: {sent:,} events, {accepted:,} of them new to the log")


@app.command()
def prove(
    rows: Annotated[int, typer.Option(min=0, help="Rows to ask again, by chance; 0 for all.")] = 2000,
    seed: Annotated[int, typer.Option(help="Which rows.")] = 0,
) -> None:
    """Ask training rows again with only what was known then; fail naming feature, row and event that leaked."""
    from ringbound.proofs.leakage import prove as prove_rows

    history = _history()
    done = prove_rows(history, rows=rows, seed=seed)
    if done.leaks:
        first = {leak.feature: leak for leak in reversed(done.leaks)}
        for leak in first.values():
            typer.echo(str(leak), err=True)
        raise FeatureError(
            f"{len(done.leaks):,} of {done.values:,} values could not have been known, in {sorted(first)}"
        )
    asked = min(rows, len(history.requests)) or len(history.requests)
    typer.echo(
        f"{done.values:,} values of {asked:,} rows keep to the declared times of being known, "
        "by the `available_at` of each event"
    )


@app.command()
def replay(
    month: Annotated[str, typer.Option(help="A month like 2013-07, or all.")] = "all",
    late: Annotated[float, typer.Option(min=0, max=1, help="Share of events delivered 30 to 360 min late.")] = 0.0,
    twice: Annotated[float, typer.Option(min=0, max=1, help="Share of events delivered twice.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Which events.")] = 0,
    store: StoreOption = None,
) -> None:
    """Replay history through a store and the online path and compare every value with the offline table, bit for bit."""
    from ringbound.features.history import Delivery
    from ringbound.proofs.replay import replay as replay_requests
    from ringbound.store import Store

    history = _history()
    at = history.requests["at"]
    chosen = at.dt.strftime("%Y-%m").eq(month) if month != "all" else at.notna()
    if not chosen.any():
        raise FeatureError(
            f"replay: expected a month of {layout.FEATURES}, like {at.iloc[0]:%Y-%m}, or all; got {month!r}"
        )
    delivery = Delivery(late=late, twice=twice, seed=seed) if late or twice else None
    with tempfile.TemporaryDirectory() as folder:
        opened = Store(store or f"sqlite:///{folder}/replay.db")
        done = replay_requests(history.where(chosen.to_numpy()), opened, delivery=delivery)
    typer.echo(
        f"{done.events:,} events, {done.rows:,} requests, {done.values:,} values: "
        f"{done.mismatches:,} mismatches of online with offline"
    )
    if done.mismatches:
        raise FeatureError(f"replay: {done.first}")


@app.command()
def audit(
    newest: Annotated[int, typer.Option(min=1, help="How many of the latest predictions.")] = 1000,
    store: StoreOption = None,
) -> None:
    """Recompute the vectors that predictions were made from, out of the log, and report mismatches."""
    from ringbound.models.bundle import load_bundle
    from ringbound.proofs.audit import audit as audit_predictions

    bundle = load_bundle(workspace.stage_input(layout.MODELS))
    done = audit_predictions(bundle, open_store(store), newest=newest)
    others = f"; {done.others:,} were made by other models" if done.others else ""
    typer.echo(
        f"{done.predictions:,} predictions by model {bundle.version}, {done.values:,} values: "
        f"{len(done.mismatches):,} mismatches{others}"
    )
    if done.mismatches:
        raise FeatureError(f"audit: {done.mismatches[0]}")


def _problem() -> "Problem":
    from ringbound.problem.declaration import load_problem

    return load_problem(workspace.problem_entry())


def _history() -> "History":
    from ringbound.proofs.history import read_history

    return read_history(_problem(), workspace.stage_input(layout.CLEAN), workspace.stage_input(layout.FEATURES))
