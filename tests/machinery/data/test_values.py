"""One list of ugly values, on every path by which values come in: the same outcome everywhere."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from ringbound.batch.readers import csv_chunks, json_chunks, parquet_chunks
from ringbound.batch.table import columns_from_table
from ringbound.data.conversion import convert
from ringbound.data.files import Files
from ringbound.data.sql import Sql
from ringbound.data.values import value_of
from ringbound.errors import NotAValueError
from ringbound.features.columns import Category
from ringbound.features.request import Field
from ringbound.serving.request import row_model
from ringbound.testing.values import NOTHING, REFUSED, ugly_values

KINDS = {"string": "category", "number": "number", "timestamp": "timestamp"}


def plain(value: Any) -> Any:
    """Return a value as the list has it."""
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return NOTHING
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat()
    return value


def ingested(source: Any) -> Any:
    reading = source.read(None, pd.Timestamp("2100-01-01T00:00Z"))
    assert len(reading.rows) + len(reading.rejected) == 1
    if len(reading.rejected):
        assert "\n" not in reading.rejected["reason"].item()
        return REFUSED
    return plain(reading.rows["v"].item())


def scored(chunks: Any, kind: str) -> Any:
    (chunk,) = chunks
    columns, errors = columns_from_table(chunk.rows, [field(kind)], chunk.given)
    if errors[0]:
        return REFUSED
    column = columns["v"]
    value = column.texts()[0] if isinstance(column, Category) else column[0]
    if pd.isna(value):
        return NOTHING
    return str(value).removesuffix(".000000") if kind == "timestamp" else value if kind == "string" else float(value)


def field(kind: str) -> Field:
    return Field("v", KINDS[kind], "a value", None, required=False)  # type: ignore[arg-type]


def csv_text(value: str) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows([["v", "more"], [value, "x"]])
    return buffer.getvalue().encode()


def written(tmp_path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def json_line(value: Any) -> bytes:
    return (json.dumps({"more": "x", "v": value}) + "\n").encode()


def parquet(tmp_path, value: Any):
    aware = isinstance(value, datetime) and value.tzinfo is not None
    column = pa.array([value.astimezone(UTC)], pa.timestamp("us", str(value.tzinfo)[3:] or "UTC")) if aware else None
    pq.write_table(pa.table({"v": column or pa.array([value]), "more": ["x"]}), tmp_path / "v.parquet")
    return tmp_path / "v.parquet"


def from_database(tmp_path, kind: str, value: Any) -> Any:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/v.db")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (v, at TEXT)"))
        connection.execute(sa.text("INSERT INTO t VALUES (:v, '2013-01-01 00:00:00')"), {"v": value})
    engine.dispose()
    columns = {"v": kind, "at": "string"}
    return ingested(Sql(f"sqlite:///{tmp_path}/v.db", "SELECT * FROM t", columns, time="at"))


def online(kind: str, value: Any, *, as_json: bool) -> Any:
    model = row_model([field(kind)])
    try:
        row = model.model_validate_json(json.dumps({"v": value})) if as_json else model.model_validate({"v": value})
    except pydantic.ValidationError:
        return REFUSED
    return plain(row.v)  # type: ignore[attr-defined]


def is_text(value: Any) -> bool:
    return isinstance(value, str) and "\ud83d" not in value


def is_json(value: Any) -> bool:
    return not isinstance(value, bytes | Decimal | datetime) and not hasattr(value, "isoformat")


def is_arrow(value: Any) -> bool:
    return not (isinstance(value, str) and not is_text(value)) and not (isinstance(value, int) and abs(value) >= 2**64)


def is_sqlite(value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return value is None or (is_text(value) and "\x00" not in value) or isinstance(value, float | bytes) or whole


PATHS: dict[str, tuple[Callable[[Any], bool], Callable[[Any, str, Any], Any]]] = {
    "ingest CSV": (is_text, lambda t, k, v: ingested(Files(written(t, "v.csv", csv_text(v)), {"v": k}))),
    "ingest JSON Lines": (is_json, lambda t, k, v: ingested(Files(written(t, "v.jsonl", json_line(v)), {"v": k}))),
    "ingest Parquet": (is_arrow, lambda t, k, v: ingested(Files(parquet(t, v), {"v": k}))),
    "ingest SQL": (is_sqlite, from_database),
    "score CSV": (is_text, lambda t, k, v: scored(csv_chunks(written(t, "v.csv", csv_text(v)), 99), k)),
    "score JSON Lines": (is_json, lambda t, k, v: scored(json_chunks(written(t, "v.jsonl", json_line(v)), 99), k)),
    "score Parquet": (is_arrow, lambda t, k, v: scored(parquet_chunks(parquet(t, v), 99), k)),
    "HTTP, as JSON": (is_json, lambda t, k, v: online(k, v, as_json=True)),
    "HTTP, as validated": (lambda v: True, lambda t, k, v: online(k, v, as_json=False)),
}
CASES = list(ugly_values())


@pytest.mark.parametrize("path", PATHS)
def test_every_ugly_value_has_one_outcome(path, tmp_path):
    fits, outcome_of = PATHS[path]
    wrong, tried = [], 0
    for number, (kind, value, outcome) in enumerate(CASES):
        if fits(value):
            (tmp_path / str(number)).mkdir()
            found = outcome_of(tmp_path / str(number), kind, value)
            tried += 1
            if not (type(found) is type(outcome) and str(found) == str(outcome)):
                wrong.append((kind, repr(value)[:40], outcome, found))
    print(f"{path}: {tried} of {len(CASES)} ugly values")
    assert wrong == []
    assert len(CASES) >= 120
    assert tried >= 80


TIMES = (
    r"[0-2][0-9]{3}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{1,9})?)?"
    r"(Z|[+-][0-2][0-9]:?[0-6][0-9])?"
)
NUMBERS = r"[+-]?[0-9]{0,20}[.,_]?[0-9]{0,5}([eE][+-]?[0-9]{1,4})?"
DECLARED = st.sampled_from(["string", "number", "integer", "boolean", "timestamp"])


def at_once(array: pa.Array, kind: Any) -> tuple[list[Any], set[int]]:
    """Return a column's values by `convert`, and the rows that it refuses."""
    column, reasons = convert(array, kind)
    return (column.cast(pa.int64()) if kind == "timestamp" else column).to_pylist(), set(reasons)


def one_by_one(array: pa.Array, kind: Any) -> tuple[list[Any], set[int]]:
    """Return the same by the rule itself."""
    found, refused = [], set()
    for row, value in enumerate(array.to_pylist()):
        try:
            found.append(value_of(kind, value))
        except NotAValueError:
            found.append(None)
            refused.add(row)
    return found, refused


def arrays(values: Any, kind: pa.DataType) -> Any:
    return st.lists(st.one_of(st.none(), values), max_size=8).map(lambda some: pa.array(some, kind))


TEXTS = st.one_of(
    st.text(max_size=30).filter(is_text),
    st.from_regex(NUMBERS, fullmatch=True),
    st.datetimes(timezones=st.just(UTC)).map(lambda time: time.isoformat()),
    st.from_regex(TIMES, fullmatch=True),
)


@settings(max_examples=600, deadline=None)
@given(DECLARED, arrays(TEXTS, pa.string()))
def test_a_column_of_texts_at_once_is_its_values_one_by_one(kind, array):
    assert at_once(array, kind) == one_by_one(array, kind)


@settings(max_examples=300, deadline=None)
@given(
    DECLARED,
    st.one_of(
        arrays(st.integers(-(2**63), 2**63 - 1), pa.int64()),
        arrays(st.integers(0, 2**64 - 1), pa.uint64()),
        arrays(st.floats(), pa.float64()),
        arrays(st.floats(width=32), pa.float32()),
        arrays(st.booleans(), pa.bool_()),
        arrays(st.datetimes(timezones=st.just(UTC)), pa.timestamp("us", "UTC")),
        arrays(TEXTS, pa.string()).map(lambda array: array.dictionary_encode()),
        arrays(st.binary(max_size=5), pa.binary()),
        arrays(st.decimals(-(10**9), 10**9, places=3), pa.decimal128(20, 3)),
    ),
)
def test_a_column_of_any_type_at_once_is_its_values_one_by_one(kind, array):
    assert at_once(array, kind) == one_by_one(array, kind)


def test_a_declared_zone_is_that_of_times_without_an_offset_and_of_dates():
    texts = ["2013-07-01 12:00:00", "2013-01-01", "2013-07-01T12:00:00Z"]
    expected = ["2013-07-01T16:00:00", "2013-01-01T05:00:00", "2013-07-01T12:00:00"]
    column, reasons = convert(pa.array(texts), "timestamp", zone="America/New_York")
    assert (reasons, [plain(t) for t in column.to_pylist()]) == ({}, expected)
    naive = pa.array([datetime(2013, 7, 1, 12)], pa.timestamp("ns"))
    assert plain(convert(naive, "timestamp", zone="America/New_York")[0][0].as_py()) == expected[0]


def test_what_is_declared_missing_is_and_nothing_else():
    column, _ = convert(pa.array(["NA", "", "x"]), "string", missing=["", "NA"])
    assert column.to_pylist() == [None, None, "x"]
    assert convert(pa.array(["NA", "", "x"]), "string", missing=[])[0].to_pylist() == ["NA", "", "x"]


def test_whole_numbers_as_fractions_are_taken_up_to_where_they_are_certain():
    assert value_of("integer", 2.0**53 - 1) == 2**53 - 1
    for value in (2.0**53, -(2.0**53)):  # what was 2**53 + 1 is this too
        with pytest.raises(NotAValueError):
            value_of("integer", value)
        assert list(convert(pa.array([value]), "integer")[1]) == [0]


def test_bytes_are_the_text_they_spell_also_where_that_is_missing():
    assert convert(pa.array([b"NA", b"", b"x"]), "string", missing=["", "NA"])[0].to_pylist() == [None, None, "x"]


def test_an_hour_that_no_clock_shows_is_no_time():
    with pytest.raises(NotAValueError, match="which no clock in Europe/Berlin shows"):
        value_of("timestamp", "2020-03-29T02:30", zone="Europe/Berlin")
    first = value_of("timestamp", "2020-10-25T02:30", zone="Europe/Berlin")
    assert first == value_of("timestamp", "2020-10-25T02:30+02:00")
    times = pa.array([np.datetime64("2020-03-29T02:30", "us"), np.datetime64("2020-03-29T03:30", "us")])
    assert list(convert(times, "timestamp", zone="Europe/Berlin")[1]) == [0]
