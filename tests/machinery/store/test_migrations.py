"""Stores of every schema that was ever in use become current, and keep what they have."""

import sqlite3
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from ringbound.errors import StoreError
from ringbound.store import schema
from ringbound.store.records import Event, LogEnd, Prediction
from ringbound.store.sealing import digest
from ringbound.store.store import Store

HERE = Path(__file__).parent


@pytest.fixture
def old(url) -> str:
    """The URL of a store of the first schema, with three events and two predictions."""
    kind = url.partition(":")[0].partition("+")[0]
    script = HERE / f"schema_0001_{kind}.sql"
    if kind == "sqlite":
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.executescript(script.read_text("utf-8"))
    else:
        plain = url.replace("postgresql+psycopg", "postgresql")
        subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", script, plain], check=True, capture_output=True)
    return url


def test_an_old_store_keeps_its_events_and_predictions(old, caplog):
    store = Store(old)
    assert "store: schema 0001 brought up to 0009" in caplog.text
    assert store.log == "0123456789abcdef" * 2
    assert [(e.seq, e.source, e.id, e.available_at) for e in store.tail(0)] == [
        (1, "sales", "a", 1000),
        (2, "sales", "b", 2600),
        (3, "returns", "a", 3000),
    ]
    latest, first = store.predictions(10)
    assert (latest.prediction_id, latest.row) == ("p2", '{"who": "bøb"}')
    assert first.answer == 0.1 + 0.2
    assert first.vector[::-1] == latest.vector


def test_an_old_store_takes_new_events(old):
    store = Store(old)
    done = store.append("sales", [Event("a", 1000, {"paid": 1.5, "who": "ann"}), Event("c", 9000, {})])
    assert (done.accepted, done.duplicates, done.conflicting) == (1, 1, [])
    assert store.end().position > 3


def test_an_old_store_gets_the_schema_that_is_declared(old):
    assert differences(Store(old)) == []


def test_a_new_store_has_the_schema_that_is_declared(url):
    assert differences(Store(url)) == []


def differences(store: Store) -> list:
    """Return what would have to change for a store to be as declared."""
    with store.engine.connect() as connection:
        assert connection.scalar(sa.select(schema.VERSION.c.version_num)) == schema.HEAD
        return compare_metadata(MigrationContext.configure(connection), schema.METADATA)


def test_the_last_revision_is_the_one_that_is_current():
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.HEAD]


def test_a_store_of_a_newer_version_is_one_line_and_stays_as_it_is(url):
    store = Store(url)
    with store.engine.begin() as connection:
        connection.execute(sa.update(schema.VERSION).values(version_num="9999"))
    with pytest.raises(StoreError, match="got 9999, of a newer ringbound") as error:
        Store(url)
    assert "\n" not in str(error.value)
    assert store.end() == LogEnd(0, None)


def test_a_migration_that_fails_leaves_the_old_store(old, monkeypatch):
    """The index that the migration makes is there already: a stranger's."""
    engine = sa.create_engine(old)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE INDEX predictions_made ON predictions (made_at)")
    with pytest.raises(StoreError):
        Store(old)
    assert "alembic_version" not in sa.inspect(engine).get_table_names()
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX predictions_made")
    assert Store(old).end().position == 3


def test_records_have_the_digests_that_they_were_sealed_with():
    """Of schema 0008: what is added later must not change what was sealed before."""
    kept = Prediction(
        prediction_id="p1", made_at=1_600_000_000_000_000, at=1_600_000_000_000_000, position=7, model_version="m1",
        features="f1", answer=0.25, row='{"a": 1}', vector=b"\x00" * 8, rung="full", reason=None, decision=True,
        code="c1", took_us=12,
    )  # fmt: skip
    assert digest(kept) == "d9fd511d274a0156c004725579c9434758fd4aabdb9b060f1de27404a032e324"
    left = replace(kept, propensity=0.5)
    assert digest(left) == "a9370aa59641bb08866597a6d2d604736152ba6a9384288a4d10098a8e3544ca"
    assert digest(replace(kept, answers=b"some")) != digest(kept)
