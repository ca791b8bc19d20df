"""Answers in the store as columns: what the question brought from its row, what was looked up from the model's vector."""

import io
import json
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.json as pj

from ringbound.batch.table import columns_from_table
from ringbound.features.columns import Category, Column
from ringbound.features.request import Field
from ringbound.models.bundle import Bundle
from ringbound.monitoring.seen import Known, Seen
from ringbound.problem.packed import outcomes_kept, unpack, watched_answers
from ringbound.problem.task import Task
from ringbound.store import AskedRow, Store

LOG = logging.getLogger(__name__)
MINUTE_US = 60_000_000
"""Equal questions within a minute are one that was asked again."""
TYPES = {"category": pa.string(), "number": pa.float64(), "timestamp": pa.string()}


def seen_of(bundle: Bundle, asked: Sequence[AskedRow]) -> Seen:
    """Return rows of the store as columns of a bundle's features."""
    named = list(zip(*asked, strict=True))
    ids, at, versions, hashes, singles, rows, vectors, rungs, reasons, decided, took, _, packed = named
    answers = unpack(bundle.task, singles, packed)
    times = np.array(at, np.int64)
    would = None if bundle.task.classes else bundle.task.decide(answers)  # also where a question was left undecided
    columns = columns_of_rows(bundle.features.request, rows)
    features = bundle.features
    known: dict[str, Column] = dict(features.compute(columns, bundle.references, names=features.plain))
    known |= _from_vectors(bundle, vectors, hashes, rungs)
    again = pd.DataFrame({"minute": times // MINUTE_US, "row": rows})
    return Seen(
        ids=ids,
        at=times,
        columns={name: known[name] for name in features.names},
        answers=answers,
        versions=np.array(versions, object),
        rungs=np.array(rungs, object),
        reasons=np.array([*reasons, None], object)[:-1],
        rows=again.groupby(["minute", "row"]).ngroup().to_numpy(),
        took_us=np.array(took, np.int64),
        watched=watched_answers(bundle.task, answers),
        decisions=np.array(
            [(would is not None and would[row]) if one is None else one for row, one in enumerate(decided)], bool
        ),
    )


def columns_of_rows(fields: Sequence[Field], rows: Sequence[str]) -> dict[str, Column]:
    """Return what questions brought with them: at once where all can be read, else row by row, missing where one cannot."""
    schema = pa.schema([(field.name, TYPES[field.kind]) for field in fields])
    options = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    blocks = pj.ReadOptions(block_size=max(1 << 20, 5 * max(map(len, rows))))
    try:
        table = pj.read_json(io.BytesIO("\n".join(rows).encode()), read_options=blocks, parse_options=options)
        if table.num_rows == len(rows):
            return columns_from_table(table, fields)[0]
    except (pa.ArrowException, UnicodeEncodeError):
        pass
    plain = [_plain(row) for row in rows]
    given = {field.name: [row.get(field.name) for row in plain] for field in fields}
    none = pa.table({field.name: pa.nulls(len(rows)) for field in fields})
    LOG.warning("monitor: of %d rows some cannot be read; what they lack counts as missing", len(rows))
    return columns_from_table(none, fields, given)[0]


def _plain(row: str) -> dict[str, Any]:
    """Return a row's fields; none where it is no row."""
    try:
        found = json.loads(row.encode("utf-8", "replace"))
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for name, value in found.items()
    }


def _from_vectors(
    bundle: Bundle, vectors: Sequence[bytes], hashes: Sequence[str], rungs: Sequence[str]
) -> dict[str, Column]:
    """Return the features that look back on events, missing where a row's answer was not made from them."""
    encoder, features = bundle.full.encoder, bundle.features
    size = 8 * len(encoder.names)
    whole = [
        place
        for place, (vector, made_with, rung) in enumerate(zip(vectors, hashes, rungs, strict=True))
        if rung == "full" and made_with == features.hash and len(vector) == size
    ]
    X = np.full((len(vectors), len(encoder.names)), np.nan)
    if whole:
        X[whole] = np.frombuffer(b"".join(vectors[place] for place in whole)).reshape(len(whole), -1)
    found: dict[str, Column] = {}
    for place, name in enumerate(encoder.names):
        if name not in features.plain:
            texts = encoder.vocabularies.get(name)
            column = X[:, place]
            if texts is None:
                found[name] = column
            else:
                found[name] = Category(np.where(np.isnan(column), -1, column).astype(np.int64), texts)
    return found


def known_of(store: Store, task: Task, seen: Seen, known_by: int) -> Known:
    """Return what came of rows, as it stood at a time; what is no outcome of the task is not known."""
    came = store.came(list(seen.ids), known_by)
    there = [came.get(name) for name in seen.ids]
    outcomes = outcomes_kept(task, np.array([np.nan if one is None else one.value for one in there], np.float64))
    delays = np.array([0 if one is None else one.available_at for one in there], np.int64) - seen.at
    return Known(outcomes, np.where(np.isnan(outcomes), 0, delays))
