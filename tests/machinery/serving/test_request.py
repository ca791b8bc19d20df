import json
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringbound.batch.table import columns_from_table
from ringbound.errors import InputError
from ringbound.features.columns import Category
from ringbound.features.request import Field
from ringbound.serving.request import columns_from_rows, row_model

FIELDS = [
    Field("code", "category", "two capitals", "AB", pattern=r"[A-Z]{2}"),
    Field("size", "number", "a size", 1, ge=0, le=100),
    Field("at", "timestamp", "an instant", "2013-01-01T00:00:00Z"),
    Field("note", "category", "anything", "x", required=False),
]
Row = row_model(FIELDS)
GOOD = {"code": "AB", "size": 1.5, "at": "2013-01-01T00:00:00Z", "note": None}


def plain(columns, row: int) -> list:
    """Return a row's values as they enter features, comparable."""
    values = []
    for field in FIELDS:
        column = columns[field.name]
        values.append(column.texts()[row] if isinstance(column, Category) else str(column[row]))
    return values


def online(row: dict):
    """Return the row's values, or None where it is refused."""
    try:
        return plain(columns_from_rows([Row.model_validate(row)], FIELDS), 0)
    except pydantic.ValidationError:
        return None


def batch(row: dict):
    texts = {f.name: pa.array([None if row.get(f.name) is None else str(row[f.name])], pa.string()) for f in FIELDS}
    columns, errors = columns_from_table(pa.table(texts), FIELDS)
    return None if errors[0] else plain(columns, 0)


zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(datetime(1980, 1, 1), datetime(2050, 1, 1), timezones=zones).map(datetime.isoformat)


@settings(max_examples=300)
@given(
    code=st.sampled_from(["AB", "ab", "ABC", "", "AB\n", None]),
    size=st.one_of(
        st.floats(-10, 110), st.just(float("nan")), st.just(float("inf")), st.sampled_from(["x", "7", None])
    ),
    at=st.one_of(instants, st.sampled_from(["2013-01-01T00:00:00", "yesterday", "2013-02-30T00:00:00Z", None])),
    note=st.sampled_from(["x", None]),
)
def test_online_and_batch_accept_the_same_rows_with_the_same_values(code, size, at, note):
    row = {"code": code, "size": size, "at": at, "note": note}
    assert online(row) == batch(row)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"code": "abc"}, "code: expected text matching [A-Z]{2}; got 'abc'"),
        ({"size": 101}, "size: expected a finite number at least 0 at most 100; got '101'"),
        ({"size": None}, "size: expected a finite number; got nothing"),
        ({"at": "2013-01-01T00:00:00"}, "at: expected a time with offset, like 2013-11-27T17:15:00-05:00"),
        ({"code": None, "size": "x"}, "code: expected text; got nothing; size: expected a finite number at least 0"),
    ],
)
def test_a_batch_row_says_what_is_wrong_with_it(change, says):
    row = GOOD | change
    table = pa.table({k: pa.array([None if v is None else str(v)] * 2, pa.string()) for k, v in row.items()})
    _, errors = columns_from_table(table, FIELDS)
    assert says in errors[0]


def test_one_bad_row_leaves_the_others():
    sizes = pa.array(["1", "oops", "3"])
    others = {"code": pa.array(["AB"] * 3), "at": pa.array(["2013-01-01T00:00:00Z"] * 3)}
    columns, errors = columns_from_table(pa.table({"size": sizes, **others}), FIELDS)
    assert [bool(e) for e in errors] == [False, True, False]
    assert np.array_equal(columns["size"], [1, np.nan, 3], equal_nan=True)


def test_missing_column_is_one_clear_line():
    with pytest.raises(InputError, match=r"missing \['at'\]; got \['code', 'size'\]"):
        columns_from_table(pa.table({"code": ["AB"], "size": [1.0]}), FIELDS)


def test_typed_columns_are_taken_as_they_are():
    at = pa.array([datetime(2013, 1, 1, tzinfo=UTC)], pa.timestamp("ms", tz="America/New_York"))
    table = pa.table({"code": pa.array(["AB"]).dictionary_encode(), "size": pa.array([7], pa.int16()), "at": at})
    columns, errors = columns_from_table(table, FIELDS)
    assert errors[0] is None
    assert plain(columns, 0) == ["AB", "7.0", "2013-01-01T00:00:00.000000", None]


def test_times_without_zone_are_refused():
    at = pa.array([datetime(2013, 1, 1)], pa.timestamp("us"))
    _, errors = columns_from_table(pa.table({"code": ["AB"], "size": [1.0], "at": at}), FIELDS)
    assert "a column without time zone; convert it to UTC" in errors[0]


def test_schema_explains_itself():
    schema = json.dumps(Row.model_json_schema())
    assert "two capitals" in schema
    assert '"additionalProperties": false' in schema
