"""What a table holds: each column's kind, by the rule that ingest reads values by, and what is missing.

table = look(Path("rentals.csv"), zone="")
table.columns["hour"].kind
"""

import keyword
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

from ringbound.data.conversion import convert
from ringbound.data.tables import to_pandas
from ringbound.data.values import MISSING, Kind
from ringbound.errors import SourceError
from ringbound.starting.read import read_raw

NOTHING = ("NA", "N/A", "n/a", "null", "NULL", "None", "nan", "NaN", "?", "-")
"""Texts that mean nothing where all else in a column is a number or a time."""
KINDS: tuple[Kind, ...] = ("integer", "number", "timestamp", "boolean", "string")
SAMPLE = 5_000
"""Values by which a kind is guessed; the whole column is then held to it."""
FEW = 0.01
"""The share of values that may not be of a column's kind: their rows are put aside by ingest, with the reason."""
MOST_COLUMNS = 500
CODES = ("id", "code", "nr", "no", "zip", "key", "postcode")
"""Ends of names of numbers that are names."""


@dataclass(frozen=True)
class Column:
    """A column: its name in the file and in code, its kind, and its values, (n,), missing where there is none."""

    original: str
    name: str
    kind: Kind
    values: pd.Series = field(repr=False, compare=False)
    odd: int = 0
    """How many values are not of this kind."""

    @cached_property
    def missing(self) -> float:
        """The share of rows without a value."""
        return float(self.values.isna().mean())

    @cached_property
    def distinct(self) -> int:
        """How many different values there are."""
        return int(self.values.nunique())

    @cached_property
    def numbers(self) -> np.ndarray:
        """Its values as float64, (n,), where they are numbers."""
        return self.values.astype("float64").to_numpy()


@dataclass(frozen=True)
class Look:
    """A table as it was looked at, and how ingest is to read it."""

    path: Path
    columns: dict[str, Column]
    """By their names in the file."""
    options: dict[str, Any]
    """What `Files` takes beside the columns."""
    notes: list[str]

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return len(next(iter(self.columns.values())).values)


def look(path: Path, *, zone: str = "") -> Look:
    """Return what a CSV, JSON Lines or Parquet file holds; times without an offset are on the clock of `zone`, or of UTC.

    `SourceError` where it cannot be read, or has no rows.
    """
    if not path.is_file():
        raise SourceError(f"--table: expected a file; {path.name} is not there")
    try:
        ZoneInfo(zone or "UTC")
    except (KeyError, ValueError, OSError):
        raise SourceError(f"--zone: expected a time zone like Europe/Berlin; got {zone!r}") from None
    raw, options = read_raw(path)
    if not raw or not len(next(iter(raw.values()))):
        raise SourceError(f"{path.name}: expected rows; it has none")
    if len(raw) > MOST_COLUMNS:
        raise SourceError(
            f"{path.name}: expected at most {MOST_COLUMNS} columns; got {len(raw):,}; keep those that may matter"
        )
    texts = not path.name.endswith((".parquet", ".jsonl", ".ndjson"))
    options |= _conventions(raw, options) if texts else {}
    names: dict[str, str] = {}
    columns: dict[str, Column] = {}
    notes = _told(options)
    for original, values in raw.items():
        names[original] = identifier(original, set(names.values()))
        kind, typed, odd, local = _typed(values, options, zone)
        if kind == "integer" and names[original].split("_")[-1] in CODES:  # numbers that are names
            texts, refused = convert(values, "string", missing=options.get("missing", MISSING), zone=None)
            kind, typed = (kind, typed) if refused else ("string", to_pandas(pa.table({"a": texts}))["a"])
        if local and "zone" not in options:
            options["zone"] = zone or "UTC"
            if not zone:
                notes.append(f"times of `{original}` have no offset and are taken for UTC: see `zone`")
        columns[original] = Column(original, names[original], kind, typed, odd)
        if 0 < odd < len(typed):
            notes.append(f"{odd:,} values of `{original}` are no {kind}: their rows are put aside")
    return Look(path, columns, options, notes)


def _told(options: Mapping[str, Any]) -> list[str]:
    """Return what was found out about how the file is written, in words."""
    words = {"separator": "fields are apart by", "encoding": "it is written in", "decimal": "numbers have the mark"}
    notes = [f"{says} `{options[name]}`" for name, says in words.items() if name in options]
    if marks := [mark for mark in options.get("missing", ()) if mark]:
        notes.append(f"where it says {', '.join(marks)}, there is no value")
    return notes


def identifier(text: str, taken: set[str]) -> str:
    """Return a name for code that is like a text, and none of `taken`.

    >>> identifier("Größe (m²)", set()), identifier("class", set()), identifier("2nd", {"n2nd"})
    ('groesse_m2', 'class_', 'n2nd_2')
    """
    for umlaut, plain in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")):
        text = text.lower().replace(umlaut, plain)
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_") or "column"
    name = f"n{name}" if name[0].isdigit() else name
    name = f"{name}_" if keyword.iskeyword(name) or name in RESERVED else name
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


RESERVED = {
    *("at", "available_at", "outcome", "y", "split", "day", "period", "rows", "row_id", "np", "pd", "number"),
    *(
        "all",
        "clock",
        "clock_hour",
        "clock_weekday",
        "hour_of_week",
        "this_hour",
        "clock_yearday",
        "weekday",
        "is_yes",
        "named",
        "outcomes",
    ),
    *(
        "probability",
        "value",
        "decision",
        "model_version",
        "rung",
        "reason",
        "error",
        "low",
        "high",
        "set",
        "prediction_id",
        "recorded",
    ),
    *("explanation", "local_clock", "ranked_within"),
    *("block", "truth", "baseline", "full", "reduced", "default", "prior"),
}
"""Names that a workspace's own code has."""


def _all(texts: pd.Series, pattern: str) -> bool:
    return bool(texts.str.fullmatch(rf"\s*{pattern}\s*").all())


def _sample(values: Any) -> list[Any]:
    step = max(1, len(values) // SAMPLE)
    taken = values[::step] if isinstance(values, list) else values.take(pa.array(range(0, len(values), step)))
    return taken if isinstance(taken, list) else taken.to_pylist()


def _refused(values: Any, kind: Kind, missing: Sequence[str], zone: str | None) -> Mapping[int, str]:
    return convert(values, kind, missing=missing or MISSING, zone=zone)[1]


def _typed(values: Any, options: Mapping[str, Any], zone: str) -> tuple[Kind, pd.Series, int, bool]:
    """Return a column's kind, its values, how many are of another, and whether they are times on a local clock."""
    missing = options.get("missing", MISSING)
    pointed = False
    if options.get("decimal") == ",":
        texts = pd.Series(values.to_pylist(), dtype=object)
        said = texts[texts.notna() & ~texts.isin(missing)]
        numeric = len(said) > 0 and said.str.fullmatch(r"\s*[+-]?\d+(,\d+)?\s*").all()
        values = pa.array(texts.str.replace(",", ".") if numeric else texts, pa.string(), from_pandas=True)
        pointed = bool(numeric and said.str.contains(",").any())  # ingest takes the mark from numbers alone
    sample = _sample(values)
    held = sample if isinstance(values, list) else pa.array(sample, values.type)
    empty = all(value is None or value in missing for value in sample if not isinstance(value, dict | list))
    words = [value for value in sample if isinstance(value, str)]
    named = any(re.fullmatch(r"\s*0\d+\s*", text) for text in words)  # 007 is a name, whatever it is called
    kinds = ("string",) if empty else tuple(k for k in KINDS if not (named and k in ("integer", "number")))
    kinds = tuple(k for k in kinds if not (pointed and k == "integer"))
    there = sum(value is not None and value not in missing for value in sample if not isinstance(value, dict | list))
    for few in (0.0, FEW):  # what fits every value comes before what fits nearly all, and a text last
        for kind in kinds if few else [one for one in kinds if one != "string" or empty]:
            # Without an offset a time, and a date, are on the clock that is given; without one, of UTC.
            clocks = ([] if zone and words else [None]) + [options.get("zone") or zone or "UTC"]
            for clock in clocks if kind == "timestamp" else [None]:
                if len(_refused(held, kind, missing, clock)) > few * there:
                    continue
                converted, refused = convert(values, kind, missing=missing, zone=clock)
                series = to_pandas(pa.table({"a": converted}))["a"]
                if len(refused) <= few * (series.notna().sum() + len(refused)):
                    return kind, series, len(refused), clock is not None
    return "string", pd.Series([None] * len(values), dtype="str"), len(values), False  # lists or objects


def _conventions(raw: Mapping[str, pa.Array], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts as missing, and which mark numbers have, where columns of numbers and times tell."""
    nothing: set[str] = set()
    words: set[str] = set()
    commas = points = False
    for values in raw.values():
        texts = pd.Series(_sample(values), dtype=object).dropna()
        plain = texts[~texts.isin(NOTHING)].astype("str")
        marks = set(texts[texts.isin(NOTHING)])
        points |= (
            len(plain) > 0 and bool(plain.str.fullmatch(r"\s*[+-]?\d*\.\d+\s*").any()) and _all(plain, r"[+-]?[\d.]+")
        )
        with_comma = plain[plain.str.contains(",")]
        german = len(with_comma) > 0 and _all(plain, r"[+-]?\d+(,\d+)?") and not _all(with_comma, r"[+-]?\d{1,3},\d{3}")
        commas |= german
        numbers = pa.array(plain.str.replace(",", ".") if german else plain, pa.string())
        fits = len(plain) > 0 and any(not _refused(numbers, kind, (), "UTC") for kind in ("number", "timestamp"))
        nothing |= marks if fits else set()
        words |= set() if fits else marks
    marks = nothing - words  # what is a text elsewhere is not nothing
    found: dict[str, Any] = {"missing": [*MISSING, *sorted(marks)]} if marks else {}
    return found | ({"decimal": ","} if commas and not points and options.get("separator") == ";" else {})
