"""The command line for features: `ringbound features list | show | diff | compute | load | prove | replay | audit`."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ringbound import workspace
from ringbound.errors import FeatureError

if TYPE_CHECKING:
    import pandas as pd

    from ringbound.features.definition import FeatureSet
    from ringbound.features.offline import EventTables
    from ringbound.features.training import TrainingTable

CLEAN = "data/clean"
FEATURES = "data/features"
StoreOption = Annotated[
    str | None,
    typer.Option(envvar="RINGBOUND_STORE", help="The operational store's URL; by default SQLite in data/ops."),
]

app = typer.Typer(no_args_is_help=True, help="See what the features are, and prove that they are the same everywhere.")


@app.command("list")
def list_features() -> None:
    """List every feature in model order, with its hash."""
    from ringbound.features.catalog import summary

    features = _features()
    for name in features.names:
        typer.echo(f"{features.hash_of(name)}  {name}: {summary(features, name)}")
    typer.echo(f"{features.hash}  all {len(features.names)}")


@app.command()
def show(name: Annotated[str, typer.Argument(help="A feature's name.")]) -> None:
    """Show a feature's definition."""
    from ringbound.features.catalog import describe

    typer.echo(describe(_features(), name))


@app.command()
def diff(revision: Annotated[str, typer.Argument(help="A revision of this workspace, like main or HEAD~1.")]) -> None:
    """Say which definitions differ from those of a revision; prose does not count."""
    from ringbound.features.catalog import catalogue, catalogue_at, differences

    before = catalogue_at(revision, workspace.root(), workspace.package_name())
    found = differences(before, catalogue(_features()))
    typer.echo("\n".join(found) or f"the same {len(before)} definitions as {revision}")


@app.command()
def compute(
    engine: Annotated[Literal["local", "dask"], typer.Option(help="Where to compute.")] = "local",
    scheduler: Annotated[
        str | None, typer.Option(help="A Dask cluster's address; without one, dask starts its own.")
    ] = None,
) -> None:
    """Compute the training table's windowed values again, and say whether they are the same bytes."""
    import numpy as np

    from ringbound.features.engines import open_engine
    from ringbound.features.offline import asof_join

    features, tables, training, requests = training_context()
    shards = [part for _, part in requests.groupby(requests["at"].dt.strftime("%Y-%m"))]
    started = time.perf_counter()
    found = np.empty((len(requests), len(features.windowed)))
    with open_engine(engine, scheduler) as opened:
        for shard, values in zip(shards, asof_join(features, tables, shards, engine=opened), strict=True):
            found[shard.index] = np.array(list(values.values())).T
    taken = time.perf_counter() - started
    same = found.tobytes() == training.table[list(features.windowed)].to_numpy(np.float64).tobytes()
    typer.echo(
        f"{found.size:,} values in {taken:.1f} s by {engine}: {'the same bytes' if same else 'OTHER BYTES'} as {FEATURES}"
    )
    if not same:
        raise FeatureError('the training table is not what these definitions give; run "dvc repro features"')


@app.command()
def load(
    store: StoreOption = None,
    every: Annotated[bool, typer.Option("--all", help="All of it, not only what questions may look back on.")] = False,
) -> None:
    """Put the history in data/clean into the store's log, so that a service starts with it; again changes nothing."""
    from ringbound.features.online import RETAINED
    from ringbound.features.replay import Delivery, deliveries
    from ringbound.store import Store

    features = _features()
    tables, opened = _tables(features), Store(store or workspace.default_store())
    longest = max((view.longest for view in features.views), default=0)
    after = 0 if every else tables.until - longest - 2 * RETAINED
    for name in features.sources:
        _, events = deliveries(tables, name, after, tables.until, Delivery())
        accepted = 0
        for start in range(0, len(events), 10_000):
            accepted += opened.append(name, events[start : start + 10_000], clock=lambda newest: 0).accepted
        typer.echo(f"{name}: {len(events):,} events, {accepted:,} of them new to the log")


@app.command()
def prove(
    rows: Annotated[int, typer.Option(min=0, help="Rows to ask again, by chance; 0 for all.")] = 2000,
    seed: Annotated[int, typer.Option(help="Which rows.")] = 0,
) -> None:
    """Ask training rows again with only what was known then; fail naming feature, row and event that leaked."""
    from ringbound.features.prove import prove as prove_rows

    features, tables, training, requests = training_context()
    held, leaks = prove_rows(features, tables, training, requests, rows=rows, seed=seed)
    if leaks:
        first = {leak.feature: leak for leak in reversed(leaks)}
        for leak in first.values():
            typer.echo(str(leak), err=True)
        raise FeatureError(f"{len(leaks):,} of {held:,} values could not have been known, in {sorted(first)}")
    typer.echo(f"{held:,} values of {rows or len(requests):,} rows could all have been known when they were asked")


@app.command()
def replay(
    month: Annotated[str, typer.Option(help="A month like 2013-07, or all.")] = "all",
    late: Annotated[float, typer.Option(min=0, max=1, help="Share of events delivered 30 to 360 min late.")] = 0.0,
    twice: Annotated[float, typer.Option(min=0, max=1, help="Share of events delivered twice.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Which events.")] = 0,
    store: StoreOption = None,
) -> None:
    """Replay history through a store and the online path and compare every value with the offline table, bit for bit."""
    from ringbound.features.replay import Delivery
    from ringbound.features.replay import replay as replay_requests
    from ringbound.store import Store

    features, tables, training, requests = training_context()
    chosen = requests["at"].dt.strftime("%Y-%m").eq(month) if month != "all" else requests["at"].notna()
    if not chosen.any():
        raise FeatureError(
            f"replay: expected a month of {FEATURES}, like {requests['at'].iloc[0]:%Y-%m}, or all; got {month!r}"
        )
    delivery = Delivery(late=late, twice=twice, seed=seed) if late or twice else None
    with tempfile.TemporaryDirectory() as folder:
        opened = Store(store or f"sqlite:///{folder}/replay.db")
        done = replay_requests(
            features, tables, requests[chosen], training.table[chosen], opened, delivery=delivery, snapshot=None
        )
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
    from ringbound.serving.audit import audit as audit_predictions
    from ringbound.store import Store

    bundle = load_bundle(workspace.stage_input("data/models"))
    done = audit_predictions(bundle, Store(store or workspace.default_store()), newest=newest)
    others = f"; {done.others:,} were made by other models" if done.others else ""
    typer.echo(
        f"{done.predictions:,} predictions by model {bundle.version}, {done.values:,} values: "
        f"{len(done.mismatches):,} mismatches{others}"
    )
    if done.mismatches:
        raise FeatureError(f"audit: {done.mismatches[0]}")


def _features() -> "FeatureSet":
    from ringbound.features.catalog import load_features

    return load_features(workspace.package_name())


def _tables(features: "FeatureSet") -> "EventTables":
    from ringbound.features.offline import EventTables

    return EventTables(workspace.stage_input(CLEAN), features.sources)


def training_context() -> "tuple[FeatureSet, EventTables, TrainingTable, pd.DataFrame]":
    """Return the features, their events, the training table and the requests behind its rows."""
    from ringbound.features.training import read_requests, read_training_table

    features = _features()
    if not features.views:
        raise FeatureError("features: expected views; this set looks back on no events")
    folder: Path = workspace.stage_input(FEATURES)
    return features, _tables(features), read_training_table(folder, features), read_requests(folder)
