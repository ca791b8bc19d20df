"""Score files of any size: streamed in chunks, each kept as a part until the whole is written, so a killed run resumes."""

import json
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from ringbound.batch.readers import CHUNK_BYTES, CHUNK_ROWS, Chunk, input_files, read_chunks
from ringbound.batch.receipt import BatchReceipt, FileDigest, receipt_of
from ringbound.batch.table import columns_from_table
from ringbound.batch.writers import join, publish, write_part
from ringbound.compute.engines import in_turn
from ringbound.compute.workers import Submit, open_workers
from ringbound.errors import InputError
from ringbound.features.asof import LATEST
from ringbound.features.columns import Column
from ringbound.features.definition import AT
from ringbound.features.events import EventReader, stale
from ringbound.features.lookup import values_as_of
from ringbound.models.bundle import Bundle
from ringbound.models.stepping import answer_by_ladder, doubts
from ringbound.serving.reasons import explanations

READING = threading.Lock()
"""Readers of events keep what they have read, and are for one thread at a time."""
AHEAD = 4
"""Chunks that are handed out beyond the one that is waited for."""


@dataclass(frozen=True)
class Scored:
    """What a run did: rows written, rows with an error, lines that were no rows, parts taken over from a killed run.

    `answers` counts the rows that are answered by rung and, where it was not the best one, reason; `lower` are the latter.
    """

    rows: int
    errors: int
    malformed: int
    resumed: int
    answers: Mapping[str, int] = field(default_factory=dict)
    lower: int = 0


def score(
    pattern: str,
    output: Path,
    bundle: Bundle,
    *,
    events: EventReader | None = None,
    explain: bool = False,
    prefix: str = "",
    engine: str = "local",
    scheduler: str = "",
    progress: bool = True,
) -> Scored:
    """Score the files that `pattern` names (a path or a glob) into `output`; formats follow the suffixes.

    Every input row comes out, in order, with its columns and `probability` (or `value`, with the ends `low` and
    `high` of its interval; of classes `probability NAME` each, and the `set` that is to hold the outcome), `decision`,
    `model_version`, the `rung` of the ladder that answered and the `reason` why no better one did, as a service would, and
    `error`, which says why a row was not scored; with `explain`, `explanation` says as JSON what counted most. `prefix`
    stands before these names, for rows that have been scored before. Lines of a CSV or JSON Lines file that are no rows go
    to `OUTPUT.malformed`. `OUTPUT.receipt.json` says what the output was made of, so that it can be made again.

    Where features look back on events, each row says `at` which time it asks, and `events` has what was known then.
    `output` appears only when it is whole; until then the work is in `OUTPUT.parts`, from which the same call continues.
    With `engine` dask, chunks are scored by the cluster at `scheduler` (default: a local one), which sees the same files.

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
        *_answer_columns(bundle),
        *(["set"] if bundle.facts.sets else []),
        *(["low", "high"] if bundle.facts.intervals else []),
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
        publish(job, fingerprint.encode())
    digests = [FileDigest.of(file) for file in inputs]
    number = resumed = 0
    size = sum(file.stat().st_size for file in inputs)
    scorer = _Scorer(bundle, events, parts.absolute(), output.suffix, explain=explain, prefix=prefix)
    bar = tqdm(total=size, unit="B", unit_scale=True, desc="score", disable=not progress)

    def to_score() -> Iterator[tuple[int, Chunk]]:
        nonlocal number, resumed
        for number, chunk in enumerate(read_chunks(inputs), start=1):
            if taken := [name for name in chunk.rows.column_names if name in added]:
                if number == 1:
                    shutil.rmtree(parts)
                raise InputError(
                    f"{pattern}: expected rows without the columns that scoring adds; got {taken}; "
                    "rename or drop them, or give a --prefix"
                )
            if (parts / f"{number:06d}.json").is_file():
                resumed += 1
            else:
                yield number, chunk
            bar.update(chunk.done - bar.n)

    with bar, _open(scorer, engine, scheduler) as submit:
        for _ in in_turn(lambda task: submit(*task), to_score(), AHEAD):
            pass
    if not number:
        raise InputError(f"{pattern}: expected rows; got none")
    counted = [json.loads(file.read_text("utf-8")) for file in sorted(parts.glob("[0-9]*.json"))]
    rows, errors, malformed, lower = (sum(part["rows"][place] for part in counted) for place in range(4))
    answers = dict(sorted(sum((Counter(part["answers"]) for part in counted), Counter()).items()))
    if _fingerprint(inputs, output, bundle, events, explain=explain, prefix=prefix) != fingerprint:
        raise InputError(
            f"{pattern}: expected files that stay as they are; one was changed while it was read; run again"
        )
    BatchReceipt.beside(output).unlink(missing_ok=True)  # that of an earlier output is not of this one
    join(parts, output)
    done = Scored(rows, errors, malformed, resumed, answers, lower)
    options: dict[str, Any] = {"explain": explain, "prefix": prefix}
    identity = events.identity if events else ""
    receipt_of(digests, output, bundle, identity, options, vars(done)).write(BatchReceipt.beside(output))
    return done


@contextmanager
def _open(scorer: "_Scorer", engine: str, scheduler: str) -> Iterator[Submit]:
    """Yield what hands a chunk out: to threads of this process, while it reads the next, or to a cluster."""
    if engine == "local" and not scheduler:
        with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
            yield lambda *task: pool.submit(scorer, *task)
    else:
        with open_workers(scorer, workers=0, engine=engine, scheduler=scheduler) as submit:
            yield submit


def _fingerprint(inputs: list[Path], output: Path, bundle: Bundle, events: EventReader | None, **options: Any) -> str:
    """Return what a started run must share with this one for its parts to count."""
    files = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in inputs]
    about = {"inputs": files, "output": output.name, "model": bundle.version, "chunk": [CHUNK_ROWS, CHUNK_BYTES]}
    return json.dumps(about | {"events": events.identity if events else None, "options": options})


@dataclass(frozen=True)
class _Scorer:
    """Scores chunks into parts, in whatever process it is."""

    bundle: Bundle
    events: EventReader | None
    parts: Path
    suffix: str
    explain: bool
    prefix: str

    def __call__(self, number: int, chunk: Chunk) -> None:
        """Score a chunk and write its part: its rows, what were no rows, and the counts."""
        bundle, events = self.bundle, self.events
        asked = [replace(field, required=field.required or field is AT) for field in bundle.features.asked]
        columns, errors = columns_from_table(chunk.rows, asked, chunk.given)
        n, windowed = len(errors), None
        reasons: list[str | None] = [None] * n
        if events:
            with READING:
                windowed = _windowed(bundle, columns, errors, events)
                newest = {name: events.newest(name) for name in bundle.features.sources}
            reasons = stale(bundle.features.sources, newest, _times(columns))
        failed = errors != None  # noqa: E711 - elementwise
        done = answer_by_ladder(bundle, columns, windowed, reasons)
        decisions = bundle.task.decide(done.values)
        decided, _ = bundle.problem.exposure.decided(columns, decisions, n)
        names = _answer_columns(bundle)
        values = done.values.reshape(n, len(names))
        added: dict[str, Any] = {name: pa.array(values[:, place], mask=failed) for place, name in enumerate(names)}
        if bundle.facts.sets:
            sets = [json.dumps(one["set"], ensure_ascii=False) for one in doubts(bundle, done)]
            added["set"] = pa.array(sets, pa.string(), mask=failed)
        ends = None if bundle.task.classes else bundle.bounds(done.values, done.rungs)
        for name, end in zip(("low", "high"), ends or (), strict=ends is not None):
            added[name] = pa.array(end, mask=failed | np.isnan(end))
        if decisions is not None:
            kind = pa.string() if bundle.task.classes else pa.bool_()
            added["decision"] = pa.array([None if bad else one for bad, one in zip(failed, decided, strict=True)], kind)
        added["model_version"] = pa.repeat(bundle.version, n)
        added["rung"] = pa.array(done.rungs, pa.string(), mask=failed)
        added["reason"] = pa.array(done.reasons, pa.string(), mask=failed)
        if self.explain:
            told = [None if one is None else json.dumps(one) for one in explanations(bundle, done, ~failed)]
            added["explanation"] = pa.array(told, pa.string())
        added["error"] = pa.array(errors, pa.string())
        table = chunk.rows
        for name, column in added.items():
            table = table.append_column(self.prefix + name, column)
        lower = int(((done.rungs != bundle.model.rungs[0]) & ~failed).sum())
        answers = Counter(
            f"{rung}, {reason}" if reason else rung
            for rung, reason in zip(done.rungs[~failed].tolist(), done.reasons[~failed].tolist(), strict=True)
        )
        counts = {"rows": [n, int(failed.sum()), len(chunk.malformed), lower], "answers": answers}
        write_part(table, chunk.malformed, counts, self.parts / f"{number:06d}{self.suffix}", header=number == 1)


def _answer_columns(bundle: Bundle) -> list[str]:
    """Return what the columns of answers are called: one, or one a class."""
    task = bundle.task
    return [f"probability {name}" for name in task.classes] or [task.answer]


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
        keys = features.keys({name: columns[name][rows] for name in features.key_fields})
        for name, values in values_as_of(features, events, at[rows], keys).items():
            windowed[name][rows] = values
    return windowed
