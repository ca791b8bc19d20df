"""The training table on disk: a Parquet file a month, and what it was made with."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ringbound.errors import FeatureError
from ringbound.features.columns import Column, Reference
from ringbound.features.definition import FeatureSet
from ringbound.features.frames import columns_of


@dataclass(frozen=True)
class TrainingTable:
    """A training table read back: `table` has features among its columns, `sha256` is the digest of its files."""

    table: pd.DataFrame
    names: list[str]
    references: dict[str, Reference]
    sha256: str

    def features(self, rows: pd.DataFrame) -> dict[str, Column]:
        """Return the features of some of the table's rows as columns."""
        return columns_of(rows[self.names])


def write_training_table(
    table: pd.DataFrame,
    *,
    month: pd.Series,
    requests: pd.DataFrame,
    features: FeatureSet,
    references: Mapping[str, Reference],
    out: Path,
) -> None:
    """Write `table` (id, time, label, … and every feature) as one Parquet file a `month`, and what it was made with.

    `requests` are the questions behind the rows, in the same order: they are kept so that values can be recomputed.
    """
    missing = [name for name in features.names if name not in table]
    if missing:
        raise FeatureError(f"training table: missing features {missing}; got {list(table.columns)}")
    for folder, frame in {"table": table, "requests": requests}.items():
        (out / folder).mkdir(parents=True, exist_ok=True)
        for name, part in frame.groupby(month, sort=True):
            rows = pa.Table.from_pandas(part, preserve_index=False).replace_schema_metadata(None)
            pq.write_table(rows, out / folder / f"{name}.parquet")
    made_with = {
        "hash": features.hash,
        "names": features.names,
        "references": {name: references[name].to_json() for name in features.references},
    }
    (out / "features.json").write_text(json.dumps(made_with, sort_keys=True) + "\n", "utf-8")


def read_training_table(folder: Path, features: FeatureSet) -> TrainingTable:
    """Read a training table; `FeatureError` where it was made with another definition than `features`."""
    content = (folder / "features.json").read_bytes()
    made_with = json.loads(content)
    if made_with["hash"] != features.hash:
        raise FeatureError(
            f'training table: made with features {made_with["hash"]}; defined are {features.hash}; run "dvc repro features"'
        )
    files = sorted((folder / "table").glob("*.parquet"))
    digest = hashlib.sha256(content)
    for file in files:
        digest.update(file.read_bytes())
    references = {name: Reference.from_json(plain) for name, plain in made_with["references"].items()}
    return TrainingTable(
        pd.concat([pd.read_parquet(f) for f in files], ignore_index=True),
        features.names,
        references,
        digest.hexdigest(),
    )


def read_requests(folder: Path) -> pd.DataFrame:
    """Read the questions behind a training table's rows, in the same order."""
    return pd.concat([pd.read_parquet(f) for f in sorted((folder / "requests").glob("*.parquet"))], ignore_index=True)
