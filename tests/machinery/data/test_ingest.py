import json
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from ringbound.data.files import Files
from ringbound.data.ingest import Table, ingest
from ringbound.data.sql import Sql
from ringbound.data.tables import read_table

COLUMNS = {"id": "integer", "made": "timestamp", "paid": "number"}


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


@pytest.fixture
def rows() -> pd.DataFrame:
    made = pd.date_range("2013-01-01", "2013-04-30", freq="7h", tz="UTC").as_unit("us")
    return pd.DataFrame({"id": range(len(made)), "made": made, "paid": [i / 8 for i in range(len(made))]})


@pytest.fixture(params=["files", "sql"])
def table(request, tmp_path, rows) -> Table:
    texts = rows.assign(made=rows["made"].dt.strftime("%Y-%m-%d %H:%M:%S"))
    if request.param == "files":
        texts.assign(made=texts["made"] + "Z").to_csv(tmp_path / "sales.csv", index=False)
        source = Files(tmp_path / "sales.csv", COLUMNS)
    else:
        engine = sa.create_engine(f"sqlite:///{tmp_path}/sales.db")
        texts.to_sql("sales", engine, index=False)
        engine.dispose()
        source = Sql(f"sqlite:///{tmp_path}/sales.db", "SELECT * FROM sales", COLUMNS, time="made", zone="UTC")
    return Table("sales", source, COLUMNS, ("made", "id"), "made")


def run(table: Table, through: str, previous: Path, out: Path) -> dict[str, bytes]:
    out.mkdir(exist_ok=True)
    ingest([table], through=utc(through), previous=previous, out=out)
    return contents(out)


def contents(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_partitions_hold_every_row_once_in_order(table, rows, tmp_path):
    run(table, "2013-12-31", tmp_path / "none", tmp_path / "a")
    assert sorted(file.stem for file in (tmp_path / "a/sales").iterdir()) == [
        "2013-01",
        "2013-02",
        "2013-03",
        "2013-04",
    ]
    assert read_table(tmp_path / "a", "sales")["id"].tolist() == rows["id"].tolist()


def test_nothing_after_through_is_read(table, tmp_path):
    run(table, "2013-02-10T07:00", tmp_path / "none", tmp_path / "a")
    assert read_table(tmp_path / "a", "sales")["made"].max() <= utc("2013-02-10T07:00")


def test_running_again_gives_the_same_bytes(table, tmp_path):
    first = run(table, "2013-03-15", tmp_path / "none", tmp_path / "a")
    assert run(table, "2013-03-15", tmp_path / "a", tmp_path / "b") == first


def test_a_later_month_only_adds(table, tmp_path):
    before = run(table, "2013-02-28T23:59:59", tmp_path / "none", tmp_path / "a")
    after = run(table, "2013-03-31T23:59:59", tmp_path / "a", tmp_path / "b")
    months = [name for name in before if name.startswith("sales/")]
    assert {name: after[name] for name in months} == {name: before[name] for name in months}
    assert "sales/2013-03.parquet" in after


def test_step_by_step_equals_at_once(table, tmp_path):
    run(table, "2013-02-10", tmp_path / "none", tmp_path / "a")
    run(table, "2013-03-20", tmp_path / "a", tmp_path / "b")
    steps = run(table, "2013-04-30", tmp_path / "b", tmp_path / "c")
    assert steps == run(table, "2013-04-30", tmp_path / "none", tmp_path / "d")


def test_an_earlier_through_takes_rows_away(table, tmp_path):
    run(table, "2013-04-30", tmp_path / "none", tmp_path / "a")
    back = run(table, "2013-02-10", tmp_path / "a", tmp_path / "b")
    assert back == run(table, "2013-02-10", tmp_path / "none", tmp_path / "c")


def test_complete_months_are_not_asked_of_a_database_again(tmp_path, rows):
    texts = rows.assign(made=rows["made"].dt.strftime("%Y-%m-%d %H:%M:%S"))
    engine = sa.create_engine(f"sqlite:///{tmp_path}/sales.db")
    texts.to_sql("sales", engine, index=False)
    table = Table(
        "sales",
        Sql(f"sqlite:///{tmp_path}/sales.db", "SELECT * FROM sales", COLUMNS, "made", zone="UTC"),
        COLUMNS,
        ("made",),
        "made",
    )
    run(table, "2013-03-10", tmp_path / "none", tmp_path / "a")
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM sales WHERE made < '2013-03-01'"))
    run(table, "2013-04-30", tmp_path / "a", tmp_path / "b")
    assert read_table(tmp_path / "b", "sales")["id"].tolist() == rows["id"].tolist()


def test_rows_without_a_usable_time_are_kept_aside(tmp_path):
    (tmp_path / "sales.csv").write_text("id,made,paid\n1,2013-01-01T00:00:00Z,1\n2,,2\nx,2013-01-01T00:00:00Z,3\n")
    table = Table("sales", Files(tmp_path / "sales.csv", COLUMNS), COLUMNS, ("made",), "made")
    run(table, "2013-12-31", tmp_path / "none", tmp_path / "a")
    rejected = pd.read_parquet(tmp_path / "a/rejected.parquet")
    assert len(read_table(tmp_path / "a", "sales")) == 1
    assert sorted(rejected["reason"]) == [
        "id: expected a whole number; got 'x'",
        "sales, made: missing, or a time that does not exist",
    ]
    assert "'id': '2'" in rejected.set_index("place")["row"]["row 2"]


def test_unreadable_rows_of_a_database_are_the_same_step_by_step(tmp_path, rows):
    texts = rows.assign(made=rows["made"].dt.strftime("%Y-%m-%d %H:%M:%S"), paid=rows["paid"].astype("str"))
    texts.loc[[5, 150, 300], "paid"] = "much"
    texts.loc[7, "made"] = None
    engine = sa.create_engine(f"sqlite:///{tmp_path}/sales.db")
    texts.to_sql("sales", engine, index=False)
    engine.dispose()
    source = Sql(f"sqlite:///{tmp_path}/sales.db", "SELECT * FROM sales", COLUMNS, time="made", zone="UTC")
    table = Table("sales", source, COLUMNS, ("made", "id"), "made")
    run(table, "2013-02-20", tmp_path / "none", tmp_path / "a")
    steps = run(table, "2013-04-30", tmp_path / "a", tmp_path / "b")
    assert steps == run(table, "2013-04-30", tmp_path / "none", tmp_path / "c")
    assert len(pd.read_parquet(tmp_path / "b/rejected.parquet")) == 4


def test_provenance_says_where_rows_came_from(table, rows, tmp_path):
    run(table, "2013-12-31", tmp_path / "none", tmp_path / "a")
    facts = json.loads((tmp_path / "a/provenance.json").read_text())["tables"]["sales"]
    assert facts["rows"] == len(rows)
    assert facts["first"] == "2013-01-01T00:00:00+00:00"
    assert "sales" in facts["source"]
    assert len(facts["sha256"]) == 64
    assert str(tmp_path) not in (tmp_path / "a/provenance.json").read_text()
