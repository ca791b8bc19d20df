"""Parts of an output: each written under another name, then renamed, so that one that is there is whole; then joined."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from ringbound.batch.readers import json_text
from ringbound.data.conversion import Beyond, listed, numbers_of_times


def write_part(table: pa.Table, malformed: list[str], counted: Any, part: Path, *, header: bool) -> None:
    """Write a chunk's part; the counts come last and say that all of it is there."""
    buffer = io.BytesIO()
    _WRITE[part.suffix](table, buffer, header)
    publish(part, buffer.getbuffer())
    if malformed:
        publish(part.with_suffix(".malformed"), ("\n".join(malformed) + "\n").encode())
    publish(part.with_suffix(".json"), json.dumps(counted).encode())


def _write_csv(table: pa.Table, buffer: io.BytesIO, header: bool) -> None:
    for place, field in enumerate(table.schema):
        if pa.types.is_nested(field.type) or _is_bytes(field.type):
            texts = [json_text(_readable(value)) for value in table[field.name].to_pylist()]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    pyarrow.csv.write_csv(table, buffer, pyarrow.csv.WriteOptions(include_header=header, quoting_style="needed"))


def _readable(value: Any) -> Any:
    """Return a value of Parquet as JSON has it: bytes as text, what else JSON has not as it shows itself."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value if value is None or isinstance(value, str) else json.loads(json.dumps(value, default=_plain))


def _plain(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _is_bytes(kind: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(test(kind) for test in tests)


def _write_json(table: pa.Table, buffer: io.BytesIO, header: bool) -> None:
    for place, field in enumerate(table.schema):
        if pa.types.is_temporal(field.type) and any(isinstance(value, Beyond) for value in listed(table[field.name])):
            table = table.set_column(place, field.name, numbers_of_times(table[field.name]))
    for record in table.to_pylist():
        buffer.write(json.dumps(record, ensure_ascii=False, default=_plain).encode() + b"\n")


def _write_arrow(table: pa.Table, buffer: io.BytesIO, header: bool) -> None:
    with pa.ipc.new_file(buffer, table.schema) as writer:  # encoded as Parquet once, when all parts are there
        writer.write_table(table)


_WRITE = {".csv": _write_csv, ".jsonl": _write_json, ".parquet": _write_arrow}


def publish(file: Path, content: bytes | memoryview) -> None:
    """Write a file under another name, then rename it."""
    unfinished = file.with_name(file.name + ".unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(file)


def join(parts: Path, output: Path) -> None:
    """Make the output of its parts, and of their malformed lines the file beside it; the parts are gone then."""
    whole = parts / "whole"
    pieces = sorted(parts.glob(f"[0-9]*{output.suffix}"))
    if output.suffix == ".parquet":
        with pq.ParquetWriter(whole, pa.ipc.open_file(pieces[0]).schema) as writer:
            for piece in pieces:
                with pa.memory_map(str(piece)) as mapped:
                    writer.write_table(pa.ipc.open_file(mapped).read_all())
    else:
        _concatenate(pieces, whole)
    malformed = sorted(parts.glob("*.malformed"))
    if malformed:
        _concatenate(malformed, parts / "aside")
        (parts / "aside").replace(output.with_name(output.name + ".malformed"))
    else:  # those of an earlier run are not of this one
        output.with_name(output.name + ".malformed").unlink(missing_ok=True)
    whole.replace(output)
    shutil.rmtree(parts)


def _concatenate(pieces: list[Path], whole: Path) -> None:
    with whole.open("wb") as out:
        for piece in pieces:
            with piece.open("rb") as opened:
                shutil.copyfileobj(opened, out, 1 << 20)
