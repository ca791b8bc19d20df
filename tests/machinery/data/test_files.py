import gzip
import io
import zipfile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ringbound.data.files import Files
from ringbound.errors import SourceError

COLUMNS = {"id": "integer", "name": "string", "size": "number", "at": "timestamp"}
CSV = "id,name,size,at\n1,ann,1.5,2013-01-01T00:00:00Z\n2,bob,,2013-01-02T00:00:00+01:00\n"


def read(path):
    return Files(path, COLUMNS).read(None, pd.Timestamp.max)


def zipped(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("rows.csv", text)
    return buffer.getvalue()


@pytest.fixture
def expected() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": pd.array([1, 2], "Int64"),
            "name": ["ann", "bob"],
            "size": [1.5, float("nan")],
            "at": pd.to_datetime(["2013-01-01T00:00Z", "2013-01-01T23:00Z"], utc=True).as_unit("us"),
        }
    )


def test_every_format_gives_the_same_rows(tmp_path, expected):
    (tmp_path / "rows.csv").write_text(CSV)
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(CSV.encode(), mtime=0))
    (tmp_path / "rows.csv.zip").write_bytes(zipped(CSV))
    (tmp_path / "rows.jsonl").write_text(
        '{"id": 1, "name": "ann", "size": 1.5, "at": "2013-01-01T00:00:00Z"}\n'
        '{"id": 2, "name": "bob", "size": null, "at": "2013-01-02T00:00:00+01:00"}\n'
    )
    expected.to_parquet(tmp_path / "rows.parquet")
    for name in ("rows.csv", "rows.csv.gz", "rows.csv.zip", "rows.jsonl", "rows.parquet"):
        reading = read(tmp_path / name)
        pd.testing.assert_frame_equal(reading.rows, expected, obj=name)
        assert reading.rejected.empty, name


def test_glob_reads_files_in_order_of_name(tmp_path):
    (tmp_path / "b.csv").write_text(CSV)
    (tmp_path / "a.csv").write_text(CSV.replace("ann", "amy"))
    assert read(tmp_path / "*.csv").rows["name"].tolist() == ["amy", "bob", "ann", "bob"]


def test_malformed_line_is_rejected_with_its_text(tmp_path):
    (tmp_path / "rows.csv").write_text(CSV + "3,too,many,2013-01-01T00:00:00Z,fields\n4,dan,2,2013-01-04T00:00:00Z\n")
    reading = read(tmp_path / "rows.csv")
    assert reading.rows["id"].tolist() == [1, 2, 4]
    (row,) = reading.rejected.to_dict("records")
    assert row["place"] == "line 4"
    assert row["reason"] == "expected 4 fields, got 5"
    assert row["row"] == "3,too,many,2013-01-01T00:00:00Z,fields"


def test_file_cut_short_in_a_line_rejects_that_line(tmp_path):
    (tmp_path / "rows.csv").write_text(CSV + "3,ca")
    reading = read(tmp_path / "rows.csv")
    assert len(reading.rows) == 2
    assert reading.rejected["row"].tolist() == ["3,ca"]


def test_values_of_another_type_are_rejected_with_every_reason(tmp_path):
    (tmp_path / "rows.csv").write_text(CSV + "x,cat,big,yesterday\n3.5,dan,1,2013-01-01T00:00:00Z\n")
    reading = read(tmp_path / "rows.csv")
    assert len(reading.rows) == 2
    assert reading.rejected["reason"].tolist() == [
        "id: expected a whole number; got 'x'; size: expected a finite number; got 'big'; "
        "at: expected a time with offset, like 2013-11-27T17:15:00-05:00; got 'yesterday'",
        "id: expected a whole number; got '3.5'",
    ]


def test_json_line_that_is_no_object_is_rejected(tmp_path):
    (tmp_path / "rows.jsonl").write_text(
        '{"id": 1, "name": "a", "size": 1, "at": "2013-01-01T00:00:00Z"}\n[1]\n{"id": 2, "na'
    )
    reading = read(tmp_path / "rows.jsonl")
    assert len(reading.rows) == 1
    assert reading.rejected["place"].tolist() == ["line 2", "line 3"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("rows.csv", b"", "the file is empty"),
        ("rows.csv", b"id,name,size\n1,a,2\n", "missing ['at']; got ['id', 'name', 'size']"),
        ("rows.csv", b"id,name,size,at\n1,J\xfcrgen,1,2013\n", "expected utf-8 text; byte 0xfc at 19"),
        ("rows.csv.gz", gzip.compress(CSV.encode(), mtime=0)[:-12], "cannot be read whole"),
        ("rows.csv.zip", zipped(CSV)[:-30], "cannot be read whole"),
        ("rows.parquet", b"PAR1 and no more", "cannot be read whole"),
        ("rows.xlsx", b"x", "expected .csv, .csv.zip, .csv.gz, .jsonl or .parquet"),
    ],
)  # fmt: skip
def test_unreadable_file_is_one_clear_line(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError) as error:
        read(tmp_path / name)
    assert says in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_declared_encoding_is_used(tmp_path):
    (tmp_path / "rows.csv").write_bytes("id,name,size,at\n1,Jürgen,1,2013-01-01T00:00:00Z\n".encode("latin-1"))
    assert Files(tmp_path / "rows.csv", COLUMNS, encoding="latin-1").read(None, None).rows["name"][0] == "Jürgen"


def test_missing_file_is_one_clear_line(tmp_path):
    with pytest.raises(SourceError, match=r"expected a file rows\.csv; found none"):
        read(tmp_path / "rows.csv")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"separator": "||"}, "expected one character as separator; got '||'"),
        ({"decimal": ""}, "expected one character as decimal; got ''"),
        ({"encoding": "nope-8"}, "expected an encoding of text"),
        ({"encoding": "hex"}, "expected an encoding of text"),
        ({"zone": "Mars/Phobos"}, "expected a time zone like Europe/Berlin; got 'Mars/Phobos'"),
        ({"missing": "NA"}, "expected missing to be a list of texts"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_one_clear_line(wrong, says):
    with pytest.raises(SourceError) as error:
        Files("rows.csv", {"a": "string"}, **wrong)
    assert says in str(error.value)


def test_a_key_that_is_there_twice_is_no_row(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"a": 1, "a": 2}\n{"a": 3}\n')
    reading = Files(tmp_path / "rows.jsonl", {"a": "integer"}).read(None, pd.Timestamp("2014-01-01T00:00Z"))
    assert reading.rows["a"].tolist() == [3]
    assert reading.rejected["reason"].item() == "expected a JSON object, each key in it once"


@pytest.mark.parametrize(
    ("times", "says"),
    [
        (pa.array([16071, 10**8], pa.int32()).cast(pa.date32()), "100000000 as date32"),
        (pa.array([16071 * 86_400 * 10**6, 2**62]).cast(pa.timestamp("us", "UTC")), "4611686018427387904 as timestamp"),
    ],
)
def test_a_time_that_python_does_not_have_is_that_rows_error(tmp_path, times, says):
    pq.write_table(pa.table({"a": times}), tmp_path / "rows.parquet")
    reading = Files(tmp_path / "rows.parquet", {"a": "timestamp"}).read(None, pd.Timestamp("2030-01-01T00:00Z"))
    assert reading.rows["a"].tolist() == [pd.Timestamp("2014-01-01", tz="UTC")]
    assert says in reading.rejected["row"].item()
