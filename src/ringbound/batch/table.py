"""Rows of a file, held to the declared request fields column by column: the same rules as online, fast."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ringbound.data.conversion import convert
from ringbound.data.values import EXPECTED, shown
from ringbound.errors import InputError
from ringbound.features.columns import Category, Column
from ringbound.features.request import ANYTHING, Field, Kind


def columns_from_table(
    table: pa.Table, fields: Sequence[Field], given: Mapping[str, Sequence[Any]] | None = None
) -> tuple[dict[str, Column], np.ndarray]:
    """Return the columns of an Arrow table and each row's error, (n,) of objects, None where the row is in order.

    Values follow the rule of `ringbound.data.values`. Where the table is only how rows are written, as those of JSON are,
    `given` has what really came, n values a column. Rows with errors hold missing values.
    """
    names = table.column_names
    if twice := sorted({field.name for field in fields if names.count(field.name) > 1}):
        raise InputError(f"expected each column once; got {twice} several times; rename or drop the others")
    absent = [field.name for field in fields if field.required and field.name not in names]
    if absent:
        said = "; ".join(f"{field.name}: {field.description}" for field in fields if field.name in absent)
        raise InputError(f"expected columns {[f.name for f in fields]}; missing {absent}; got {names}; {said}")
    errors = np.full(table.num_rows, None, dtype=object)
    columns: dict[str, Column] = {}
    for field in fields:
        values: Any = pa.nulls(table.num_rows, pa.string())
        if given is not None and field.name in given:
            values = given[field.name]
        elif field.name in names:
            values = table[field.name]
        column, reasons = convert(values, field.value_kind, missing=field.missing)
        held, allowed = _COLUMNS[field.kind](column, field)
        columns[field.name] = held
        known = column.is_valid().to_numpy(zero_copy_only=False)
        for row, why in reasons.items():
            _add(errors, row, f"{field.name}: {why.replace(EXPECTED[field.value_kind], field.expectation, 1)}")
        for row in np.flatnonzero(known & ~allowed).tolist():
            _add(errors, row, f"{field.name}: expected {field.expectation}; got {shown(_one(values, row))}")
        for row in np.flatnonzero(~known).tolist() if field.required else []:
            if row not in reasons:
                _add(errors, row, f"{field.name}: expected {EXPECTED[field.value_kind]}; got nothing")
    return columns, errors


def _one(values: Any, row: int) -> Any:
    return values[row].as_py() if isinstance(values, pa.Array | pa.ChunkedArray) else values[row]


def _add(errors: np.ndarray, row: int, message: str) -> None:
    errors[row] = message if errors[row] is None else f"{errors[row]}; {message}"


def _categories(column: pa.Array, field: Field) -> tuple[Category, np.ndarray]:
    encoded = column.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    values = encoded.dictionary.to_pylist()
    fits = re.compile(field.pattern or ANYTHING, re.S)
    allowed = np.array([fits.fullmatch(value) is not None for value in values] + [False])[codes]
    return Category(np.where(allowed, codes, -1), values), allowed


def _numbers(column: pa.Array, field: Field) -> tuple[np.ndarray, np.ndarray]:
    numbers = column.to_numpy(zero_copy_only=False).astype(np.float64)
    with np.errstate(invalid="ignore"):
        allowed = (numbers >= (-np.inf if field.ge is None else field.ge)) & (
            numbers <= (np.inf if field.le is None else field.le)
        )
    return np.where(allowed, numbers, np.nan), allowed


def _timestamps(column: pa.Array, field: Field) -> tuple[np.ndarray, np.ndarray]:
    instants = column.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False).astype("datetime64[us]")
    return instants, np.full(len(instants), True)


_COLUMNS: Mapping[Kind, Callable[[pa.Array, Field], tuple[Column, np.ndarray]]] = {
    "category": _categories,
    "number": _numbers,
    "timestamp": _timestamps,
}
