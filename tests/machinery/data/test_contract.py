import pandas as pd
import pandera.pandas as pa
import pytest

from ringbound.data.contract import clean_tables, part_rows, refuse_too_many, unreadable
from ringbound.data.files import Files
from ringbound.data.ingest import Table, ingest
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


def test_what_the_schema_coerces_and_parses_comes_out():
    schema = pa.DataFrameSchema(
        {
            "a": pa.Column("Int64", pa.Check.le(3), coerce=True),
            "b": pa.Column(str, parsers=pa.Parser(lambda s: s.str.strip())),
        }
    )
    rows = pd.DataFrame({"a": ["1", "x", "9", "2"], "b": [" one", "two", "three", "four "]})
    good, bad = part_rows(rows, schema, table="t")
    assert good["a"].dtype == "Int64"
    assert (good["a"].tolist(), good["b"].tolist()) == ([1, 2], ["one", "four"])
    assert bad["reason"].tolist() == ["a: expected 'Int64', got x", "a: less_than_or_equal_to(3), got 9"]
    assert bad["a"].tolist() == ["x", "9"]


@pytest.mark.parametrize("where", ["column", "table"])
@pytest.mark.parametrize("default", ["all", "exclude_first", "exclude_last"])
def test_the_first_duplicate_that_is_good_stays_whatever_the_schema_says(where, default):
    unique = {
        "id": pa.Column(str, unique=where == "column", report_duplicates=default),
        "size": pa.Column(float, pa.Check.le(10)),
    }
    schema = pa.DataFrameSchema(unique, unique=["id"] if where == "table" else None, report_duplicates=default)
    rows = pd.DataFrame({"id": ["a", "a", "b", "a", "b"], "size": [99.0, 1.0, 2.0, 3.0, 99.0]})
    good, bad = part_rows(rows, schema, table="t")
    assert (good["id"].tolist(), good["size"].tolist()) == (["a", "b"], [1.0, 2.0])
    assert bad["size"].tolist() == [99.0, 3.0, 99.0]
    assert bad["reason"].str.contains("duplicate|unique").tolist() == [False, True, False]


def test_a_row_that_is_a_duplicate_by_one_rule_is_first_by_no_other():
    schema = pa.DataFrameSchema({"a": pa.Column(int, unique=True), "b": pa.Column(int, unique=True)})
    good, bad = part_rows(pd.DataFrame({"a": [1, 1, 2], "b": [5, 6, 6]}), schema, table="t")
    assert (good["b"].tolist(), bad["b"].tolist()) == ([5, 6], [6])


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pa.Column(str, nullable=True, unique=True), [None, None, "x"]),
        (pa.Column("Int64", coerce=True), [1.0, 2.5]),
        (pa.Column(str, pa.Check(lambda s: s > 1)), ["a", "b"]),
    ],
)
def test_a_contract_that_fails_without_naming_a_row_is_one_line(column, values):
    with pytest.raises(ContractError, match=r"^t: ") as error:
        part_rows(pd.DataFrame({"a": values}), pa.DataFrameSchema({"a": column}), table="t")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("sizes", [[1.0, 99.0], [5.0, 1.0]])
@pytest.mark.parametrize(
    "more",
    [{"drop_invalid_rows": True}, {"parsers": pa.Parser(lambda t: t.sort_values("size").reset_index(drop=True))}],
)
def test_a_contract_that_drops_or_moves_rows_by_itself_is_refused(sizes, more):
    schema = pa.DataFrameSchema({"size": pa.Column(float, pa.Check.le(10))}, **more)
    if "drop_invalid_rows" in more and max(sizes) < 10:
        assert len(part_rows(pd.DataFrame({"size": sizes}), schema, table="t")[0]) == 2
        return
    with pytest.raises(ContractError, match="drops or moves rows by itself"):
        part_rows(pd.DataFrame({"size": sizes}), schema, table="t")


def test_a_parser_that_fails_is_one_line():
    schema = pa.DataFrameSchema({"size": pa.Column(parsers=pa.Parser(lambda s: s + "x"))})
    with pytest.raises(ContractError, match=r"^t: its contract fails: ") as error:
        part_rows(pd.DataFrame({"size": [1.0]}), schema, table="t")
    assert "\n" not in str(error.value)


def test_a_strict_contract_sees_the_columns_of_the_table_alone(tmp_path):
    columns = {"id": "string", "at": "timestamp"}
    (tmp_path / "boxes.csv").write_text(
        "id,at\na,2020-01-01T00:00:00Z\nb,2020-02-01T00:00:00Z\nb,2020-02-02T00:00:00Z\n"
    )
    boxes = Table("boxes", Files(tmp_path / "boxes.csv", columns), columns, ("id",), time="at")
    (tmp_path / "raw").mkdir()
    ingest([boxes], through=pd.Timestamp("2020-03-01", tz="UTC"), previous=tmp_path / "none", out=tmp_path / "raw")
    schema = pa.DataFrameSchema({"id": pa.Column(str, unique=True), "at": pa.Column()}, strict=True)
    tables = clean_tables(tmp_path / "raw", {"boxes": lambda tables: schema}, limit=0.5)
    assert tables.partitions["boxes"].tolist() == ["2020-01", "2020-02"]
    assert tables.bad["boxes"][["id", "reason"]].values.tolist() == [["b", "id: expected unique values, got b"]]


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
    (tmp_path / "sales.csv").write_text("id,paid\n1,1\n2,two\n3,3,3\n4,4\n")
    columns = {"id": "integer", "paid": "number"}
    table = Table("sales", Files(tmp_path / "sales.csv", columns), columns, ("id",))
    (tmp_path / "raw").mkdir()
    ingest([table], through=pd.Timestamp("2013-01-01", tz="UTC"), previous=tmp_path / "none", out=tmp_path / "raw")
    bad, totals = unreadable(tmp_path / "raw")
    with pytest.raises(ContractError, match=r"sales.csv: expected at most 2.00% bad rows; got 2 of 4"):
        refuse_too_many(bad, totals, limit=0.02)
