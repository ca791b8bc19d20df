"""Rows of a file, held to the declared request fields column by column: the same rules as online, fast."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from ringbound.errors import InputError
from ringbound.features.columns import Category, Column
from ringbound.features.request import Field

EXPECTED = {
    "category": "text",
    "number": "a finite number",
    "timestamp": "a time with offset, like 2013-11-27T17:15:00-05:00",
}


def columns_from_table(table: pa.Table, fields: Sequence[Field]) -> tuple[dict[str, Column], np.ndarray]:
    """Return the columns of an Arrow table and each row's error, (n,) of objects, None where the row is in order.

    Text is converted to what each field asks for. Rows with errors hold missing values.
    """
    absent = [field.name for field in fields if field.required and field.name not in table.column_names]
    if absent:
        raise InputError(f"expected columns {[f.name for f in fields]}; missing {absent}; got {table.column_names}")
    errors = np.full(table.num_rows, None, dtype=object)
    columns: dict[str, Column] = {}
    for field in fields:
        if field.name in table.column_names:
            given = table[field.name].combine_chunks()
        else:
            given = pa.nulls(table.num_rows, pa.string())
        column, valid = _CONVERT[field.kind](given, field)
        missing = given.is_null().to_numpy(zero_copy_only=False)
        wrong = ~valid & ~missing
        if field.required:
            _mark(errors, missing, f"{field.name}: expected {EXPECTED[field.kind]}; got nothing")
        for row in np.flatnonzero(wrong):
            _mark(
                errors, np.array([row]), f"{field.name}: expected {expectation(field)}; got {given[int(row)].as_py()!r}"
            )
        columns[field.name] = column
    return columns, errors


def expectation(field: Field) -> str:
    """Say in words what a field expects."""
    bounds = [f"at least {field.ge:g}" for _ in [0] if field.ge is not None]
    bounds += [f"at most {field.le:g}" for _ in [0] if field.le is not None]
    bounds += [f"matching {field.pattern}" for _ in [0] if field.pattern is not None]
    return " ".join([EXPECTED[field.kind], *bounds])


def _mark(errors: np.ndarray, rows: np.ndarray, message: str) -> None:
    errors[rows] = [message if e is None else f"{e}; {message}" for e in errors[rows]]


def _categories(given: pa.Array, field: Field) -> tuple[Category, np.ndarray]:
    encoded = given if pa.types.is_dictionary(given.type) else given.cast(pa.string()).dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    values = encoded.dictionary.cast(pa.string()).to_pylist()
    fits = re.compile(field.pattern if field.pattern else r".{1,200}", re.S)
    good = np.array([v is not None and fits.fullmatch(v) is not None for v in values] + [False])
    valid = good[codes]
    return Category(np.where(valid, codes, -1), ["" if v is None else v for v in values]), valid


def _numbers(given: pa.Array, field: Field) -> tuple[np.ndarray, np.ndarray]:
    numbers = _cast(given, pa.float64(), float).to_numpy(zero_copy_only=False).astype(np.float64)
    with np.errstate(invalid="ignore"):
        valid = np.isfinite(numbers)
        valid &= (numbers >= field.ge) if field.ge is not None else True
        valid &= (numbers <= field.le) if field.le is not None else True
    return np.where(valid, numbers, np.nan), valid


def _timestamps(given: pa.Array, field: Field) -> tuple[np.ndarray, np.ndarray]:
    if pa.types.is_timestamp(given.type) and given.type.tz is None:
        raise InputError(
            f"{field.name}: expected {EXPECTED['timestamp']}; got a column without time zone; convert it to UTC"
        )
    instants = _cast(given, pa.timestamp("us", tz="UTC"), _instant)
    valid = instants.is_valid().to_numpy(zero_copy_only=False)
    return instants.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False).astype("datetime64[us]"), valid


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(text)
    return instant.astimezone(UTC)


def _cast(given: pa.Array, kind: pa.DataType, one: Callable[[Any], Any]) -> pa.Array:
    """Cast a column at once, or value by value where one of them cannot be; those become null."""
    try:
        return given.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.array([_or_none(one, v) for v in given.to_pylist()], kind)


def _or_none(one: Callable[[Any], Any], value: Any) -> Any:
    try:
        return None if value is None else one(value)
    except (ValueError, TypeError):
        return None


_CONVERT: Mapping[str, Callable[[pa.Array, Field], tuple[Column, np.ndarray]]] = {
    "category": _categories,
    "number": _numbers,
    "timestamp": _timestamps,
}
