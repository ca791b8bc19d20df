"""Rows from files: CSV, zipped or gzipped CSV, JSON Lines, Parquet."""

import codecs
import gzip
import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from ringbound.data.counting import BLOCK_BYTES, UNCLOSED, count_csv
from ringbound.data.sources import Reading, check_declared, columns_of_records, rejected_rows, typed
from ringbound.data.values import MISSING, whole
from ringbound.errors import SourceError, one_line


@dataclass(frozen=True)
class Files:
    """Rows from files at `path` (a path or a glob): CSV, zipped or gzipped CSV, JSON Lines or Parquet, by suffix.

    Values follow the rule of `ringbound.data.values`; texts in `missing` count as missing, and times without an offset are
    on the clock of `zone`, or refused without one. A CSV file has its fields apart by `separator`, and numbers with the
    `decimal` mark.
    """

    path: str | Path
    columns: dict[str, str] = field(hash=False)
    encoding: str = "utf-8"
    missing: Sequence[str] = MISSING
    zone: str | None = None
    separator: str = ","
    decimal: str = "."
    incremental = False

    def __post_init__(self):
        check_declared(self.describe(), self.missing, self.zone)
        for what, mark in (("separator", self.separator), ("decimal", self.decimal)):
            if len(mark) != 1 or not mark.isascii():
                raise SourceError(f"{self.describe()}: expected one character as {what}; got {mark!r}")
        try:
            "".encode(self.encoding)
        except LookupError:
            raise SourceError(
                f"{self.describe()}: expected an encoding of text, like utf-8 or cp1252; got {self.encoding!r}"
            ) from None

    def describe(self) -> str:
        """Return the file name or pattern, without the folder, which differs from machine to machine."""
        return Path(self.path).name

    def read(self, since: pd.Timestamp | None, through: pd.Timestamp) -> Reading:
        """Read every file that the path names, in order of name; `since` and `through` are left to the caller."""
        pattern = Path(self.path)
        files = sorted(pattern.parent.glob(pattern.name)) if any(c in pattern.name for c in "*?[") else [pattern]
        if not files or not files[0].exists():
            raise SourceError(f"expected a file {self.describe()}; found none; check the path in the ingest notebook")
        digest, frames, rejects = hashlib.sha256(), [], []
        for file in files:
            content = file.read_bytes()
            digest.update(content)
            if not content:
                raise SourceError(f"{file.name}: expected rows; the file is empty; fetch it again")
            raw, malformed = self._parse(file.name, content)
            frame, untyped = typed(raw, self.columns, file.name, missing=self.missing, zone=self.zone)
            frames.append(frame)
            several = f"{file.name}, " if len(files) > 1 else ""
            rejects += [part.assign(place=several + part["place"]) for part in (malformed, untyped)]
        return Reading(pd.concat(frames, ignore_index=True), pd.concat(rejects, ignore_index=True), digest.hexdigest())

    def _parse(self, name: str, content: bytes) -> tuple[Mapping[str, Any], pd.DataFrame]:
        nothing = rejected_rows(name, [], [], [])
        try:
            if name.endswith(".zip"):
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    members = [m for m in archive.namelist() if not m.endswith("/") and not _LEAVINGS.search(m)]
                    if len(members) != 1:
                        raise SourceError(f"{name}: expected one file in it; got {members[:5]}; unpack it")
                    return self._parse(members[0], archive.read(members[0]))
            if name.endswith(".gz"):
                return self._parse(name.removesuffix(".gz"), gzip.decompress(content))
            if name.endswith(".parquet"):
                return _unique(name, pq.read_table(io.BytesIO(content)), self.columns), nothing
            if name.endswith((".jsonl", ".ndjson")):
                return _parse_json_lines(name, content, self.encoding, list(self.columns))
            if name.endswith(".csv"):
                return self._parse_csv(name, content)
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{name}: expected {self.encoding} text; byte {error.object[error.start]:#04x} at {error.start} is not; "
                "declare the encoding in the source"
            ) from error
        except (
            pa.ArrowException,
            OSError,
            EOFError,
            ValueError,
            RuntimeError,
            zlib.error,
            zipfile.BadZipFile,
        ) as error:
            raise SourceError(f"{name}: cannot be read whole: {one_line(error)}; fetch the file again") from error
        raise SourceError(f"{name}: expected .csv, .csv.zip, .csv.gz, .jsonl or .parquet; got another suffix")

    def _parse_csv(self, name: str, content: bytes) -> tuple[Mapping[str, Any], pd.DataFrame]:
        text = content.decode(self.encoding)  # pyarrow's own message does not say where
        raw = io.BytesIO(text.encode())
        count = count_csv(raw, self.separator)
        if count.broken:
            raise SourceError(f"{name}: line {count.broken}: {UNCLOSED}")
        places, reasons, rows = [], [], []

        def keep(row: pyarrow.csv.InvalidRow) -> str:
            places.append(f"line {row.number}" if row.number is not None else "")
            reasons.append(f"expected {row.expected_columns} fields, got {row.actual_columns}")
            rows.append(row.text)
            return "skip"

        table = pyarrow.csv.read_csv(
            raw,
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=max(BLOCK_BYTES, 2 * count.longest)),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self.separator, invalid_row_handler=keep, newlines_in_values=count.quoted
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={column: pa.string() for column in self.columns},
                null_values=[],
            ),
        )
        columns = _unique(name, table, self.columns)
        if count.rows != len(table) + len(rows):
            raise SourceError(
                f"{name}: {count.rows} rows went in and {len(table) + len(rows)} came out; a mistake of ours"
            )
        if self.decimal != ".":
            for column, kind in self.columns.items():
                if kind == "number" and column in columns:
                    columns[column] = _with_point(columns[column], self.decimal)
        return columns, rejected_rows(name, places, reasons, rows)


_LEAVINGS = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|\._)")
"""What a Mac puts into an archive beside the files."""


def _unique(name: str, table: pa.Table, columns: Mapping[str, str]) -> dict[str, Any]:
    """Return a table's columns by name; `SourceError` where a declared one is there twice."""
    if twice := sorted({column for column in columns if table.column_names.count(column) > 1}):
        raise SourceError(f"{name}: expected each column once; got {twice} several times; rename or drop the others")
    return dict(zip(table.column_names, table.columns, strict=True))


def _with_point(texts: pa.ChunkedArray, decimal: str) -> pa.ChunkedArray:
    """Return numbers with a decimal point; one that has a point already is left to be refused."""
    pointed = pc.match_substring(texts, ".")
    turned = pc.replace_substring(texts, decimal, ".")
    return pc.if_else(pointed, pc.binary_join_element_wise(texts, "?", ""), turned)


def _parse_json_lines(
    name: str, content: bytes, encoding: str, columns: Sequence[str]
) -> tuple[Mapping[str, Any], pd.DataFrame]:
    if codecs.lookup(encoding).name != "utf-8":
        content = content.decode(encoding).encode()
    content = content.removeprefix(codecs.BOM_UTF8)
    if content.lstrip().startswith(b"[") and _is_array(content):
        raise SourceError(
            f"{name}: expected a JSON object on each line; the file is one array; write one object a line"
        )
    records, places, rows = [], [], []
    for number, line in enumerate(content.split(b"\n"), start=1):  # other separators may stand in a text
        if line.strip():
            record = parse_object(line)
            if record is not None:
                records.append(record)
            else:
                places.append(f"line {number}")
                rows.append(line.decode("utf-8", "backslashreplace").removesuffix("\r"))
    rejected = rejected_rows(name, places, ["expected a JSON object, each key in it once"] * len(rows), rows)
    return columns_of_records(records, columns), rejected


def _is_array(content: bytes) -> bool:
    try:
        return isinstance(json.loads(content, parse_int=whole), list)
    except (ValueError, RecursionError):
        return False


def parse_object(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object of one line of UTF-8; None where it is none, or nested too deeply to be one.

    >>> parse_object(b'{"a": 1}'), parse_object(b"[1]"), parse_object(b"\\xff")
    ({'a': 1}, None, None)
    """
    try:
        record = json.loads(line.decode(), parse_int=whole, object_pairs_hook=each_once)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return JSON's object; `ValueError` where a key is there twice, since one value would go without a word."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key is there twice")
    return made
