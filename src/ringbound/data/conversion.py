"""Columns held to one kind, by the rule of `ringbound.data.values`: at once where that is plain, value by value elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ringbound.data.values import EXACT, EXPECTED, FIRST, LAST, MISSING, Kind, value_of
from ringbound.errors import NotAValueError

TYPES: dict[Kind, pa.DataType] = {
    "string": pa.string(),
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
PLAIN = {
    "number": r"^-?[0-9]{1,17}(\.[0-9]{1,17})?$",
    "integer": r"^-?[0-9]{1,18}$",
    "timestamp": r"^(1[6-9]|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}[T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
}
"""Texts that Arrow reads as the rule does."""

UNSHOWN = (OverflowError, ValueError, pa.ArrowException)
"""What Arrow raises where Python does not have a value."""

Reasons = dict[int, str]
"""Why rows have no value, by their number."""


def convert(
    values: pa.Array | pa.ChunkedArray | Sequence[Any],
    kind: Kind,
    *,
    missing: Sequence[str] = MISSING,
    zone: str | None = None,
) -> tuple[pa.Array, Reasons]:
    """Return n values as one Arrow array of `kind`, null where there is none, and why rows that have one were refused.

    >>> convert(pa.array(["1", "x", "", "4.50"]), "number")[0].to_pylist()
    [1.0, None, None, 4.5]
    >>> convert(["007", 7, None, True], "string")[1]
    {3: 'expected text; got True'}
    """
    if not isinstance(values, pa.Array | pa.ChunkedArray):
        return _each(list(values), kind, missing, zone)
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(array, pa.ChunkedArray):  # of no rows, or too many for one array
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), TYPES[kind]), {}
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        return _of_texts(array.cast(pa.string()), kind, missing, zone)
    if pa.types.is_integer(array.type) and not pa.types.is_uint64(array.type):
        if kind == "number":
            return array.cast(pa.float64(), safe=False), {}
        if kind in ("integer", "string"):
            return array.cast(TYPES[kind]), {}
    if pa.types.is_float16(array.type):
        array = pa.array(array.to_numpy(zero_copy_only=False).astype(np.float64), from_pandas=True)
    if pa.types.is_floating(array.type) and kind in ("number", "integer"):
        return _of_floats(array.cast(pa.float64()), kind, missing, zone)
    if pa.types.is_boolean(array.type) and kind == "boolean":
        return array, {}
    if pa.types.is_timestamp(array.type):
        return _of_times(array, kind, missing, zone)
    return _each(listed(array), kind, missing, zone)


@dataclass(frozen=True)
class Beyond:
    """A value that Python does not have, like a day after the year 9999; no kind takes it."""

    says: str

    def __repr__(self) -> str:
        return self.says


def listed(array: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Return values as Python has them, each that it does not have as `Beyond`.

    >>> listed(pa.array([0, 10**8], pa.int32()).cast(pa.date32()))
    [datetime.date(1970, 1, 1), 100000000 as date32[day]]
    """
    try:
        return array.to_pylist()
    except UNSHOWN:
        return [_one(value) for value in array]


def numbers_of_times(array: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return days, times or instants as the whole numbers that they are kept as."""
    return array.cast(pa.int32() if array.type.bit_width == 32 else pa.int64())


def _one(value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except UNSHOWN:
        number = numbers_of_times(pa.array([value]))[0] if pa.types.is_temporal(value.type) else "one"
        return Beyond(f"{number} as {value.type}")


def _each(values: list[Any], kind: Kind, missing: Sequence[str], zone: str | None) -> tuple[pa.Array, Reasons]:
    converted: list[Any] = []
    reasons: Reasons = {}
    for row, value in enumerate(values):
        try:
            converted.append(value_of(kind, value, missing=missing, zone=zone))
        except NotAValueError as error:
            converted.append(None)
            reasons[row] = str(error)
    if kind == "timestamp":
        return pa.array(converted, pa.int64()).cast(TYPES[kind]), reasons
    return pa.array(converted, TYPES[kind]), reasons


def _of_texts(texts: pa.Array, kind: Kind, missing: Sequence[str], zone: str | None) -> tuple[pa.Array, Reasons]:
    absent = pc.is_in(texts, pa.array(missing, pa.string()))
    texts = pc.if_else(absent, pa.scalar(None, pa.string()), texts) if pc.any(absent).as_py() else texts
    if kind == "string":
        odd = np.flatnonzero(pc.match_substring(texts, "\x00").fill_null(False).to_numpy(zero_copy_only=False))
        return _mended(texts, texts, odd, kind, missing, zone) if len(odd) else (texts, {})
    if kind not in PLAIN:
        return _each(texts.to_pylist(), kind, missing, zone)
    plain = pc.match_substring_regex(texts, PLAIN[kind])
    odd = np.flatnonzero(~plain.fill_null(True).to_numpy(zero_copy_only=False))
    try:
        column = pc.if_else(plain, texts, pa.scalar(None, pa.string())).cast(TYPES[kind])
    except pa.ArrowInvalid:  # a day that the calendar does not have
        return _each(texts.to_pylist(), kind, missing, zone)
    return _mended(column, texts, odd, kind, missing, zone) if len(odd) else (column, {})


def _mended(
    column: pa.Array, given: pa.Array, odd: np.ndarray, kind: Kind, missing: Sequence[str], zone: str | None
) -> tuple[pa.Array, Reasons]:
    """Return the column with the rows `odd` converted one by one."""
    values, reasons = _each(given.take(pa.array(odd)).to_pylist(), kind, missing, zone)
    places = np.full(len(column), False)
    places[odd] = True
    return pc.replace_with_mask(column, pa.array(places), values), {int(odd[row]): why for row, why in reasons.items()}


def _of_floats(numbers: pa.Array, kind: Kind, missing: Sequence[str], zone: str | None) -> tuple[pa.Array, Reasons]:
    values = numbers.to_numpy(zero_copy_only=False)  # null is NaN, and NaN is missing
    absent = np.isnan(values)
    with np.errstate(invalid="ignore"):
        fits = np.isfinite(values) & ((kind == "number") | ((values % 1 == 0) & (np.abs(values) < EXACT)))
    kept = pa.array(np.where(fits, values, 0.0), pa.float64(), mask=~fits)
    odd = np.flatnonzero(~fits & ~absent)
    return (
        _mended(kept.cast(TYPES[kind]), numbers, odd, kind, missing, zone) if len(odd) else (kept.cast(TYPES[kind]), {})
    )


def _of_times(times: pa.Array, kind: Kind, missing: Sequence[str], zone: str | None) -> tuple[pa.Array, Reasons]:
    known = times.is_valid().to_numpy(zero_copy_only=False)
    if kind != "timestamp" or (times.type.tz is None and zone is None):
        what = "a time" if kind != "timestamp" else "a column without time zone; convert it to UTC"
        why = f"expected {EXPECTED[kind]}; got {what}"
        return pa.nulls(len(times), TYPES[kind]), dict.fromkeys(map(int, np.flatnonzero(known)), why)
    counts = times.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    if times.type.unit == "ns":  # finer than a microsecond is cut off, before 1970 too
        counts, factor = np.floor_divide(counts, 1000), 1
    else:
        factor = {"s": 1_000_000, "ms": 1_000, "us": 1}[times.type.unit]
    inside = (counts >= -(-FIRST // factor)) & (counts <= LAST // factor)
    reasons = dict.fromkeys(
        map(int, np.flatnonzero(known & ~inside)),
        f"expected {EXPECTED[kind]}; got one outside of the years 1 to 9999 in UTC",
    )
    micros = np.where(inside, counts, 0) * factor
    column = pa.array(micros, pa.int64(), mask=~(known & inside)).cast(pa.timestamp("us"))
    if times.type.tz is None:
        values, more = _each(column.to_pylist(), kind, missing, zone)
        return values, reasons | more
    return column.cast(pa.int64()).cast(TYPES[kind]), reasons
