"""The archive, of SQLite and of PostgreSQL: what was moved is read as if it had not been, and nothing is lost on the way."""

import multiprocessing
import os
import shutil
import signal
import sqlite3
import time
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from ringbound.errors import StoreError
from ringbound.proofs.receipts import check_seals
from ringbound.store import Outcome, Prediction, SetClock, Store, Told
from ringbound.store import archive as archive_module

DAY = 24 * 3_600_000_000
FEBRUARY = 1_359_676_800_000_000


def prediction(number: int, **values) -> Prediction:
    made = Prediction(f"p{number:05}", FEBRUARY + number * DAY, number, 3, "m", "f", number / 7, "{}", bytes(8))
    return replace(made, **values)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "archive"


@pytest.fixture
def store(url, folder) -> Store:
    """Sixty days of one prediction each, four to a seal; every third has an outcome, of which some are corrected."""
    store = Store(url, archive=folder)
    made = [prediction(n, decision=n % 2 == 0 or None, reason="store" if n % 5 == 0 else None) for n in range(60)]
    for start in range(0, 60, 4):
        store.record(made[start : start + 4])
    store.tell([Outcome(f"p{n:05}", n, float(n % 2)) for n in range(0, 60, 3)], SetClock(FEBRUARY))
    store.tell([Outcome(f"p{n:05}", n + 1, 0.1 + 0.2) for n in range(0, 60, 6)], SetClock(FEBRUARY))
    return store


def all_of(store: Store) -> list:
    """Everything that is read of answers."""
    ids = [f"p{n:05}" for n in range(60)]
    return [
        store.predictions(1000), store.predictions(45), store.find(ids), store.seals_of(ids), list(store.seals()),
        store.unsealed(), [store.outcomes_of(name) for name in ids], store.judged(), store.judged(since=FEBRUARY + 10 * DAY),
    ]  # fmt: skip


def seals_are_old(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.execute(archive_module.SEALS.update().values(made_at=FEBRUARY))


def test_what_was_moved_is_read_like_what_was_not(store, folder):
    seals_are_old(store)
    before = all_of(store)
    done = store.put_away(FEBRUARY + 40 * DAY)
    assert (done.predictions, done.outcomes, done.seals) == (40, 21, 14)
    assert all_of(store) == before
    checked = check_seals(store)
    assert (checked.records, checked.wrong) == (60, [])
    assert len(Store(str_url(store)).predictions(1000)) == 20, "without its archive the store has what is young"
    months = sorted(path.name for path in (folder / store.log / "predictions").iterdir())
    assert months == ["month=2013-02", "month=2013-03"]
    assert store.put_away(FEBRUARY + 40 * DAY) == replace(done, predictions=0, outcomes=0, seals=0)


def str_url(store: Store) -> str:
    return store.engine.url.render_as_string(hide_password=False)


def test_outcomes_of_what_was_moved_are_taken_once(store):
    store.put_away(FEBRUARY + 40 * DAY)
    again = store.tell(
        [Outcome("p00000", 0, 0.0), Outcome("p00003", 9, 1.0), Outcome("nobody", 1, 1.0)], SetClock(FEBRUARY)
    )
    assert again == Told(accepted=2, duplicates=1, corrections=1, superseded=1, unknown=1)
    judged = {one.prediction_id: one.outcome for one in store.judged()}
    assert (judged["p00000"], judged["p00003"], judged["p00001"]) == (0.1 + 0.2, 1.0, None)
    assert store.put_away(FEBRUARY + 41 * DAY).outcomes == 1, "the late one follows; that of nobody waits"
    assert {one.prediction_id: one.outcome for one in store.judged()} == judged
    assert [one.value for one in store.outcomes_of("p00003")] == [1.0, 1.0]


def test_what_was_put_away_before_there_was_a_column_is_read_with_its_default(store, folder):
    before = all_of(store)
    store.put_away(FEBRUARY + 40 * DAY)
    for kind, column in (("predictions", "propensity"), ("outcomes", "told_by")):
        for file in sorted((folder / store.log / kind).rglob("*.parquet")):
            pq.write_table(pq.read_table(file, partitioning=None).drop_columns([column]), file)
            file.rename(file.with_stem(archive_module._digest(file.read_bytes())))
    assert all_of(store) == before
    assert check_seals(store).wrong == []


def test_a_record_that_is_changed_in_the_archive_is_found(store, folder):
    store.put_away(FEBRUARY + 40 * DAY)
    (file, *_) = sorted((folder / store.log / "predictions").rglob("*.parquet"))
    table = pq.read_table(file)
    place = table.column_names.index("answer")
    changed = table.set_column(place, "answer", [[0.25, *table["answer"].to_pylist()[1:]]])
    pq.write_table(changed.cast(table.schema), file)
    file.rename(file.with_stem(archive_module._digest(file.read_bytes())))  # by who knows what parts are called by
    (says,) = check_seals(store).wrong
    assert says.startswith("p00000: ")


def test_nothing_is_taken_out_that_is_not_read_back(store, monkeypatch):
    before = all_of(store)
    monkeypatch.setattr(
        archive_module.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(OSError, match="No space"):
        store.put_away(FEBRUARY + 40 * DAY)
    monkeypatch.undo()
    assert len(Store(str_url(store)).predictions(1000)) == 60
    assert all_of(store) == before


def test_a_damaged_part_is_one_line(store, folder):
    store.put_away(FEBRUARY + 40 * DAY)
    (file, *_) = sorted((folder / store.log / "predictions").rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(StoreError, match=r"archive: month=2013-0./.* is not what was written"):
        store.judged()


def test_a_flipped_bit_anywhere_in_a_part_is_one_line(store, folder):
    store.put_away(FEBRUARY + 40 * DAY)
    (file, *_) = sorted((folder / store.log / "outcomes").rglob("*.parquet"))
    whole = file.read_bytes()
    for place in range(0, len(whole), 97):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(StoreError, match=r"archive: month=2013-02/\w+.parquet is not what was written"):
            store.judged()


def _move(url, folder) -> None:
    archive_module.PART_ROWS = 3
    store = Store(url, archive=folder)
    while True:
        store.put_away(FEBRUARY + 60 * DAY)


def test_a_run_that_is_killed_loses_and_doubles_nothing(store, folder):
    before = all_of(store)
    for after in (0.0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.08):
        mover = multiprocessing.get_context("spawn").Process(target=_move, args=(str_url(store), folder))
        mover.start()
        started = time.monotonic()
        while len(Store(str_url(store)).predictions(1000)) == 60 and time.monotonic() < started + 60:
            time.sleep(0.002)
        time.sleep(after)
        os.kill(mover.pid, signal.SIGKILL)
        mover.join()
        assert all_of(store) == before
    store.put_away(FEBRUARY + 60 * DAY)
    assert all_of(store) == before


def test_after_a_backup_was_put_back_nothing_takes_the_place_of_what_was_archived(tmp_path):
    """The store gives numbers again that the archive has for other outcomes."""
    store = Store(f"sqlite:///{tmp_path}/store.db", archive=tmp_path / "archive")
    store.record([prediction(0), prediction(1)])
    with sqlite3.connect(tmp_path / "store.db") as there, sqlite3.connect(tmp_path / "backup.db") as copied:
        there.backup(copied)
    store.tell([Outcome("p00000", 1, 1.0)], SetClock(FEBRUARY))
    store.put_away(FEBRUARY + 9 * DAY)
    for name in ("store.db", "store.db-wal", "store.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup.db", tmp_path / "store.db")
    again = Store(f"sqlite:///{tmp_path}/store.db", archive=tmp_path / "archive")
    again.tell([Outcome("p00001", 1, 0.0)], SetClock(FEBRUARY))
    again.put_away(FEBRUARY + 9 * DAY)
    assert [(one.prediction_id, one.outcome) for one in again.judged()] == [("p00000", 1.0), ("p00001", 0.0)]


def test_what_a_killed_run_left_in_both_is_counted_once(store, monkeypatch):
    with store.engine.begin() as connection:
        connection.execute(archive_module.PREDICTIONS.update().values(seal=None))
    monkeypatch.setattr(Store, "_drop", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store.put_away(FEBRUARY + 40 * DAY)
    assert store.unsealed() == 60
