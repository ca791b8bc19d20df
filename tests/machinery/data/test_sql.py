"""On SQLite, and on a real PostgreSQL server that this module starts from Debian's packages."""

import pandas as pd
import pytest
import sqlalchemy as sa

from postgresql import PostgreSQL, free_port
from ringbound.data.ingest import Table, ingest
from ringbound.data.sql import Sql
from ringbound.errors import SourceError

COLUMNS = {"id": "integer", "name": "string", "paid": "number", "made": "timestamp"}


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory):
    """The URL of a PostgreSQL server of our own."""
    server = PostgreSQL(tmp_path_factory.mktemp("postgresql"), fsync=False)
    yield server.url
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    address = f"sqlite:///{tmp_path}/shop.db" if request.param == "sqlite" else request.getfixturevalue("postgresql")
    engine = sa.create_engine(address)
    kind = "TEXT" if request.param == "sqlite" else "TIMESTAMPTZ"
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS sales"))
        connection.execute(sa.text(f"CREATE TABLE sales (id INT, name TEXT, paid FLOAT, made {kind})"))
        rows = [
            {"id": i, "name": f"n{i}", "paid": i / 4, "made": f"2013-0{1 + i // 10}-{10 + i % 10} 12:00:00"}
            for i in range(30)
        ]
        connection.execute(sa.text("INSERT INTO sales VALUES (:id, :name, :paid, :made)"), rows)
    engine.dispose()
    return address


def test_reads_typed_rows_up_to_through(url):
    reading = Sql(url, "SELECT * FROM sales", COLUMNS, time="made", zone="UTC").read(
        None, pd.Timestamp("2013-02-15T12:00:00Z")
    )
    assert len(reading.rows) == 16
    assert reading.rows.dtypes.astype(str).tolist() == ["Int64", "str", "float64", "datetime64[us, UTC]"]
    assert reading.rows["made"].max() == pd.Timestamp("2013-02-15T12:00:00Z")


def test_incremental_read_asks_for_newer_rows_only(url):
    source = Sql(url, "SELECT * FROM sales", COLUMNS, time="made", zone="UTC")
    rows = source.read(pd.Timestamp("2013-02-01T00:00Z"), pd.Timestamp("2013-03-31T00:00Z")).rows
    assert len(rows) == 20
    assert rows["made"].min() == pd.Timestamp("2013-02-10T12:00:00Z")


def test_missing_column_is_one_clear_line(url):
    with pytest.raises(SourceError) as error:
        Sql(url, "SELECT id, name, made FROM sales", COLUMNS, time="made", zone="UTC").read(
            None, pd.Timestamp("2014-01-01T00:00Z")
        )
    assert "paid" in str(error.value)
    assert "\n" not in str(error.value)


def test_database_that_is_down_is_one_clear_line_without_the_password(monkeypatch):
    monkeypatch.setenv("SHOP", f"postgresql+psycopg://reader:geheim@127.0.0.1:{free_port()}/shop")
    with pytest.raises(SourceError) as error:
        Sql("$SHOP", "SELECT 1", COLUMNS, time="made", zone="UTC").read(None, pd.Timestamp("2014-01-01T00:00Z"))
    assert "check that the database is up" in str(error.value)
    assert "geheim" not in str(error.value)
    assert "\n" not in str(error.value)


def test_password_is_not_described():
    assert "geheim" not in Sql("postgresql://a:geheim@host/db", "SELECT 1", COLUMNS, time="made", zone="UTC").describe()


def in_sqlite(folder, times: list) -> str:
    url = f"sqlite:///{folder}/odd.db"
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text("CREATE TABLE sales (id INT, made)"))
        connection.execute(
            sa.text("INSERT INTO sales VALUES (:id, :made)"), [{"id": i, "made": t} for i, t in enumerate(times)]
        )
    return url


def test_no_time_in_sqlite_is_lost_however_it_is_written(tmp_path):
    times = [
        "2014-01-02T10:00:00Z", "2014-01-02 23:00:00+05:00", "2014-01-02 20:00:00+00:00", "2014-01-02 20:30:00",
        "soon", "n/a", b"\x00", "2014-01-02T20:00:01Z", None,
    ]  # fmt: skip
    source = Sql(
        in_sqlite(tmp_path, times),
        "SELECT * FROM sales",
        {"id": "integer", "made": "timestamp"},
        "made",
        zone="Europe/Berlin",
    )
    reading = source.read(None, pd.Timestamp("2014-01-02T20:00Z"))
    assert reading.rows["id"].tolist() == [0, 1, 2, 3, 8]
    assert len(reading.rejected) == 3


def test_a_month_read_again_has_what_it_had(tmp_path):
    """On New York's clock the first hours of December, in UTC, are still November."""
    columns = {"id": "integer", "made": "timestamp"}
    url = in_sqlite(tmp_path, ["2013-11-30 20:00:00", "2013-12-04 12:00:00"])
    table = Table(
        "sales",
        Sql(url, "SELECT * FROM sales", columns, "made", zone="America/New_York"),
        columns,
        ("id",),
        time="made",
    )
    previous = tmp_path / "none"
    for day in (5, 6):
        out = tmp_path / f"raw{day}"
        out.mkdir()
        facts = ingest([table], through=pd.Timestamp(f"2013-12-0{day}", tz="UTC"), previous=previous, out=out)
        assert facts.tables["sales"].rows == 2
        previous = out
