"""The log, on SQLite and on a real PostgreSQL: nothing acknowledged is lost, nothing is counted twice, whoever dies."""

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa

from postgresql import PostgreSQL
from ringbound.errors import StoreError
from ringbound.store.records import Event
from ringbound.store.store import Store
from ringbound.testing.stores import check_store, events


def test_keeps_the_contract(url):
    check_store(Store(url))


def test_a_store_keeps_its_identity(url):
    assert Store(url).log == Store(url).log


@pytest.mark.parametrize(
    "address", ["nonsense", "sqlite:////no/such/folder/store.db", "postgresql+psycopg://127.0.0.1:1/x"]
)
def test_a_store_that_is_none_is_one_line(address):
    with pytest.raises(StoreError) as error:
        Store(address)
    assert "\n" not in str(error.value)


def _write(url: str, first: int) -> None:
    store = Store(url)
    for start in range(first, first + 1000, 20):
        store.append("sales", events(start, 20))


def test_who_tails_misses_nothing_of_several_writers(url):
    """Numbers given out before others commit would be skipped by who reads past them."""
    reader = Store(url)
    writers = [multiprocessing.get_context("spawn").Process(target=_write, args=(url, 1000 * n)) for n in range(3)]
    for writer in writers:
        writer.start()
    seen, position = [], 0
    deadline = time.monotonic() + 60
    while len(seen) < 3000 and time.monotonic() < deadline:
        for row in reader.tail(position, 50):
            seen.append(row.id)
            position = row.seq
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert sorted(seen) == [f"{number:06}" for number in range(3000)]


SENDER = """
import sys
from ringbound.store.store import Store
from ringbound.store.records import Event
store = Store(sys.argv[1])
for start in range(int(sys.argv[2]), 10_000, 50):
    store.append("sales", [Event(f"{n:06}", n, {"paid": 1.0}) for n in range(start, start + 50)])
    print(start + 50, flush=True)
"""


def sender(url: str, start: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", SENDER, url, str(start)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def acknowledged_until(process: subprocess.Popen, count: int) -> int:
    done = 0
    while done < count:
        done = int(process.stdout.readline())
    return done


def test_a_writer_killed_in_the_middle_loses_nothing_it_acknowledged(url):
    Store(url)
    done = 0
    for stop in (2000, 5000, 8000):
        process = sender(url, done)
        acknowledged_until(process, stop)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        done = int(([stop, *map(int, process.stdout.read().split())])[-1])
        logged = [row.id for row in Store(url).tail(0, 20_000)]
        assert len(set(logged)) == len(logged) >= done
    last = sender(url, max(0, done - 500))  # who does not know what was acknowledged sends it again
    assert last.wait(60) == 0
    assert sorted(row.id for row in Store(url).tail(0, 20_000)) == [f"{n:06}" for n in range(10_000)]


def test_postgresql_killed_in_the_middle_loses_nothing_it_acknowledged(tmp_path):
    server = PostgreSQL(tmp_path)
    try:
        url = server.database()
        reader = Store(url)
        process = sender(url, 0)
        done = acknowledged_until(process, 4000)
        server.kill()
        assert process.wait(30) != 0
        done = int([done, *map(int, process.stdout.read().split())][-1])
        with pytest.raises(StoreError, match="cannot be read"):
            reader.tail(0)
        server.start()
        logged = [row.id for row in reader.tail(0, 20_000)]
        assert len(set(logged)) == len(logged) >= done
        assert sender(url, 0).wait(60) == 0
        assert sorted(row.id for row in reader.tail(0, 20_000)) == [f"{n:06}" for n in range(10_000)]
    finally:
        server.stop()


def test_a_batch_is_whole_or_not_there(url):
    store = Store(url)
    with pytest.raises((TypeError, sa.exc.StatementError)):
        store.append("sales", [*events(0, 5), Event("bad", 1, {"paid": object()})])
    assert store.tail(0) == []


def test_a_store_that_must_be_there_is_not_made(tmp_path):
    with pytest.raises(StoreError, match="expected one that is there"):
        Store(f"sqlite:///{tmp_path}/typo.db", make=False)
    assert list(tmp_path.iterdir()) == []
    Store(f"sqlite:///{tmp_path}/store.db")
    assert Store(f"sqlite:///{tmp_path}/store.db", make=False).end().position == 0


def test_of_one_process_several_stores_may_be_open_while_others_come_and_go(tmp_path):
    """Closing any descriptor of a file drops all of the process's locks on it: who comes next would take it for left."""
    url = f"sqlite:///{tmp_path}/store.db"
    first, _second = Store(url), Store(url)
    first.append("sales", events(0, 5))
    command = "import sys; from ringbound.store import Store; s = Store(sys.argv[1]); print(len(s.tail(0))); s.close()"
    for number in range(3):
        _third = Store(url)
        done = subprocess.run([sys.executable, "-c", command, url], capture_output=True, text=True, check=True)
        assert done.stdout == f"{5 * (number + 1)}\n"
        assert (tmp_path / "store.db-wal").exists()
        first.append("sales", events(5 * (number + 1), 5))


@pytest.mark.parametrize("content", [b"", "another's"])
def test_another_database_is_left_as_it_is(tmp_path, content):
    place = tmp_path / "other.db"
    if content:
        with sqlite3.connect(place) as connection:
            connection.execute("CREATE TABLE events (what TEXT)")
    else:
        place.write_bytes(b"")
    with pytest.raises(StoreError, match="another database"):
        Store(f"sqlite:///{place}", make=False)
    with sqlite3.connect(place) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
    assert tables == (["events"] if content else [])
