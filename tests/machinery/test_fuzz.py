"""Whatever comes in, what is wrong with it is said by an error of ours: readers, requests, notebooks, records, params.

`make test` tries some inputs of each kind, the same ones every time; `make fuzz MINUTES=20` goes on trying others.
"""

import gzip
import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringbound.batch.readers import read_chunks
from ringbound.batch.table import columns_from_table
from ringbound.data.conversion import TYPES, convert
from ringbound.data.files import Files
from ringbound.data.provenance import Provenance, TableFacts
from ringbound.data.values import value_of
from ringbound.errors import NotAValueError, RingboundError
from ringbound.notebooks import source
from ringbound.serving.intake import Intake
from ringbound.serving.request import columns_from_rows, row_model, validated
from ringbound.store import CLOCKS, Store
from ringbound.testing.notebooks import code_cell, prose_cell, write_notebook
from ringbound.testing.parcels import FEATURES, PROBLEM
from ringbound.workspace.paths import parse_yaml

MINUTES = float(os.environ.get("FUZZ_MINUTES", "0"))
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}


def fuzz(attempt: Callable[..., None], *given_: st.SearchStrategy) -> None:
    """Try a few hundred inputs, always the same; then others, until the minutes are over."""
    settings(max_examples=150, derandomize=True, **QUIET)(given(*given_)(attempt))()
    ends = time.monotonic() + MINUTES * 60
    while time.monotonic() < ends:
        settings(max_examples=2000, **QUIET)(given(*given_)(attempt))()


@contextmanager
def refused_in_one_line() -> Iterator[None]:
    """What is refused is refused by an error of ours, in one line."""
    try:
        yield
    except RingboundError as error:
        if "\n" in str(error):
            raise AssertionError("expected one line") from error


COLUMNS = {"id": "string", "n": "integer", "x": "number", "b": "boolean", "at": "timestamp"}
ROWS = [{"id": "a,b", "n": 7, "x": 1.5, "b": True, "at": "2020-01-01T00:00:00Z"}, {"id": 'a "b"', "n": -1, "x": None}]
CSV = b'id,n,x,b,at\n"a,b",7,1.5,true,2020-01-01T00:00:00Z\n"a\nb",-1,,0,2020-01-01\n'
JSON_LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
TOKENS = [
    b'"', b"\n", b"\r\n", b",", b"\x00", b"\xff", b"\xef\xbb\xbf", b"{", b"}", b"[", b"]", b"null", b"NaN", b"1e999",
    b"9" * 400, b"-", b"\\ud800", b"\\u0000", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"true", b"9999-12-31T23:59:59-23:59",
    b"0001-01-01T00:00:00+23:59", b"[" * 3000, b"<<<<<<< ", b"=======\n", b"%", b"!", b"%%time\n", b"#| export\n",
    b"\\", b":", b"- ", b"&a *a", b"!!python/object", b"\t", b"'", b"(", b"lambda: ", b"yield ", b"return\n", b"await x\n",
    b"\x1b", b"1_0", b"0x1",
]  # fmt: skip
EDIT = st.tuples(st.floats(0, 1), st.integers(0, 12), st.one_of(st.sampled_from(TOKENS), st.binary(max_size=4)))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([2**63, -(2**70), 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def edited(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """Return one of the seeds with some stretches of it replaced."""

    def apply(seed: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
        for where, length, put in edits:
            place = int(where * len(seed))
            seed = seed[:place] + put + seed[place + length :]
        return seed

    return st.builds(apply, st.sampled_from(seeds), st.lists(EDIT, max_size=8))


def parquet(array: pa.Array) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": ["a"] * len(array), **dict.fromkeys(["n", "x", "b", "at"], array)}), buffer)
    return buffer.getvalue()


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("rows.csv", content)
    return buffer.getvalue()


SEEDS = {
    "rows.csv": [CSV, CSV.replace(b"\n", b"\r\n"), b"id,n,x,b,at\n", b"\xef\xbb\xbf" + CSV],
    "rows.jsonl": [JSON_LINES, b"[" + JSON_LINES.replace(b"\n", b",") + b"null]"],
    "rows.csv.gz": [gzip.compress(CSV)],
    "rows.csv.zip": [zipped(CSV)],
    "rows.parquet": [
        parquet(pa.array([1, None])),
        parquet(pa.array([1.5, float("inf")])),
        parquet(pa.array([b"\xff", None])),
        parquet(pa.array([{"a": 1}, None])),
        parquet(pa.array([timedelta(1), None])),
        parquet(pa.array([2**52, 5]).cast(pa.timestamp("s"))),
    ],
}


@pytest.mark.parametrize("name", SEEDS)
def test_files(name, tmp_path):
    file = tmp_path / name
    fields = [field for field in PROBLEM.features.asked if field.name != "at"]

    def attempt(content):
        file.write_bytes(content)
        with refused_in_one_line():
            reading = Files(file, COLUMNS).read(None, pd.Timestamp("2030-01-01", tz="UTC"))
            assert list(reading.rows) == list(COLUMNS)
        if name.count(".") == 1:
            with refused_in_one_line():
                for chunk in read_chunks([file]):
                    columns_from_table(chunk.rows, fields, chunk.given)

    fuzz(attempt, edited(SEEDS[name]))


def test_values():
    def attempt(kind, value):
        column, refused = convert([value], kind)
        if refused:
            with pytest.raises(NotAValueError):
                value_of(kind, value)
        else:
            one = value_of(kind, value)
            assert (one is None) == (column[0].as_py() is None)

    others = st.one_of(JSON, st.binary(), st.datetimes(), st.dates(), st.decimals(), st.timedeltas())
    fuzz(attempt, st.sampled_from(list(TYPES)), others)


def test_requests():
    model = row_model(FEATURES.asked)

    def attempt(value, name, more):
        with refused_in_one_line():
            rows = validated(model, [dict(PROBLEM.examples[0]) | {name: value} | more], "row")
            columns_from_rows(rows, FEATURES.request)

    names = st.sampled_from([field.name for field in FEATURES.asked])
    fuzz(attempt, JSON, names, st.dictionaries(st.text(max_size=5), JSON, max_size=1))


def test_events(tmp_path):
    intakes = [Intake(FEATURES.sources, Store(f"sqlite:///{tmp_path}/{name}.db"), CLOCKS[name]) for name in CLOCKS]
    event = {"id": "p", "time": "2020-03-01T10:00:00Z", "depot": "north", "courier": None, "route": 7, "late_min": 7}

    def attempt(value, name, clock):
        with refused_in_one_line():
            intakes[clock].take("arrivals", [event | {name: value}])

    fuzz(attempt, JSON, st.sampled_from([*event, "available_at", "more"]), st.sampled_from([0, 1]))


def test_notebooks(tmp_path):
    path = tmp_path / "notebooks/one.ipynb"
    cells = [code_cell("number = 1\nwords = ['a', {'b': 2.5}]", "parameters"), prose_cell("# Words")]
    write_notebook(path, *cells, code_cell("#| export\nimport math\n\ndef area(r):\n    return math.pi * r**2"))
    code = st.text(alphabet="ab=()[]{}:'\"\\\n\t %!?#0.,@\x00\ud800", max_size=30)

    def attempt(content, cell):
        path.write_bytes(content)
        with refused_in_one_line():
            nb = source.read(path)
            nb["cells"].append(code_cell(cell))
            source.parameters(nb, "one")
            source.parsed(nb, "one")
        with refused_in_one_line():
            source.write_clean(path)
            assert source.cleaned(path).encode() == path.read_bytes(), "what is clean stays as it is"
            source.read(path)

    fuzz(attempt, edited([path.read_bytes()]), code)


def test_records_and_params(tmp_path):
    facts = TableFacts("rows", "rows.csv", 1, None, None, 1, "0")
    record = Provenance("2020-01-01T00:00:00+00:00", {"rows": facts}).to_text()
    file = tmp_path / "provenance.json"

    def attempt(content):
        file.write_bytes(content)
        with refused_in_one_line():
            Provenance.read(file)
        if content.count(b"[") < 100:  # the parser takes minutes for thousands, and people write this file themselves
            with refused_in_one_line():
                assert isinstance(parse_yaml(content.decode("utf-8", "replace"), "params.yaml"), dict)

    fuzz(attempt, edited([record.encode(), b"one:\n  number: 3\n  list: [1, 2]\n"]))
