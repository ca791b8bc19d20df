"""How many rows a CSV file has, counted apart from the reader that reads them: none is lost without a word."""

import csv
import io
import sys
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

BLOCK_BYTES = 8 << 20
UNCLOSED = "a quote that is not closed where its field ends takes in what follows; correct it"
csv.field_size_limit(sys.maxsize)  # the module's own bound is for another time


@dataclass(frozen=True)
class CsvCount:
    """Rows, the header not among them, and whether the file has quotes, within which lines may break.

    `broken` is the line of the first row in which a quote is not closed where its field ends: it takes in what follows.
    `longest` is as many bytes as the longest row has, or more.
    """

    rows: int
    quoted: bool
    broken: int | None
    longest: int


def count_csv(raw: BinaryIO, separator: str = ",") -> CsvCount:
    """Count the lines that are not empty, those that break within quotes as one; from the beginning, then back to it.

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
    raw.seek(0)
    rows, size, longest, quoted, plain, inside, last, closed = 0, 0, 0, False, True, False, ord("\n"), False
    for block in iter(lambda: raw.read(BLOCK_BYTES), b""):
        characters = np.frombuffer(block, np.uint8)
        breaks = (characters == 10) | (characters == 13)
        before = np.concatenate([[last], characters[:-1]]).astype(np.uint8)
        after_break = (before == 10) | (before == 13)
        if inside or b'"' in block or closed:
            quoted = True
            quotes = characters == 34
            within = np.logical_xor.accumulate(quotes) ^ inside
            opens, closes = quotes & within, quotes & ~within
            ends = breaks | quotes | (characters == ord(separator))
            starts = after_break | (before == 34) | (before == ord(separator))
            after_close = np.concatenate([[closed], closes[:-1]])
            plain &= not bool((opens & ~starts).any() or (after_close & ~ends).any())
            breaks &= ~within
            after_break &= ~np.concatenate([[inside], within[:-1]])
            inside, closed = bool(within[-1]), bool(closes[-1])
        rows += int(np.count_nonzero(after_break & ~breaks))
        last = int(characters[-1])
        ends = np.flatnonzero(breaks)
        if len(ends):
            longest = max(longest, size + int(ends[0]), int(np.diff(ends).max(initial=0)))
            size = len(block) - int(ends[-1])
        else:
            size += len(block)
    return rows, quoted, plain and not inside, max(longest, size)


def _read(raw: BinaryIO, separator: str) -> tuple[int, int | None, int]:
    """Count as Python's own reader of CSV does, up to the line of the first row whose quotes are not in order."""
    raw.seek(0)
    text = io.TextIOWrapper(raw, "utf-8", errors="replace", newline="")
    reader = csv.reader(text, delimiter=separator, strict=True)
    rows, line, longest = 0, 1, 0
    try:
        for row in reader:
            rows += bool(row)
            longest = max(longest, sum(4 * len(field) + 3 for field in row))  # in UTF-8, with quotes and separators
            line = reader.line_num + 1
    except csv.Error:
        return rows, line, longest
    finally:
        text.detach()
    return rows, None, longest
