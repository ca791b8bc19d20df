"""Tables on disk: one folder a table, one Parquet file a month, the same bytes for the same rows."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ringbound.errors import SourceError

ARROW_TYPES = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as pandas, whole numbers staying whole where values are missing."""
    return table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get)


def read_table(folder: Path, name: str, months: list[str] | None = None) -> pd.DataFrame:
    """Read the table `name` below `folder`, all its partitions or those of `months` (like `2013-07`), in order.

    >>> from ringbound.testing import examples
    >>> arrivals = read_table(examples.events().folder, "arrivals", months=["2020-03"])
    >>> arrivals["available_at"].min().month
    3
    """
    files = sorted((folder / name).glob("*.parquet"))
    chosen = [f for f in files if months is None or f.stem in months]
    if not chosen:
        raise SourceError(
            f"expected partitions {months or 'of any month'} of {name}; found {[f.stem for f in files]}; "
            f"rows that could not be read are in {folder.name}/rejected.parquet, with the reason"
        )
    return to_pandas(pa.concat_tables([pq.read_table(f) for f in chosen]))


PARTITION = "__partition"
"""The column that says which partition a row came from, where that is asked for."""


def read_partitions(folder: Path, name: str) -> pd.DataFrame:
    """Read the whole table `name` below `folder`; the column `PARTITION` names each row's partition."""
    parts = [
        to_pandas(pq.read_table(f)).assign(**{PARTITION: f.stem}) for f in sorted((folder / name).glob("*.parquet"))
    ]
    if not parts:
        raise SourceError(f'expected partitions of {name} in {folder.name}/; found none; run "dvc repro ingest"')
    return pd.concat(parts, ignore_index=True)


def write_partition(rows: pd.DataFrame, columns: dict[str, str] | None, file: Path) -> None:
    """Write one Parquet file; with `columns`, in exactly these columns and types."""
    file.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in columns.items()]) if columns else None
    frame = rows[list(columns)] if columns else rows
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(table, file)
