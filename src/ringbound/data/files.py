"""Rows from files: CSV, zipped or gzipped CSV, JSON Lines, Parquet."""

import gzip
import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from ringbound.data.sources import Reading, rejected_rows, typed
from ringbound.data.tables import to_pandas
from ringbound.errors import SourceError, one_line

MISSING = ["", "NA", "NaN", "null"]


@dataclass(frozen=True)
class Files:
    """Rows from files at `path` (a path or a glob): CSV, zipped or gzipped CSV, JSON Lines or Parquet, by suffix."""

    path: str | Path
    columns: dict[str, str] = field(hash=False)
    encoding: str = "utf-8"
    incremental = False

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
            frame, untyped = typed(raw, self.columns, file.name)
            frames.append(frame)
            several = f"{file.name}, " if len(files) > 1 else ""
            rejects += [part.assign(place=several + part["place"]) for part in (malformed, untyped)]
        return Reading(pd.concat(frames, ignore_index=True), pd.concat(rejects, ignore_index=True), digest.hexdigest())

    def _parse(self, name: str, content: bytes) -> tuple[pd.DataFrame, pd.DataFrame]:
        nothing = rejected_rows(name, [], [], [])
        try:
            if name.endswith(".zip"):
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    (member,) = archive.namelist()
                    return self._parse(member, archive.read(member))
            if name.endswith(".gz"):
                return self._parse(name.removesuffix(".gz"), gzip.decompress(content))
            if name.endswith(".parquet"):
                return to_pandas(pq.read_table(io.BytesIO(content))), nothing
            if name.endswith((".jsonl", ".ndjson")):
                return _parse_json_lines(name, content.decode(self.encoding))
            if name.endswith(".csv"):
                return self._parse_csv(name, content)
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{name}: expected {self.encoding} text; byte {error.object[error.start]:#04x} at {error.start} is not; "
                "declare the encoding in the source"
            ) from error
        except (pa.ArrowInvalid, OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
            raise SourceError(f"{name}: cannot be read whole: {one_line(error)}; fetch the file again") from error
        raise SourceError(f"{name}: expected .csv, .csv.zip, .csv.gz, .jsonl or .parquet; got another suffix")

    def _parse_csv(self, name: str, content: bytes) -> tuple[pd.DataFrame, pd.DataFrame]:
        content.decode(self.encoding)  # pyarrow's own message does not say where
        places, reasons, rows = [], [], []

        def keep(row: pyarrow.csv.InvalidRow) -> str:
            places.append(f"line {row.number}")
            reasons.append(f"expected {row.expected_columns} fields, got {row.actual_columns}")
            rows.append(row.text)
            return "skip"

        header = content.split(b"\n", 1)[0].decode(self.encoding)
        table = pyarrow.csv.read_csv(
            io.BytesIO(content),
            read_options=pyarrow.csv.ReadOptions(use_threads=False, encoding=self.encoding),
            parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=keep, newlines_in_values='"' in header),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={column: pa.string() for column in self.columns},
                strings_can_be_null=True,
                null_values=MISSING,
            ),
        )
        return table.to_pandas(), rejected_rows(name, places, reasons, rows)


def _parse_json_lines(name: str, text: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    records, places, rows = [], [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            record = None
        if isinstance(record, dict):
            records.append(record)
        else:
            places.append(f"line {number}")
            rows.append(line)
    return pd.DataFrame.from_records(records), rejected_rows(name, places, ["expected a JSON object"] * len(rows), rows)
