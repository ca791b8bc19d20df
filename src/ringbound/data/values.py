"""One rule for a value, on every path: what came, and what is declared, give a value, nothing, or a reason.

| declared | text | whole number | fraction | true, false | time |
| --- | --- | --- | --- | --- | --- |
| text | as written | its digits | refused | refused | refused |
| number | what it says, in decimals | the nearest float64 | itself | refused | refused |
| integer | its digits, also `3.0` | itself | itself, if whole and below 2**53 | refused | refused |
| boolean | true, false, 1, 0 | 1, 0 | refused | itself | refused |
| timestamp | ISO 8601: a date, or date, time and offset | refused | refused | refused | itself, with zone |

Nothing and not-a-number are missing, and so is a text that is declared to be, by default the empty one. Spaces around a
number or a time do not count; those of a text do. Digits are 0 to 9, without separators. Infinities, numbers beyond
float64 or int64, times outside of the years 1 to 9999 in UTC, and texts that are no Unicode or have NUL are refused. A
time is kept in microseconds; what is finer is cut off. A date is its midnight, in UTC or in the zone that is declared. A time
without an offset is one on the clock of the declared zone, the first of two where that shows it twice, and is refused where
it never does or no zone is declared.
"""

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from ringbound.errors import NotAValueError

Kind = Literal["string", "number", "integer", "boolean", "timestamp"]
EXPECTED: dict[Kind, str] = {
    "string": "text",
    "number": "a finite number",
    "integer": "a whole number",
    "boolean": "true or false",
    "timestamp": "a time with offset, like 2013-11-27T17:15:00-05:00",
}
MISSING = ("",)
"""Texts that count as missing where nothing else is declared."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
EXACT = 2**53
"""Whole numbers up to it are float64 to the last digit."""
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,6})?", re.ASCII)
INTEGER = re.compile(r"([+-]?[0-9]+)(?:\.0*)?", re.ASCII)
TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(?:\.([0-9]{1,9}))?)?"
    r" ?(Z|[+-][0-9]{2}(?::?[0-5][0-9])?)?",
    re.ASCII | re.IGNORECASE,
)
LONGEST = 400
"""Characters beyond which nothing is a number or a time."""
WORDS = {"true": True, "1": True, "false": False, "0": False}


def value_of(
    kind: Kind, value: Any, *, missing: Sequence[str] = MISSING, zone: str | None = None
) -> str | float | int | bool | None:
    """Return a value as `kind`, None where it is missing; times are microseconds since 1970.

    `NotAValueError` says why it is none.

    >>> value_of("integer", "9007199254740993"), value_of("string", 501), value_of("number", " 2.50 ")
    (9007199254740993, '501', 2.5)
    >>> value_of("timestamp", "1970-01-01T01:00:00+01:00")
    0
    """
    if kind == "string" and isinstance(value, bytes):
        value = _text_of(value)
    if value is None or (isinstance(value, str) and value in missing):
        return None
    if (isinstance(value, float) and math.isnan(value)) or (isinstance(value, Decimal) and value.is_nan()):
        return None
    if isinstance(value, Decimal):
        value = _plain(value)
    try:
        return _time(value, zone) if kind == "timestamp" else _RULES[kind](value)
    except NotAValueError as error:
        raise NotAValueError(f"expected {EXPECTED[kind]}; {error}") from None


def _text_of(value: bytes) -> str | bytes:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def shown(value: Any, longest: int = 60) -> str:
    """Return a value as a message may have it: short, on one line, in characters that every output can write."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a whole number of too many digits, or too deep a nesting
        text = f"a {type(value).__name__} too large to show"
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= longest else f"{text[:longest]}…"


def _refuse(value: Any, why: str = "") -> NotAValueError:
    return NotAValueError(f"got {shown(value)}{f', {why}' if why else ''}")


def _plain(value: Decimal) -> int | float | Decimal:
    """Return a database's exact number as a whole number, where it is one, else as the nearest float64."""
    if not value.is_finite():
        return math.inf
    return int(value) if value.adjusted() < 40 and value == value.to_integral_value() else float(value)


def _string(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= 10**40:
            raise _refuse(value)
        return str(value)
    if isinstance(value, bytes):
        raise _refuse(value, "which is no UTF-8")
    if not isinstance(value, str):
        raise _refuse(value)
    if "\x00" in value:
        raise _refuse(value, "which has a NUL")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise _refuse(value, "which is no Unicode") from None
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _refuse(value)
    if isinstance(value, str):
        text = value.strip(" \t")
        if len(text) > LONGEST or not NUMBER.fullmatch(text):
            raise _refuse(value)
        value = text
    try:
        number = float(value)
    except OverflowError:
        raise _refuse(value) from None
    if not math.isfinite(number):
        raise _refuse(value)
    return number


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _refuse(value)
    if isinstance(value, str):
        text = value.strip(" \t")
        found = INTEGER.fullmatch(text) if len(text) <= LONGEST else None
        if not found:
            raise _refuse(value)
        whole = int(found[1])
    elif isinstance(value, float):
        if not value.is_integer() or abs(value) >= EXACT:
            raise _refuse(value)
        whole = int(value)
    else:
        whole = value
    if not -(2**63) <= whole < 2**63:
        raise _refuse(value, "beyond 64 bits")
    return whole


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip(" \t").lower() in WORDS:
        return WORDS[value.strip(" \t").lower()]
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise _refuse(value)


def _time(value: Any, zone: str | None) -> int:
    if isinstance(value, datetime):
        instant = value
    elif isinstance(value, date):
        instant = datetime(value.year, value.month, value.day, tzinfo=None if zone else UTC)
    elif isinstance(value, str):
        instant = _written(value, zone)
    else:
        raise _refuse(value)
    if instant.tzinfo is None:
        if zone is None:
            raise _refuse(value if isinstance(value, str) else value.isoformat(), "which has no offset")
        local = instant.replace(tzinfo=ZoneInfo(zone))
        try:
            there = local.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == instant
        except OverflowError:
            there = True  # at the edge of what is a time, which is looked at below
        if not there:
            raise _refuse(value if isinstance(value, str) else value.isoformat(), f"which no clock in {zone} shows")
        instant = local
    time = (instant - EPOCH) // MICROSECOND
    if not FIRST <= time <= LAST:
        raise _refuse(value if isinstance(value, str) else value.isoformat(), "outside of the years 1 to 9999 in UTC")
    return time


FIRST = (datetime(1, 1, 1, tzinfo=UTC) - EPOCH) // MICROSECOND
LAST = (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC) - EPOCH) // MICROSECOND


def _written(text: str, zone: str | None) -> datetime:
    """Return a time as written, with its offset if it has one."""
    found = TIME.fullmatch(text.strip(" \t")) if len(text) <= LONGEST else None
    if not found:
        raise _refuse(text)
    day, minute, second, fraction, offset = found.groups()
    if (minute is None and offset) or (fraction and second is None):
        raise _refuse(text)
    if minute is None and zone is None:
        offset = "Z"
    micro = f".{fraction[:6]:0<6}" if fraction else ""
    try:
        return datetime.fromisoformat(f"{day}T{minute or '00:00'}{second or ':00'}{micro}{(offset or '').upper()}")
    except ValueError:
        raise _refuse(text, "which is not in the calendar") from None


_RULES: dict[Kind, Callable[[Any], Any]] = {
    "string": _string,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
}


def whole(digits: str) -> int | str:
    """Return JSON's whole number; one of very many digits stays text, to be refused where a number is declared."""
    return int(digits) if len(digits) <= LONGEST else digits
