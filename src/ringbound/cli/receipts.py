"""Commands for the records of answers: `ringbound receipts show | verify | check`."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from ringbound import workspace
from ringbound.cli.options import EventsOption, StoreOption, open_store
from ringbound.errors import BundleError, InputError, StoreError
from ringbound.workspace import layout

app = typer.Typer(
    no_args_is_help=True, help="Say what an answer was made of, make it again, and find records that were changed."
)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="The prediction's id.")], store: StoreOption = None
) -> None:
    """Print everything that is known of an answer as JSON: lineage, values, explanation, outcomes, the proof of its seal."""
    from ringbound.release.lookup import find_bundle
    from ringbound.serving.receipts import receipt

    opened = open_store(store)
    kept = opened.find([name]).get(name)
    if kept is None:
        raise StoreError(f"receipts: expected the id of a prediction in the store; there is none {name!r}")
    try:
        bundles = [find_bundle(workspace.root(), kept.model_version)]
    except BundleError as error:
        typer.echo(f"{error}; values and explanation are left out", err=True)
        bundles = []
    typer.echo(json.dumps(receipt(bundles, opened, name), indent=1))


@app.command()
def verify(
    name: Annotated[str, typer.Argument(metavar="ID", help="The prediction's id.", show_default=False)] = "",
    sample: Annotated[int, typer.Option(min=0, help="How many of the latest predictions instead.")] = 0,
    store: StoreOption = None,
) -> None:
    """Make answers again from their records and the log: identical, or which step differs."""
    from ringbound.proofs.receipts import verify as verify_records
    from ringbound.release.lookup import find_bundle

    if bool(name) == bool(sample):
        raise typer.BadParameter("expected the id of a prediction or --sample N, one of them")
    opened, root = open_store(store), workspace.root()
    found = opened.predictions(sample) if sample else list(opened.find([name]).values())
    if not found:
        what = "no predictions" if sample else f"none of the id {name!r}"
        raise StoreError(f"receipts: expected predictions to verify; the store has {what}")
    done = verify_records(opened, found, lambda version: find_bundle(root, version))
    wrong = [one for one in done if one.step]
    rungs = ", ".join(f"{number:,} {rung}" for rung, number in Counter(one.rung for one in found).most_common())
    typer.echo(f"{len(done) - len(wrong):,} of {len(done):,} predictions identical ({rungs})")
    for one in wrong[:10]:
        typer.echo(f"{one.prediction_id}: {one.step} differs: {one.says}")
    if wrong:
        raise StoreError(f"receipts: {len(wrong):,} of {len(done):,} are not what was recorded")


@app.command()
def check(store: StoreOption = None) -> None:
    """Hold every record against its seal, and every seal against the one before it; what was changed or dropped is named."""
    from ringbound.proofs.receipts import check_seals

    done = check_seals(open_store(store))
    if not done.seals:
        raise StoreError("receipts: expected a store with sealed records; this one has none; see --store")
    typer.echo(f"{done.records:,} records under {done.seals:,} seals: {len(done.wrong):,} wrong")
    if done.unsealed:
        typer.echo(f"{done.unsealed:,} more are under no seal: from before there were seals, or written by no service")
    for says in done.wrong[:10]:
        typer.echo(says)
    if done.wrong:
        raise StoreError(f"receipts: {len(done.wrong):,} records or seals are not what was written")


@app.command()
def rescore(
    output: Annotated[Path, typer.Argument(help="A file that `ringbound score` wrote, with its receipt beside it.")],
    input: Annotated[str, typer.Option(help="What it was made of: the same file or quoted glob.")],
    events: EventsOption = layout.CLEAN,
) -> None:
    """Make a scored file again and hold it against what was written: identical, or which step differs."""
    from ringbound.batch.readers import input_files
    from ringbound.batch.receipt import BatchReceipt, differs
    from ringbound.batch.score import score
    from ringbound.features.reader import open_events
    from ringbound.models.bundle import Bundle
    from ringbound.release.lookup import find_bundle

    def again(target: Path, bundle: Bundle, **options: Any) -> None:
        reader = open_events(events, bundle.features.sources) if bundle.features.views else None
        score(input, target, bundle, events=reader, progress=False, **options)

    root = workspace.root()
    step, says = differs(output, input_files(input, output), lambda version: find_bundle(root, version), again)
    if step:
        raise InputError(f"receipts: {step} differ: {says}" if step != "output" else f"receipts: {says}")
    receipt = BatchReceipt.read(BatchReceipt.beside(output))
    typer.echo(f"{receipt.rows:,} rows identical ({', '.join(f'{n:,} {rung}' for rung, n in receipt.answers.items())})")
