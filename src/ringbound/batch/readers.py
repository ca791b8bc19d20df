"""The rows of a file of any size, chunk by chunk, as they will be written again."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from ringbound.data.counting import UNCLOSED, count_csv
from ringbound.data.files import parse_object
from ringbound.errors import InputError, one_line

CHUNK_ROWS = 65_536
CHUNK_BYTES = 8 << 20
SUFFIXES = (".csv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Chunk:
    """Some rows of the input, the lines among them that are no rows, and how many bytes of the input are done.

    `rows` are as they are written again; `given` has the values of JSON, by column, as they came.
    """

    rows: pa.Table
    malformed: list[str]
    done: int
    given: Mapping[str, list[Any]] | None = None


def input_files(pattern: str, output: Path) -> list[Path]:
    """Return the files that `pattern` names, in order; refuse what cannot be scored into `output`."""
    files = [Path(p) for p in sorted(glob(pattern))] if has_magic(pattern) else [Path(pattern)]  # noqa: PTH207
    if not files or not all(file.is_file() for file in files):
        raise InputError(f"expected files at {pattern}; found none; check the path")
    for file in (*files, output):
        if file.suffix not in SUFFIXES:
            raise InputError(f"{file.name}: expected one of {', '.join(SUFFIXES)}; got {file.suffix or 'no suffix'!r}")
    if output.resolve() in {file.resolve() for file in files}:
        raise InputError(f"{output.name}: expected an output that is not an input; give another name")
    if not output.parent.is_dir():
        raise InputError(f"expected the folder of {output.name} to exist; make it first")
    return files


def read_chunks(inputs: list[Path]) -> Iterator[Chunk]:
    """Read the inputs one after the other; all must have the columns of the first."""
    before, columns = 0, None
    for file in inputs:
        size = file.stat().st_size
        if not size:
            raise InputError(f"{file.name}: expected rows; the file is empty")
        reader = {".csv": csv_chunks, ".jsonl": json_chunks, ".parquet": parquet_chunks}[file.suffix]
        try:
            for chunk in reader(file, size):
                columns = columns or chunk.rows.column_names
                if twice := sorted({name for name in columns if columns.count(name) > 1}):
                    raise InputError(
                        f"{file.name}: expected each column once; got {twice} several times; rename or drop the others"
                    )
                if chunk.rows.column_names != columns:
                    raise InputError(f"{file.name}: expected columns {columns}; got {chunk.rows.column_names}")
                yield replace(chunk, done=before + chunk.done)
        except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{file.name}: cannot be read whole: {one_line(error, 200)}; correct the file and run again"
            ) from error
        before += size


def csv_chunks(file: Path, size: int) -> Iterator[Chunk]:
    malformed: list[str] = []

    def keep(row: pyarrow.csv.InvalidRow) -> str:
        malformed.append(row.text)
        return "skip"

    with file.open("rb") as raw:
        count, done = count_csv(raw), 0
        if count.broken:
            raise InputError(f"{file.name}: line {count.broken}: {UNCLOSED}")
        block = pyarrow.csv.ReadOptions(block_size=max(CHUNK_BYTES, 2 * count.longest), use_threads=False)
        skip = pyarrow.csv.ParseOptions(invalid_row_handler=lambda row: "skip", newlines_in_values=count.quoted)
        with file.open("rb") as first:  # of its own, since the reader goes on reading ahead
            names = pyarrow.csv.open_csv(first, read_options=block, parse_options=skip).schema.names
        raw.seek(0)
        with pyarrow.csv.open_csv(
            raw,
            read_options=block,
            parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=keep, newlines_in_values=count.quoted),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: pa.string() for name in names}, strings_can_be_null=True, null_values=[""]
            ),
        ) as reader:
            for batch in reader:
                done += batch.num_rows + len(malformed)
                yield Chunk(pa.Table.from_batches([batch]), malformed.copy(), min(raw.tell(), size))
                malformed.clear()
        if malformed:  # and not one row
            done += len(malformed)
            yield Chunk(pa.table({name: pa.array([], pa.string()) for name in names}), malformed.copy(), size)
    if count.rows != done:
        raise InputError(f"{file.name}: {count.rows} rows went in and {done} came out; a mistake of ours")


def json_chunks(file: Path, size: int) -> Iterator[Chunk]:
    names: dict[str, None] = {}
    if size > CHUNK_BYTES:  # a name may first come anywhere
        with file.open("rb") as raw:
            for line in raw:
                names.update(dict.fromkeys(parse_object(_without_mark(line)) or {}))
    found, malformed = False, []
    with file.open("rb") as raw:
        while lines := raw.readlines(CHUNK_BYTES):
            records = []
            for line in lines:
                record = parse_object(_without_mark(line))
                if record is not None:
                    records.append(record)
                elif line.strip():
                    malformed.append(line.decode("utf-8", "replace").rstrip("\n"))
            found = found or bool(records)
            if not found:  # and so no names of columns: what is no row waits for the first that is one
                continue
            names.update(dict.fromkeys(name for record in records for name in record))
            given = {json_text(name) or "": [record.get(name) for record in records] for name in names}
            columns = {name: pa.array(map(json_text, values), pa.string()) for name, values in given.items()}
            yield Chunk(pa.table(columns), malformed, raw.tell(), given)
            malformed = []
    if not found:
        raise InputError(f"{file.name}: expected a JSON object on each line, in UTF-8; no line is one")


def _without_mark(line: bytes) -> bytes:
    return line.removeprefix(b"\xef\xbb\xbf")


def json_text(value: object) -> str | None:
    """Return a value as it is written again: a text as it is, but for halves of surrogate pairs, all else as JSON."""
    text = value if value is None or isinstance(value, str) else json.dumps(value)
    return text if text is None else text.encode("utf-8", "backslashreplace").decode("utf-8")


def parquet_chunks(file: Path, size: int) -> Iterator[Chunk]:
    with pq.ParquetFile(file) as opened:
        rows = 0
        for batch in opened.iter_batches(CHUNK_ROWS):
            rows += batch.num_rows
            yield Chunk(pa.Table.from_batches([batch]), [], size * rows // opened.metadata.num_rows)
