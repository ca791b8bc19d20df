"""Score files of any size: streamed in chunks, each kept as a part until the whole is written, so a killed run resumes."""

import io
import json
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from tqdm import tqdm

from ringbound.batch.readers import CHUNK_BYTES, CHUNK_ROWS, Chunk, input_files, json_text, read_chunks
from ringbound.batch.table import columns_from_table
from ringbound.data.conversion import Beyond, listed, numbers_of_times
from ringbound.errors import InputError
from ringbound.features.asof import LATEST
from ringbound.features.columns import Column
from ringbound.features.definition import AT
from ringbound.features.events import EventReader, stale
from ringbound.features.lookup import values_as_of
from ringbound.models.bundle import Bundle
from ringbound.models.stepping import answer_by_ladder
from ringbound.serving.reasons import explanations


@dataclass(frozen=True)
class Scored:
    """What a run did: rows written, rows with an error, lines that were no rows, parts taken over from a killed run.

    `lower` rows are answered by a lower rung than the full model.
    """

    rows: int
    errors: int
    malformed: int
    resumed: int
    lower: int = 0


def score(
    pattern: str,
    output: Path,
    bundle: Bundle,
    *,
    events: EventReader | None = None,
    explain: bool = False,
    prefix: str = "",
    progress: bool = True,
) -> Scored:
    """Score the files that `pattern` names (a path or a glob) into `output`; formats follow the suffixes.

    Every input row comes out, in order, with its columns and `probability` (or `value`), `decision`, `model_version`, the
    `rung` of the ladder that answered and the `reason` why no better one did, as a service would, and `error`, which says
    why a row was not scored; with `explain`, `explanation` says as JSON what counted most. `prefix` stands before these
    names, for rows that have been scored before. Lines of a CSV or JSON Lines file that are no rows go to
    `OUTPUT.malformed`.

    Where features look back on events, each row says `at` which time it asks, and `events` has what was known then.
    `output` appears only when it is whole; until then the work is in `OUTPUT.parts`, from which the same call continues.

    >>> from ringbound.testing import examples
    >>> rows = examples.folder() / "rows.jsonl"
    >>> questions = examples.town().questions(examples.town().parcels.tail(3))
    >>> _ = rows.write_text("".join(json.dumps(row) + "\\n" for row in questions))
    >>> output = examples.folder() / "scored.csv"
    >>> score(str(rows), output, examples.bundle(), events=examples.events(), progress=False).rows
    3
    """
    if bundle.features.views and events is None:
        raise InputError(
            "score: the model looks back on events; expected a folder or a store that has them; see --events"
        )
    inputs = input_files(pattern, output)
    added = [
        bundle.task.answer,
        *(["decision"] if bundle.task.says_decision else []),
        "model_version",
        "rung",
        "reason",
    ]
    added = [prefix + name for name in [*added, *(["explanation"] if explain else []), "error"]]
    parts = output.with_name(output.name + ".parts")
    fingerprint = _fingerprint(inputs, output, bundle, events, explain=explain, prefix=prefix)
    job = parts / "job.json"
    if not (job.is_file() and job.read_text("utf-8") == fingerprint):
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        _publish(job, fingerprint.encode())
    number = resumed = 0
    size = sum(file.stat().st_size for file in inputs)
    bar = tqdm(total=size, unit="B", unit_scale=True, desc="score", disable=not progress)
    with bar, ThreadPoolExecutor(1) as writer:  # encodes one chunk while the model works on the next
        writing: Future[None] | None = None
        for number, chunk in enumerate(read_chunks(inputs), start=1):
            if taken := [name for name in chunk.rows.column_names if name in added]:
                if number == 1:
                    shutil.rmtree(parts)
                raise InputError(
                    f"{pattern}: expected rows without the columns that scoring adds; got {taken}; "
                    "rename or drop them, or give a --prefix"
                )
            counts = parts / f"{number:06d}.json"
            if counts.is_file():
                resumed += 1
            else:
                table, counted = _scored(chunk, bundle, events, explain=explain, prefix=prefix)
                if writing:
                    writing.result()
                part = parts / f"{number:06d}{output.suffix}"
                writing = writer.submit(_write_part, table, chunk.malformed, counted, part, number == 1)
            bar.update(chunk.done - bar.n)
        if writing:
            writing.result()
    if not number:
        raise InputError(f"{pattern}: expected rows; got none")
    totals = [
        sum(column)
        for column in zip(*(json.loads(c.read_text("utf-8")) for c in parts.glob("[0-9]*.json")), strict=True)
    ]
    _join(parts, output)
    rows, errors, malformed, lower = totals
    return Scored(rows, errors, malformed, resumed, lower)


def _fingerprint(inputs: list[Path], output: Path, bundle: Bundle, events: EventReader | None, **options: Any) -> str:
    """Return what a started run must share with this one for its parts to count."""
    files = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in inputs]
    about = {"inputs": files, "output": output.name, "model": bundle.version, "chunk": [CHUNK_ROWS, CHUNK_BYTES]}
    return json.dumps(about | {"events": events.identity if events else None, "options": options})


def _scored(
    chunk: Chunk, bundle: Bundle, events: EventReader | None, *, explain: bool, prefix: str
) -> tuple[pa.Table, list[int]]:
    """Return the chunk's rows with their answers, and how many rows, errors, malformed lines and lower rungs there are."""
    asked = [replace(field, required=field.required or field is AT) for field in bundle.features.asked]
    columns, errors = columns_from_table(chunk.rows, asked, chunk.given)
    n, windowed = len(errors), None
    reasons: list[str | None] = [None] * n
    if events:
        windowed = _windowed(bundle, columns, errors, events)
        newest = {name: events.newest(name) for name in bundle.features.sources}
        reasons = stale(bundle.features.sources, newest, _times(columns))
    failed = errors != None  # noqa: E711 - elementwise
    done = answer_by_ladder(bundle, columns, windowed, reasons)
    decisions = bundle.task.decide(done.values)
    added: dict[str, Any] = {bundle.task.answer: pa.array(done.values, mask=failed)}
    if decisions is not None:
        added["decision"] = pa.array(decisions, mask=failed)
    added["model_version"] = pa.repeat(bundle.version, n)
    added["rung"] = pa.array(done.rungs, pa.string(), mask=failed)
    added["reason"] = pa.array(done.reasons, pa.string(), mask=failed)
    if explain:
        told = [None if one is None else json.dumps(one) for one in explanations(bundle, done, ~failed)]
        added["explanation"] = pa.array(told, pa.string())
    added["error"] = pa.array(errors, pa.string())
    table = chunk.rows
    for name, column in added.items():
        table = table.append_column(prefix + name, column)
    lower = int(((done.rungs != bundle.model.rungs[0]) & ~failed).sum())
    return table, [table.num_rows, int(failed.sum()), len(chunk.malformed), lower]


def _times(columns: Mapping[str, Column]) -> np.ndarray:
    """Return the times as of which rows are asked, (n,) int64 microseconds."""
    return np.asarray(columns[AT.name]).astype("datetime64[us]").astype(np.int64)


def _windowed(
    bundle: Bundle, columns: Mapping[str, Column], errors: np.ndarray, events: EventReader
) -> dict[str, np.ndarray]:
    """Return the windowed features of rows; what is asked past the end of what is known becomes an error."""
    features = bundle.features
    at = _times(columns)
    beyond = (errors == None) & (at > events.until)  # noqa: E711 - elementwise
    limit = np.datetime64(min(events.until, LATEST), "us").astype("datetime64[s]")
    errors[beyond] = f"at: expected a time up to {limit}Z, as far as events are known"
    rows = np.flatnonzero(errors == None)  # noqa: E711
    windowed = {name: np.full(len(at), np.nan) for name in features.windowed}
    if len(rows):
        keys = {name: columns[name][rows] for name in features.entities}
        for name, values in values_as_of(features, events, at[rows], keys).items():
            windowed[name][rows] = values
    return windowed


def _write_part(table: pa.Table, malformed: list[str], counted: list[int], part: Path, header: bool) -> None:
    """Write a chunk's part; the counts come last and say that all of it is there."""
    buffer = io.BytesIO()
    _WRITE[part.suffix](table, buffer, header)
    _publish(part, buffer.getbuffer())
    if malformed:
        _publish(part.with_suffix(".malformed"), ("\n".join(malformed) + "\n").encode())
    _publish(part.with_suffix(".json"), json.dumps(counted).encode())


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


def _publish(file: Path, content: bytes | memoryview) -> None:
    """Write under another name, then rename: a file that is there is whole."""
    unfinished = file.with_name(file.name + ".unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(file)


def _join(parts: Path, output: Path) -> None:
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
