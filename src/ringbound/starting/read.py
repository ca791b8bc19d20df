"""A table as it came: CSV, JSON Lines or Parquet, each column's values, and by which conventions they are written."""

import csv
import glob
import gzip
import json
import zlib
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ringbound.data.files import Files
from ringbound.data.sources import columns_of_records
from ringbound.errors import SourceError, one_line

SEPARATORS = ",;\t|"
FIRST_ROWS = 50
"""Rows by which it is judged what separates fields."""


def read_raw(path: Path) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Return each column's values as they came, and how they were read."""
    name = path.name
    try:
        if name.endswith(".parquet"):
            table = pq.read_table(path)
            return {column: table[column] for column in table.column_names}, {}
        if name.endswith((".jsonl", ".ndjson")):
            return _records(path), {}
        return _csv(path)
    except (pa.ArrowException, OSError, EOFError, BadZipFile, zlib.error) as error:
        raise SourceError(f"{name}: cannot be read: {one_line(error)}") from error


def _records(path: Path) -> dict[str, list[Any]]:
    records = []
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path.name}: expected UTF-8; byte {error.start} is not; store it as UTF-8") from error
    for line in filter(str.strip, text.split("\n")):
        with suppress(ValueError, RecursionError):  # ingest puts such a line aside, with the reason
            record = json.loads(line)
            records += [record] if isinstance(record, dict) else []
    if not records:
        raise SourceError(f"{path.name}: expected an object on each line; none is")
    return columns_of_records(records, dict.fromkeys(name for record in records for name in record))


def _csv(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    options: dict[str, Any] = {}
    for encoding in ("utf-8", "cp1252"):
        try:
            separator = max(SEPARATORS, key=lambda mark: _fits(path, mark, encoding))
            header = _header(path, separator, encoding)
            options = {"separator": separator} if separator != "," else {}
            options |= {"encoding": encoding} if encoding != "utf-8" else {}
            declared = dict.fromkeys(header, "string")
            rows = Files(path.with_name(glob.escape(path.name)), declared, **options).read(None, pd.Timestamp.max).rows
            return {column: pa.array(rows[column], pa.string(), from_pandas=True) for column in declared}, options
        except UnicodeDecodeError:
            continue
        except SourceError as error:
            if "text; byte" not in str(error):
                raise
        except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
            raise SourceError(f"{path.name}: cannot be read as CSV: {one_line(error)}") from error
    raise SourceError(f"{path.name}: expected text in UTF-8 or Windows-1252; store it as UTF-8")


def _fits(path: Path, separator: str, encoding: str) -> tuple[bool, int]:
    """Return whether most of the first rows have as many fields as the header, more than one, and how many these are."""
    with ExitStack() as opened, suppress(csv.Error):
        file: Any = opened.enter_context(path.open("rb"))
        if path.suffix == ".gz":
            file = opened.enter_context(gzip.GzipFile(fileobj=file))
        if path.suffix == ".zip":
            packed = opened.enter_context(ZipFile(file))
            file = opened.enter_context(packed.open(packed.namelist()[0]))
        lines = TextIOWrapper(file, encoding, newline="")
        header, *rows = [*islice(csv.reader(lines, delimiter=separator), FIRST_ROWS)] or [[]]
        agree = sum(len(row) == len(header) for row in rows if row)
        return len(header) > 1 and agree >= 0.9 * sum(map(bool, rows)), len(header)
    return False, 0


def _header(path: Path, separator: str, encoding: str) -> list[str]:
    options: Any = {"header": None, "nrows": 1, "dtype": str, "keep_default_na": False}
    return list(pd.read_csv(path, sep=separator, encoding=encoding, **options).iloc[0])
