"""Files as people have them: whatever is wrong with some rows, every row that goes in comes out or is put aside."""

import csv
import gzip
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ringbound.batch import readers
from ringbound.batch.readers import read_chunks
from ringbound.batch.table import columns_from_table
from ringbound.data.counting import count_csv
from ringbound.data.files import Files
from ringbound.data.ingest import Table, ingest
from ringbound.errors import InputError, SourceError
from ringbound.features.request import Field

COLUMNS = {"id": "string", "n": "integer", "x": "number", "at": "timestamp", "name": "string"}
FIELDS = [
    Field("id", "category", "which", "a"),
    Field("x", "number", "how much", 1.5, required=False),
    Field("at", "timestamp", "when", "2020-01-01T00:00:00Z"),
    Field("name", "category", "its name", "a", required=False, pattern="[^\x00]*"),
]
BAD = {  # what a row has instead, by column; each makes that row, and no other, one to put aside
    "a word": {"x": "many"},
    "a word for a time": {"at": "now"},
    "true": {"x": "true"},
    "a number of 5,000 digits": {"x": "9" * 5000},
    "a far date": {"at": "99999-01-01T00:00:00Z"},
    "not in the calendar": {"at": "2020-02-30T00:00:00Z"},
    "an epoch": {"at": "1600000000"},
    "no end": {"x": "inf"},
    "digits apart": {"x": "1_000"},
    "a NUL": {"name": "a\x00b"},
}
GOOD = {  # strange, and in order
    "a line break": {"name": "two\nlines"},
    "two kinds of break": {"name": "a\r\nb\rc"},
    "a separator": {"name": "a,b"},
    "quotes": {"name": 'say "so"'},
    "another line separator": {"name": "a\u2028b\x85c"},
    "nothing": {"name": "", "x": ""},
    "spaces": {"x": " 2.5 "},
    "long": {"name": "long " * 40},
}
BROKEN_CSV = ["1,2\n", "a,b,c,d,e,f,g\n", "lonely\n"]
BROKEN_JSON = [
    b"[1]\n",
    b"{\n",
    b'{"id": "\xff\xfe"}\n',
    b"null\n",
    b'{"id": 1}{"id": 2}\n',
    b"\x00\n",
    b"[" * 5000 + b"\n",
]


def damaged(seed: int) -> tuple[list[dict | str | bytes], int, int]:
    """Return records and broken lines, ten of them damaged; how many cannot be a row's values, and how many are no rows."""
    random = np.random.default_rng(seed)
    records: list = [
        {"id": f"r{i}", "n": str(i), "x": f"{i / 4}", "at": f"2020-01-{i % 28 + 1:02}T00:00:00Z", "name": f"n{i}"}
        for i in range(int(random.integers(20, 200)))
    ]
    bad = malformed = 0
    for _ in range(10):
        place = int(random.integers(len(records)))
        if not isinstance(records[place], dict) or "damaged" in records[place]:
            continue
        kind = random.choice(["bad", "good", "broken"])
        if kind == "broken":
            records.insert(
                place, random.choice(BROKEN_CSV) if seed % 2 else BROKEN_JSON[random.integers(len(BROKEN_JSON))]
            )
            malformed += 1
        else:
            chosen = BAD if kind == "bad" else GOOD
            records[place] |= chosen[str(random.choice(list(chosen)))] | {"damaged": True}
            bad += kind == "bad"
    return records, bad, malformed


def written(records: list, seed: int) -> bytes:
    """Return the records as CSV (odd seeds) or JSON Lines, with one of the usual line ends and, sometimes, a mark."""
    out = io.BytesIO()
    if seed % 2:
        end = ["\n", "\r\n"][seed // 2 % 2]
        quoting = [csv.QUOTE_MINIMAL, csv.QUOTE_ALL][seed // 4 % 2]
        out.write((",".join(COLUMNS) + end).encode())
        for record in records:
            if isinstance(record, str):
                out.write(record.encode())
            else:
                text = io.StringIO()
                csv.writer(text, lineterminator=end, quoting=quoting).writerow([record[name] for name in COLUMNS])
                out.write(text.getvalue().encode() + (b"\n" if seed // 8 % 2 else b""))  # empty lines
    else:
        out.write(b"\xef\xbb\xbf" if seed // 2 % 2 else b"")
        for record in records:
            plain = record if isinstance(record, bytes) else {k: v for k, v in record.items() if k != "damaged"}
            out.write(
                plain if isinstance(plain, bytes) else (json.dumps(plain, ensure_ascii=bool(seed % 4)) + "\n").encode()
            )
    return out.getvalue()


@pytest.mark.parametrize("seed", range(50))
def test_rows_in_are_rows_out_and_rows_put_aside(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(readers, "CHUNK_BYTES", 4096)
    records, bad, malformed = damaged(seed)
    content = written(records, seed)
    file = tmp_path / ("rows.csv" if seed % 2 else "rows.jsonl")
    file.write_bytes(content)
    source = file
    if seed % 3 == 0:
        source = tmp_path / f"{file.name}.gz"
        source.write_bytes(gzip.compress(content))
    raw = tmp_path / "raw"
    raw.mkdir()
    table = Table("rows", Files(source, COLUMNS), COLUMNS, ("id",), time="at")
    through = pd.Timestamp("2030-01-01", tz="UTC")
    facts = ingest([table], through=through, previous=tmp_path / "none", out=raw).tables["rows"]
    assert (facts.read, facts.rows, facts.rejected) == (len(records), len(records) - bad - malformed, bad + malformed)
    rejected = pd.read_parquet(raw / "rejected.parquet")
    assert (rejected["reason"].str.len() > 10).all()
    chunks = list(read_chunks([file]))
    errors = np.concatenate([columns_from_table(chunk.rows, FIELDS, chunk.given)[1] for chunk in chunks])
    assert sum(len(chunk.malformed) for chunk in chunks) == malformed
    assert (len(errors), int((errors != None).sum())) == (len(records) - malformed, bad)  # noqa: E711 - elementwise


@pytest.mark.parametrize(
    ("content", "rows", "broken"),
    [
        ("a,b\n1,2\n", 1, None),
        ("a,b\n1,2", 1, None),
        ("a,b\r\n\r\n1,2\r\n\r\n", 1, None),
        ("a,b\r1,2\r", 1, None),
        ('a,b\n"1\n\n2",3\n', 1, None),
        ('a,b\n"1 ""x""\n2",3\n4,5', 2, None),
        ('a,b\n1,5" pipe\n2,6" pipe\n', 2, None),
        ('a,b\n1,5" pipe\n2,x\n', 2, None),
        ('a,b\n1,"x\n2,y\n3,z\n', 0, 2),
        ('a,b\n0,0\n1,"x\n2,"y"\n3,z\n', 1, 3),
        ('a,b\n1,"x\n2,y\n3,"z\n4,z\n', 0, 2),
        ('a,b\n"x"y,1\n', 0, 2),
        ('\ufeff"a\n1","b"\n1,2\n', 1, None),
        ("a,b\n1\n2\n3\n", 0, None),
        ("", 0, None),
    ],
)
@pytest.mark.parametrize("block", [1, 3, 1 << 20])
def test_rows_are_counted_as_they_are_read(content, rows, broken, block, monkeypatch, tmp_path):
    monkeypatch.setattr("ringbound.data.counting.BLOCK_BYTES", block)
    count = count_csv(io.BytesIO(content.encode()))
    assert (count.broken, '"' in content) == (broken, count.quoted)
    assert broken or count.rows == rows or content.startswith("a,b\n1\n2")  # three that are none
    file = tmp_path / "rows.csv"
    file.write_text(content, newline="")
    both = (
        lambda: len(Files(file, {"b": "string"}).read(None, pd.Timestamp.now("UTC")).rows),
        lambda: sum(chunk.rows.num_rows for chunk in read_chunks([file])),
    )
    for read in both if content else ():
        if broken:
            with pytest.raises((SourceError, InputError), match=f"rows.csv: line {broken}: a quote that is not closed"):
                read()
        else:
            assert read() == rows


def test_a_reader_that_loses_a_row_is_found_out(tmp_path, monkeypatch):
    file = tmp_path / "rows.csv"
    file.write_text("a\n1\n2\n3\n")
    real = count_csv

    def one_more(raw, separator=","):
        found = real(raw, separator)
        return replace(found, rows=found.rows + 1)

    monkeypatch.setattr("ringbound.data.files.count_csv", one_more)
    monkeypatch.setattr("ringbound.batch.readers.count_csv", one_more)
    with pytest.raises(SourceError, match="4 rows went in and 3 came out"):
        Files(file, {"a": "string"}).read(None, pd.Timestamp.now("UTC"))
    with pytest.raises(InputError, match="4 rows went in and 3 came out"):
        list(read_chunks([Path(file)]))
