import pandas as pd
import pandera.pandas as pa
import pytest

from ringbound.data.contract import part_rows, refuse_too_many, unreadable
from ringbound.errors import ContractError

SCHEMA = pa.DataFrameSchema(
    {"id": pa.Column(str), "size": pa.Column(float, pa.Check.in_range(0, 10), nullable=True)},
    checks=pa.Check(lambda t: t["id"] != "forbidden", error="is forbidden"),
    unique=["id"],
    report_duplicates="exclude_first",
)


def test_rows_are_parted_and_none_is_lost():
    rows = pd.DataFrame({"id": ["a", "b", "a", "forbidden", "c"], "size": [1.0, 11.0, 2.0, None, -1.0]})
    good, bad = part_rows(rows, SCHEMA, table="t")
    assert good["id"].tolist() == ["a"]
    assert dict(zip(bad["id"], bad["reason"], strict=True)) == {
        "b": "size: in_range(0, 10), got 11.0",
        "a": "a duplicate of an earlier row",
        "forbidden": "is forbidden",
        "c": "size: in_range(0, 10), got -1.0",
    }
    assert len(good) + len(bad) == len(rows)


def test_a_row_keeps_all_its_reasons():
    rows = pd.DataFrame({"id": ["a", None], "size": [1.0, 99.0]})
    _, bad = part_rows(rows, SCHEMA, table="t")
    assert bad["reason"].tolist() == ["id: expected a value, got nothing; size: in_range(0, 10), got 99.0"]


def test_good_table_has_no_bad_rows():
    good, bad = part_rows(pd.DataFrame({"id": ["a"], "size": [1.0]}), SCHEMA, table="t")
    assert (len(good), len(bad)) == (1, 0)
    assert "reason" in bad


def test_missing_column_fails_the_table():
    with pytest.raises(ContractError, match=r"t: expected \['id', 'size'\].*got \['id'\]"):
        part_rows(pd.DataFrame({"id": ["a"]}), SCHEMA, table="t")


def test_too_many_bad_rows_fail_with_their_reasons():
    bad = {"t": pd.DataFrame({"reason": ["size: in_range(0, 10), got 11.0", "size: in_range(0, 10), got 12.0"]})}
    assert refuse_too_many(bad, {"t": 100}, limit=0.02)["share"]["t"] == 0.02
    with pytest.raises(ContractError) as error:
        refuse_too_many(bad, {"t": 99}, limit=0.02)
    assert "expected at most 2.00% bad rows; got 2 of 99" in str(error.value)
    assert "'size: in_range(0, 10)': 2" in str(error.value)


def test_rows_that_ingest_could_not_read_count_as_bad(tmp_path):
    from ringbound.data.files import Files
    from ringbound.data.ingest import Table, ingest

    (tmp_path / "sales.csv").write_text("id,paid\n1,1\n2,two\n3,3,3\n4,4\n")
    columns = {"id": "integer", "paid": "number"}
    table = Table("sales", Files(tmp_path / "sales.csv", columns), columns, ("id",))
    (tmp_path / "raw").mkdir()
    ingest([table], through=pd.Timestamp("2013-01-01", tz="UTC"), previous=tmp_path / "none", out=tmp_path / "raw")
    bad, totals = unreadable(tmp_path / "raw")
    with pytest.raises(ContractError, match=r"sales.csv: expected at most 2.00% bad rows; got 2 of 4"):
        refuse_too_many(bad, totals, limit=0.02)
