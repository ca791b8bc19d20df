"""What a model would have answered to rows of a training table, put into a store as if it had."""

import numpy as np
import orjson

from ringbound.features.definition import AT
from ringbound.features.frames import instants, plain_rows
from ringbound.features.history import PAST
from ringbound.models.bundle import Bundle
from ringbound.problem.packed import kept_outcomes, pack
from ringbound.problem.training import Rows
from ringbound.store import Outcome, Prediction, Store

BATCH = 2000


def put_into(
    store: Store,
    bundle: Bundle,
    rows: Rows,
    known: np.ndarray | None,
    versions: np.ndarray | None = None,
    numbers: np.ndarray | None = None,
) -> None:
    """Record what a bundle answers to rows, and what came of them, as it was `known`, in microseconds since 1970, (n,).

    Without `known`, nothing came. By their `numbers` (n,) rows are told apart; by default they are counted.
    """
    X = bundle.full.encoder.matrix(rows.features)
    task = bundle.task
    answers, at, y = bundle.full.answer_matrix(X), instants(rows.table[AT.name]), rows.y
    singles, packed = task.single(answers), pack(task, answers)
    decided = None if task.classes else task.decide(answers)
    order = np.argsort(at, kind="stable")
    ids = [f"{number:08x}" for number in (np.arange(len(rows)) if numbers is None else numbers).tolist()]
    asked, values = questions(rows), kept_outcomes(task, y)
    predictions = [
        Prediction(
            prediction_id=ids[row],
            made_at=int(at[row]),
            at=int(at[row]),
            position=0,
            model_version=bundle.version if versions is None else str(versions[row]),
            features=bundle.features.hash,
            answer=float(singles[row]),
            row=asked[row],
            vector=X[row].tobytes(),
            decision=None if decided is None else bool(decided[row]),
            answers=packed[row],
        )
        for row in order.tolist()
    ]
    for start in range(0, len(predictions), BATCH):
        store.record(predictions[start : start + BATCH])
    if known is None:
        return
    outcomes = [
        Outcome(ids[row], int(known[row]), float(values[row])) for row in order.tolist() if not np.isnan(y[row])
    ]
    for start in range(0, len(outcomes), BATCH):
        store.tell(outcomes[start : start + BATCH], PAST)


def questions(rows: Rows) -> list[str]:
    """Return the questions behind rows as a store keeps them: JSON of the request's fields."""
    fields = rows.problem.features.request
    frame = rows.requests[[field.name for field in fields]]
    times = {f.name: frame[f.name].dt.strftime("%Y-%m-%dT%H:%M:%SZ") for f in fields if f.kind == "timestamp"}
    return [orjson.dumps(row).decode() for row in plain_rows(frame.assign(**times))]
