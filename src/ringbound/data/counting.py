"""How many rows a CSV file has, counted apart from the reader that reads them: none is lost without a word."""

import codecs
import csv
import io
import sys
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

BLOCK_BYTES = 8 << 20
LINE_FEED, RETURN, QUOTE = b'\n\r"'
UNCLOSED = "a quote that is not closed where its field ends; what it takes in cannot be told; correct it"


@dataclass(frozen=True)
class CsvCount:
    """Rows, the header not among them, and whether the file has quotes, within which lines may break.

    `broken` is the line of the first row in which a quote that begins a field is not closed where the field ends.
    `longest` is as many bytes as the longest row has, or more.
    """

    rows: int
    quoted: bool
    broken: int | None
    longest: int


def count_csv(raw: BinaryIO, separator: str = ",") -> CsvCount:
    """Count the lines that are not empty, those that break within quotes as one; from the beginning, then back to it.

    `UnicodeDecodeError` where the file is no UTF-8.

    >>> count_csv(io.BytesIO(b'a,b\\n1,"x\\ny"\\r\\n\\n2,z'))
    CsvCount(rows=2, quoted=True, broken=None, longest=8)
    >>> count_csv(io.BytesIO(b'a,b\\n1,5" pipe\\n2,"x\\n3,"y"\\n')).broken
    3
    """
    rows, quoted, plain, longest = _count(raw, separator)
    broken = None
    if not plain:  # also by quotes within fields, which are characters like others
        rows, broken, longest = _read(raw, separator)
    raw.seek(0)
    return CsvCount(max(rows - 1, 0), quoted, broken, longest)


def _count(raw: BinaryIO, separator: str) -> tuple[int, bool, bool, int]:
    """Count quickly; right where quotes stand around fields alone, which is said as well; and measure the longest row."""
    _begin(raw)
    decoder = codecs.getincrementaldecoder("utf-8")()
    rows = size = longest = 0
    quoted, plain, inside, after_break, closed, last = False, True, False, True, False, LINE_FEED
    beside = np.isin(np.arange(256), [LINE_FEED, RETURN, QUOTE, ord(separator)])
    for block in iter(lambda: raw.read(BLOCK_BYTES), b""):
        decoder.decode(block)
        characters = np.frombuffer(block, np.uint8)
        breaks = np.flatnonzero((characters == LINE_FEED) | (characters == RETURN))
        plain &= not closed or bool(beside[characters[0]])
        closed = False
        if QUOTE in block or inside:
            quoted = True
            quotes = np.flatnonzero(characters == QUOTE)
            opens, closes = quotes[inside::2], quotes[not inside :: 2]
            plain &= bool(beside[np.where(opens > 0, characters[opens - 1], last)].all())
            plain &= bool(beside[characters[closes[closes < len(block) - 1] + 1]].all())
            breaks = breaks[(np.searchsorted(quotes, breaks) + inside) % 2 == 0]
            closed = len(closes) > 0 and int(closes[-1]) == len(block) - 1
            inside = bool((len(quotes) + inside) % 2)
        first, final = (int(breaks[0]), int(breaks[-1])) if len(breaks) else (len(block), -1)
        between = np.diff(breaks)
        rows += int(np.count_nonzero(between > 1)) + (after_break and first > 0) + (0 <= final < len(block) - 1)
        longest = max(longest, size + first, int(between.max(initial=0)))
        size = len(block) - final if len(breaks) else size + len(block)
        after_break, last = final == len(block) - 1, int(characters[-1])
    decoder.decode(b"", final=True)
    return rows, quoted, plain and not inside, max(longest, size)


def _read(raw: BinaryIO, separator: str) -> tuple[int, int | None, int]:
    """Count as Python's own reader of CSV does, up to the line of the first row whose quotes are not in order."""
    _begin(raw)
    text = io.TextIOWrapper(raw, "utf-8", errors="replace", newline="")
    reader = csv.reader(text, delimiter=separator, strict=True)
    rows, line, longest, bound = 0, 1, 0, csv.field_size_limit(sys.maxsize)  # which is of the whole process
    try:
        for row in reader:
            rows += bool(row)
            longest = max(longest, sum(4 * len(field) + 3 for field in row))  # in UTF-8, with quotes and separators
            line = reader.line_num + 1
    except csv.Error:
        return rows, line, longest
    finally:
        text.detach()
        csv.field_size_limit(bound)
    return rows, None, longest


def _begin(raw: BinaryIO) -> None:
    """Go to where the text begins, past a byte-order mark."""
    raw.seek(0)
    if raw.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        raw.seek(0)
