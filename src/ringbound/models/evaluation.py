"""What a model answered on rows it has not seen, kept so that two models can be compared without running either.

rows.parquet       a row each: id, block, truth, every rung's answer, and the columns it may be sliced by
features.parquet   the same rows' features, so that another model can be asked about them too
about.json         whose answers these are, what they were learnt on, and by what they may be sliced
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ringbound.errors import ModelError
from ringbound.features.columns import Category, Column
from ringbound.features.frames import columns_of
from ringbound.models.metrics import PROBABILITY_METRICS, REGRESSION_METRICS, Metric


@dataclass(frozen=True)
class Evaluation:
    """`rows` has id, block, truth, a column a rung and one a slice; `features` are theirs; `about` is about.json."""

    rows: pd.DataFrame
    features: dict[str, Column]
    about: dict[str, Any]

    @property
    def rungs(self) -> list[str]:
        """The rungs of the ladder that have answers, best first."""
        return self.about["rungs"]

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics of the task."""
        return PROBABILITY_METRICS if self.about["task"] == "classification" else REGRESSION_METRICS

    def as_full(self, rung: str) -> "Evaluation":
        """Return the evaluation of a model that answers what this one's `rung` does."""
        if rung not in self.rungs:
            raise ModelError(f"evaluation: expected a rung of {self.rungs}; got {rung!r}")
        about = self.about | {"version": f"{rung} of {self.about['version']}"}
        return Evaluation(self.rows.assign(full=self.rows[rung]), self.features, about)


def write_evaluation(
    folder: Path,
    *,
    ids: Sequence[Any],
    block: Sequence[Any],
    truth: np.ndarray,
    answers: Mapping[str, np.ndarray],
    slices: Mapping[str, Sequence[Any]],
    period: tuple[str, str],
    facts: Mapping[str, Any],
    features: Mapping[str, Column],
) -> None:
    """Write an evaluation, (n,) each: `answers` by rung, the full one first, `facts` of the bundle that answered.

    `block` names what rows are drawn by in a bootstrap: the day, the person. `period` is the first and the last day of
    the rows, as the bundle's provenance writes days.
    """
    table = {
        "id": ids,
        "block": block,
        "truth": truth,
        **answers,
        **{n: [str(v) for v in vs] for n, vs in slices.items()},
    }
    rows = pd.DataFrame({name: np.asarray(values) for name, values in table.items()})
    if repeated := int(rows["id"].duplicated().sum()):
        raise ModelError(f"evaluation: expected each id once; {repeated} come again")
    if len(table) != 3 + len(answers) + len(list(slices)):
        raise ModelError(f"evaluation: expected distinct names; got rungs {list(answers)} and slices {list(slices)}")
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: c.texts() if isinstance(c, Category) else c for name, c in features.items()}
    for name, frame in {"rows": rows, "features": pd.DataFrame(kept)}.items():
        packed = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        pq.write_table(packed, folder / f"{name}.parquet")
    about = {
        "version": facts["version"],
        "features": facts["features"]["hash"],
        "task": facts["task"],
        "threshold": facts["threshold"],
        "learnt_until": facts["provenance"]["last_day"],
        "period": list(period),
        "rungs": list(answers),
        "slices": list(slices),
    }
    (folder / "about.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")


def read_evaluation(folder: Path) -> Evaluation:
    """Read an evaluation back."""
    for name in ("about.json", "rows.parquet", "features.parquet"):
        if not (folder / name).is_file():
            raise ModelError(f'expected an evaluation in {folder.name}/; it has no {name}; run "dvc repro evaluate"')
    about = json.loads((folder / "about.json").read_text("utf-8"))
    rows, features = (pd.read_parquet(folder / f"{name}.parquet") for name in ("rows", "features"))
    return Evaluation(rows, columns_of(features), about)
