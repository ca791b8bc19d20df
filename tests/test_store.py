"""The log, on SQLite and on a real PostgreSQL: nothing acknowledged is lost, nothing is counted twice, whoever dies."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa

from postgresql import PostgreSQL
from ringbound.errors import StoreError
from ringbound.store import Event, Store, event_clock


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    found = PostgreSQL(tmp_path_factory.mktemp("postgresql"))
    yield found
    found.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    return (
        f"sqlite:///{tmp_path}/store.db" if request.param == "sqlite" else request.getfixturevalue("server").database()
    )


def batch(start: int, size: int, paid: float = 1.0) -> list[Event]:
    return [Event(f"{number:06}", number, {"paid": paid}) for number in range(start, start + size)]


def test_events_come_back_in_order_with_their_stamps(url):
    store = Store(url)
    done = store.append(
        "sales", [*batch(0, 3), Event("late", 1, {"paid": None}, known_at=900)], clock=lambda newest: 500
    )
    assert (done.accepted, done.duplicates, done.conflicting) == (4, 0, [])
    rows = store.tail(0)
    assert [(row.source, row.id, row.available_at) for row in rows] == [
        ("sales", "000000", 500), ("sales", "000001", 500), ("sales", "000002", 500), ("sales", "late", 900)
    ]  # fmt: skip
    assert json.loads(rows[3].payload) == {"paid": None}
    assert [row.seq for row in rows] == sorted(row.seq for row in rows)
    assert store.tail(rows[1].seq) == rows[2:]
    assert store.newest() == (rows[3].seq, 900)


def test_an_event_sent_again_counts_once(url):
    store = Store(url)
    store.append("sales", batch(0, 10))
    again = store.append("sales", batch(5, 10))
    assert (again.accepted, again.duplicates, again.conflicting) == (5, 5, [])
    other = store.append("sales", batch(14, 2, paid=2.0))
    assert (other.accepted, other.duplicates, other.conflicting) == (1, 1, ["000014"])
    assert store.append("returns", batch(0, 1)).accepted == 1
    rows = store.tail(0)
    assert len(rows) == 17
    assert [json.loads(row.payload)["paid"] for row in rows if row.id == "000014"] == [1.0]


def test_an_event_twice_in_one_batch_counts_once(url):
    assert Store(url).append("sales", batch(0, 2) + batch(1, 1)).accepted == 2


def test_the_event_clock_never_goes_back(url):
    store = Store(url)
    store.append("sales", [Event("a", 1000, {})], clock=event_clock)
    store.append("sales", [Event("b", 10, {})], clock=event_clock)
    assert [row.available_at for row in store.tail(0)] == [1000, 1000]


def test_since_gives_a_sources_events_by_when_they_were_known(url):
    store = Store(url)
    for name, time_ in (("c", 30), ("a", 10), ("b", 20), ("d", 20)):
        store.append("sales", [Event(name, time_, {})], clock=lambda newest: 0)
    assert [row.id for row in store.since("sales", 10, 30)] == ["b", "d", "c"]
    assert [row.id for row in store.since("sales", 0, 30, position=store.tail(0)[1].seq)] == ["a", "c"]


def test_a_store_keeps_its_identity(url):
    assert Store(url).log == Store(url).log


def test_predictions_come_back_the_latest_first(url):
    store = Store(url)
    one = {"made_at": 1, "at": 1, "position": 3, "model_version": "m", "features": "f", "answer": 0.1, "row": "{}",
           "vector": b"\x00" * 8}  # fmt: skip
    store.record([one | {"prediction_id": "a"}, one | {"prediction_id": "b", "made_at": 2, "answer": 0.1 + 0.2}])
    latest, first = store.predictions(10)
    assert (latest.prediction_id, latest.answer, first.vector) == ("b", 0.1 + 0.2, b"\x00" * 8)


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
        store.append("sales", batch(start, 20))


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
from ringbound.store import Event, Store
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
        with pytest.raises(StoreError, match="can not be read"):
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
        store.append("sales", [*batch(0, 5), Event("bad", 1, {"paid": object()})])
    assert store.tail(0) == []
