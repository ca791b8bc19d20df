"""What an answer costs in microseconds, rung by rung, the look-up of events included; and so what the cascade saves."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from ringbound.evaluation.answers import Evaluation
from ringbound.evaluation.latency import one_row_us
from ringbound.features.definition import AT
from ringbound.features.frames import columns_of, instants, plain_rows
from ringbound.features.offline import EventTables
from ringbound.features.online import OnlineFeatures
from ringbound.models.bundle import Bundle
from ringbound.models.cascade import Cascade, frontier
from ringbound.models.ladder import SHARES
from ringbound.problem.metrics import auc


def rung_costs(bundle: Bundle, tables: EventTables, requests: pd.DataFrame) -> dict[str, float]:
    """Return each rung's median time for one of these requests, from its columns to the answer, in microseconds.

    Only the full model looks events up; the others compute no more features than they take.
    """
    features = bundle.features
    times = instants(requests[AT.name])
    online = OnlineFeatures(features)
    present = int(times.max())
    events = {name: tables.read(name, online.needs(name, present), present, ids=True) for name in features.sources}
    online.load(events, 0, present)
    online.oldest = int(times.min())
    rows = plain_rows(requests)
    columns = [columns_of(requests.iloc[i : i + 1]) for i in range(len(requests))]

    def full(row: int) -> object:
        (keyed,) = features.keyed([rows[row]])
        windowed = dict(zip(features.windowed, online.values(int(times[row]), keyed)[:, None], strict=True))
        return bundle.full.answer(features.compute(columns[row], bundle.references, windowed))

    calls: dict[str, Callable[[int], object]] = {"full": full}
    needs = {"reduced": bundle.reduced.encoder.names if bundle.reduced else [], "default": features.plain[:1]}
    needs["prior"] = list(bundle.prior.widths) if bundle.prior else []
    for name, answer in bundle.rungs.items():
        if name != "full":
            calls[name] = _plain_call(bundle, answer, needs[name], columns)
    return one_row_us(calls, len(rows))


def _plain_call(bundle: Bundle, answer: Callable, names: list[str], columns: list[dict]) -> Callable[[int], object]:
    return lambda row: answer(bundle.features.compute(columns[row], bundle.references, names=names))


def cascade_costs(bundle: Bundle, evaluation: Evaluation, costs: dict[str, float]) -> pd.DataFrame:
    """Return the frontier on unseen rows: share that asks the full model, mean µs a row, auc, loss, and what is carried.

    Empty where the bundle has no reduced model, or its answers are no probabilities.
    """
    task = bundle.task
    if "reduced" not in costs or not task.probabilities:
        return pd.DataFrame(columns=["share", "auc", "loss", "carried", "us"])
    rows = evaluation.rows
    y, cheap, full = (rows[name].to_numpy("float64") for name in ("truth", "reduced", "full"))
    points = frontier(cheap, task.losses(y, cheap), task.losses(y, full), SHARES)
    if bundle.cascade:
        points.loc[len(points)] = [bundle.cascade.low, bundle.cascade.high, np.nan, np.nan]
    asked = [Cascade(low, high).asks_costly(cheap) for low, high in zip(points["low"], points["high"], strict=True)]
    mixed = [np.where(mask, full, cheap) for mask in asked]
    table = pd.DataFrame(
        {
            "share": [mask.mean() for mask in asked],
            "auc": [auc(y, p, np.ones(len(y))) for p in mixed],
            "loss": [task.losses(y, p).mean() for p in mixed],
            "carried": [False] * len(SHARES) + [True] * (len(points) - len(SHARES)),
        }
    )
    if not bundle.cascade:
        table.loc[len(SHARES) - 1, "carried"] = True
    # Where the full model answers every row, the cheap one is not asked first.
    table["us"] = np.where(table["share"] < 1, costs["reduced"], 0) + table["share"] * costs["full"]
    return table.sort_values("share", kind="stable")
