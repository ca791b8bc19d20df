"""Ugly values that people's files, clients and databases really contain, each with the one outcome it has on every path.

`VALUES` are (declared kind, what came, outcome): the value it becomes, `NOTHING` where it is missing, `REFUSED` where it is
none. Times are given as ISO texts in UTC.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

NOTHING = "nothing"
REFUSED = "refused"

_HUGE = "9" * 5000
_EAST = timezone(timedelta(hours=14))

VALUES: list[tuple[str, Any, Any]] = [
    # text: as written, whatever it looks like
    *[("string", text, text) for text in (
        "007", "501", "501.0", "NA", "NaN", "nan", "null", "None", "N/A", "-", "true", "1e5", "0x10", "1_631", "1,631",
        "9007199254740993", "18446744073709551616", " padded ", "tab\tin", "two\nlines", 'quo"ted', "'", "a,b", ";", "=1+1",
        "é", "e\u0301", "日本", "🛫", "\u200b", "\ufeff", "a\u2028b", "a\x85b", "2013-01-01", "now", "inf", "\\N", "#N/A",
    )],
    ("string", "", NOTHING),
    ("string", None, NOTHING),
    ("string", float("nan"), NOTHING),
    ("string", 501, "501"),
    ("string", -7, "-7"),
    ("string", 2**63 - 1, str(2**63 - 1)),
    ("string", 501.0, REFUSED),
    ("string", 0.1, REFUSED),
    ("string", True, REFUSED),
    ("string", "nul\x00in", REFUSED),
    ("string", "half \ud83d", REFUSED),
    ("string", ["list"], REFUSED),
    ("string", {"a": 1}, REFUSED),
    ("string", Decimal("12"), "12"),
    ("string", b"caf\xc3\xa9", "café"),
    ("string", b"caf\xe9", REFUSED),
    ("string", date(2013, 1, 1), REFUSED),
    # numbers: decimals with digits 0 to 9
    ("number", "1631", 1631.0),
    ("number", "-0.50", -0.5),
    ("number", "+5", 5.0),
    ("number", ".5", 0.5),
    ("number", "5.", 5.0),
    ("number", "1e3", 1000.0),
    ("number", "1E-3", 0.001),
    ("number", " 7 ", 7.0),
    ("number", "00012", 12.0),
    ("number", "0.1", 0.1),
    ("number", "123456789012345678901234567890", 1.2345678901234568e29),
    ("number", 7, 7.0),
    ("number", 7.25, 7.25),
    ("number", -0.0, -0.0),
    ("number", 5e-324, 5e-324),
    ("number", Decimal("1.10"), 1.1),
    ("number", 2**53 + 2, float(2**53 + 2)),
    ("number", "", NOTHING),
    ("number", None, NOTHING),
    ("number", float("nan"), NOTHING),
    *[("number", value, REFUSED) for value in (
        "nan", "NaN", "NA", "null", "inf", "-inf", "Infinity", "1e400", "1_631", "1,631", "1 631", "1.631,5", "0x10", "1e",
        "e5", "--5", "5-", "$5", "5%", "½", "٣", "１２", "true", "True", "now", "2013-01-01", "1e9999999", _HUGE,
        float("inf"), float("-inf"), True, False, [1], {"a": 1}, b"5", 10**400,
    )],
    # times: ISO 8601 with date, time and offset
    ("timestamp", "2013-11-27T17:15:00-05:00", "2013-11-27T22:15:00"),
    ("timestamp", "2013-11-27T22:15:00Z", "2013-11-27T22:15:00"),
    ("timestamp", "2013-11-27 22:15:00z", "2013-11-27T22:15:00"),
    ("timestamp", "2013-11-27T22:15Z", "2013-11-27T22:15:00"),
    ("timestamp", "2013-11-27T22:15:00+0530", "2013-11-27T16:45:00"),
    ("timestamp", "2013-11-27T22:15:00+05", "2013-11-27T17:15:00"),
    ("timestamp", "2013-11-27T22:15:00.25Z", "2013-11-27T22:15:00.250000"),
    ("timestamp", "2013-11-27T22:15:00.123456789Z", "2013-11-27T22:15:00.123456"),
    ("timestamp", "1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999"),
    ("timestamp", "2012-02-29T00:00:00Z", "2012-02-29T00:00:00"),
    ("timestamp", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00"),
    ("timestamp", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59"),
    ("timestamp", "2013-01-01T00:00:00+14:00", "2012-12-31T10:00:00"),
    ("timestamp", datetime(2013, 1, 1, tzinfo=UTC), "2013-01-01T00:00:00"),
    ("timestamp", datetime(2013, 1, 1, tzinfo=_EAST), "2012-12-31T10:00:00"),
    ("timestamp", "2013-11-27", "2013-11-27T00:00:00"),
    ("timestamp", date(2013, 1, 1), "2013-01-01T00:00:00"),
    ("timestamp", "", NOTHING),
    ("timestamp", None, NOTHING),
    *[("timestamp", value, REFUSED) for value in (
        "2013-11-27T17:15:00", "2013-11-27Z", "20131127", "2013", "2013-11", "17:15", "now", "today", "yesterday", "NaT",
        "2013-02-30T00:00:00Z", "2013-02-29T00:00:00Z", "2013-13-01T00:00:00Z", "2013-11-27T24:01:00Z",
        "2013-11-27T17:60:00Z", "2013-11-27T17:15:60Z", "2013-11-27T17:15:00+25:00", "2013-11-27T17:15:00+05:99",
        "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z",
        "27.11.2013 17:15", "11/27/2013", "2013-W48-3T00:00:00Z", "1385590500", "1385590500000", "1.38e9",
        "２013-11-27T17:15:00Z", "2013-11-27T17:15:00 EST", "2013-11-27T17:15:00[Europe/Berlin]", _HUGE,
        1385590500, 1385590500.5, 0, True, datetime(2013, 1, 1), ["2013-11-27T17:15:00Z"],
    )],
]  # fmt: skip


def ugly_values() -> Iterator[tuple[str, Any, Any]]:
    """Yield every declared kind, value and outcome.

    >>> sum(1 for _ in ugly_values()) > 120
    True
    """
    yield from VALUES
