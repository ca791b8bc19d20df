"""Two models on the same unseen rows: what changed, and which changes are more than noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ringbound.errors import ModelError
from ringbound.evaluation.answers import GROUP, Evaluation
from ringbound.evaluation.by_slice import paired_slices
from ringbound.evaluation.tenths import calibration_table
from ringbound.evaluation.uncertainty import Difference, paired
from ringbound.problem.packed import from_column
from ringbound.problem.task import Task


@dataclass(frozen=True)
class Comparison:
    """What a change does. `rows` are those both models answered, with `before` and `after`, by id of the row.

    `only_before`, `only_after` and `relabelled` count the rows that could not be compared: known to one alone, or of
    another outcome. `metrics` are paired differences, `slices` the change of the mean loss by slice.
    """

    rows: pd.DataFrame
    only_before: int
    only_after: int
    relabelled: int
    metrics: dict[str, Difference]
    slices: pd.DataFrame
    calibration: dict[str, pd.DataFrame]


def compare(before: Evaluation, after: Evaluation, *, draws: int, seed: int, least_rows: int) -> Comparison:
    """Compare two models on the rows that both have answered, as a whole and by the slices that the later one has.

    `ModelError` where there is nothing to compare.
    """
    task = after.task
    if before.task.asks != task.asks:
        sides = ("a " + " of ".join([one.name, *_said(one.asks[1:])]) for one in (before.task, task))
        raise ModelError(
            f"comparison: expected models of one task; got {' and '.join(sides)}; what is asked otherwise is no better "
            "answer: promote it with --force and the reason"
        )
    joined = after.rows.merge(
        before.rows[["id", "truth", "full"]].rename(columns={"full": "before", "truth": "truth_before"}), on="id"
    ).rename(columns={"full": "after"})
    same = joined["truth"].to_numpy() == joined["truth_before"].to_numpy()
    rows = joined[same].reset_index(drop=True)
    if rows["block"].nunique() < 2:
        raise ModelError(
            f"comparison: expected rows of two blocks or more that both models answered; got {len(rows)} rows; "
            "evaluate both on the same period"
        )
    y, first, second = (from_column(rows[name]) for name in ("truth", "before", "after"))
    blocks, groups = rows["block"].to_numpy(), rows[GROUP].to_numpy() if GROUP in rows else None
    return Comparison(
        rows,
        len(before.rows) - len(joined),
        len(after.rows) - len(joined),
        int((~same).sum()),
        paired(y, first, second, blocks, task.metrics, draws=draws, seed=seed, groups=groups),
        changed_slices(rows, after.facts.slices, task=task, draws=draws, seed=seed, least_rows=least_rows),
        {
            name: calibration_table(task.came(y, p), task.single(p))
            for name, p in (("before", first), ("after", second))
        },
    )


def _said(asks: Sequence[Any]) -> list[str]:
    said = [str(part) for part in asks if part not in (None, "")]
    return [", ".join(said)] if said else []


def changed_slices(
    rows: pd.DataFrame, by: Sequence[str], *, task: Task, draws: int, seed: int, least_rows: int
) -> pd.DataFrame:
    """Return how the mean loss of compared rows changes in each slice of `by`; these slices are judged together."""
    y, first, second = (from_column(rows[name]) for name in ("truth", "before", "after"))
    named = rows.assign(loss_before=task.losses(y, first), loss_after=task.losses(y, second))
    columns = {"before": "loss_before", "after": "loss_after", "block": "block"}
    return paired_slices(named, by, **columns, draws=draws, seed=seed, least=least_rows)


def flips(rows: pd.DataFrame, before: float, after: float) -> pd.DataFrame:
    """Return the rows whose decision changes, by the thresholds of both models, those that moved most first."""
    flipped = rows[(rows["before"] >= before) != (rows["after"] >= after)]
    return flipped.iloc[np.argsort(-(flipped["after"] - flipped["before"]).abs().to_numpy(), kind="stable")]
