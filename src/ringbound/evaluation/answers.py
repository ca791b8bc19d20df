"""What a model answered on rows it has not seen, kept so that two models can be compared without running either.

rows.parquet       one row each: id, block, period, truth, of a ranking its group, the answers of the baseline and of every
                   rung, and what it may be sliced by
features.parquet   the same rows' features, so that another model can be asked about them too
about.json         whose answers these are: see `EvaluationFacts`
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ringbound.errors import ModelError
from ringbound.features.columns import Column
from ringbound.features.frames import columns_of
from ringbound.models.baseline import baseline_answers
from ringbound.models.facts import ModelFacts
from ringbound.problem.declaration import PRIOR
from ringbound.problem.packed import as_column
from ringbound.problem.task import Task
from ringbound.problem.tasks import task_from_json
from ringbound.problem.training import Rows, with_features
from ringbound.workspace.records import Record

FACTS = "about.json"
GROUP = "ranked_within"
COLUMNS = ("id", "block", "period", "truth", "baseline", GROUP)
"""Which row it is, what it is resampled by, the month by which it was split, what came out, and what a model must beat; of a
ranking, what it is put in order within."""


@dataclass(frozen=True)
class EvaluationFacts(Record):
    """Whose answers these are: the model, the period they are of, its rungs, by what they may be sliced and are guarded.

    `learnt_until` and `period` are months, like 2013-07, which sort by time; `stretch` blocks in a row are alike;
    `baseline` is the name of what a model is to beat.
    """

    format: ClassVar[int] = 5
    made_by: ClassVar[str] = "dvc repro evaluate"

    version: str
    features: str
    task: dict[str, Any]
    learnt_until: str
    period: tuple[str, str]
    rungs: list[str]
    baseline: str
    slices: list[str]
    guarded: list[str]
    stretch: int


@dataclass(frozen=True)
class Evaluation:
    """`rows` has id, block, period, truth, a column per rung and one per slice; `features` are theirs."""

    rows: pd.DataFrame
    features: dict[str, Column]
    facts: EvaluationFacts

    @cached_property
    def task(self) -> Task:
        """The task of the model."""
        return task_from_json(self.facts.task)

    def of_baseline(self) -> "Evaluation":
        """Return the evaluation of what a first model must beat."""
        facts = replace(self.facts, version=f"{self.facts.baseline} of {self.facts.version}")
        return Evaluation(self.rows.assign(full=self.rows["baseline"]), self.features, facts)


def lowest_rung(rungs: Iterable[str]) -> str:
    """Return the rung that a model must beat at least: the prior, or what there is at the bottom.

    >>> lowest_rung(["full", "reduced", "default"])
    'default'
    """
    names = list(rungs)
    return PRIOR if PRIOR in names else names[-1]


def write_evaluation(
    folder: Path, rows: Rows, answers: Mapping[str, np.ndarray], slices: pd.DataFrame, model: ModelFacts
) -> None:
    """Write an evaluation: `answers` by rung, (n,) each, the full one first, and what the n rows are sliced by.

    >>> from ringbound import slices_of
    >>> from ringbound.testing import examples
    >>> rows, result = examples.later(), examples.evaluation()
    >>> folder = examples.folder() / "evaluation"
    >>> write_evaluation(folder, rows, result.answers, slices_of(rows, examples.past()), examples.bundle().model)
    >>> read_evaluation(folder).facts.rungs
    ['full', 'reduced', 'default']
    """
    clash = {*answers, *COLUMNS} & set(slices)
    if clash or slices.columns.has_duplicates:
        taken = sorted({*answers, *COLUMNS})
        raise ModelError(f"evaluation: expected slices named otherwise than {taken}; got {list(slices)}")
    lowest = lowest_rung(answers)
    below = baseline_answers(rows.problem, rows.features, answers[lowest])
    about = {"id": rows.ids, "block": rows.blocks, "period": rows.months, "truth": rows.y, "baseline": below}
    about |= {} if rows.groups is None else {GROUP: rows.groups}
    columns = {**about, **answers}
    table = pd.DataFrame({name: as_column(np.asarray(values)) for name, values in columns.items()})
    table = pd.concat([table, slices.astype(str).reset_index(drop=True)], axis=1)
    folder.mkdir(parents=True, exist_ok=True)
    features = with_features(pd.DataFrame(index=range(len(rows))), rows.features)
    for name, frame in {"rows": table, "features": features}.items():
        packed = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        pq.write_table(packed, folder / f"{name}.parquet")
    EvaluationFacts(
        version=model.version,
        features=model.features,
        task=model.task,
        learnt_until=model.learnt.last,
        period=rows.period,
        rungs=list(answers),
        baseline=lowest if rows.problem.baseline == PRIOR else rows.problem.baseline,
        slices=[str(name) for name in slices],
        guarded=list(rows.problem.guarded),
        stretch=rows.problem.stretch,
    ).write(folder / FACTS)


def read_evaluation(folder: Path) -> Evaluation:
    """Read an evaluation back."""
    facts = EvaluationFacts.read(folder / FACTS)
    for name in ("rows.parquet", "features.parquet"):
        if not (folder / name).is_file():
            raise ModelError(f'expected an evaluation in {folder.name}/; it has no {name}; run "dvc repro evaluate"')
    rows, features = (pd.read_parquet(folder / f"{name}.parquet") for name in ("rows", "features"))
    return Evaluation(rows, columns_of(features), facts)
