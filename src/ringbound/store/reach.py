"""How a store is reached: a limit on each wait, and no writing into a file that nobody will ever open again."""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import sqlalchemy as sa

from ringbound.errors import StoreError, one_line

LOCK = 7_260_127_311
"""The advisory lock under which writers take turns in PostgreSQL."""
STATEMENT_S = 60
"""Seconds that a statement may take in PostgreSQL: reading a long log back is one."""
File = tuple[int, int]
"""The device and the number of a file, which stay its own however it is called."""


class Reached:
    """Connections to the database at a SQLAlchemy URL, made ready on first use.

    Without `make`, an SQLite store must be there. `wait_s` limits how long anything waits for a connection or a lock. The
    file of an SQLite store is held to be the one that was opened: where it is gone, or another has taken its place, nothing
    is read or written until it is back.
    """

    def __init__(self, url: str, *, wait_s: float = 10.0, make: bool = True):
        try:
            address = sa.make_url(url)
            self.lite = address.get_backend_name() == "sqlite"
            more = {} if self.lite else {"connect_args": _limits(address, wait_s), "pool_timeout": wait_s}
            self.engine = sa.create_engine(address, pool_pre_ping=True, **more)
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as error:
            raise StoreError(
                f"store: expected sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME; {one_line(error, 200)}"
            ) from error
        self._path = address.database if self.lite and address.database != ":memory:" else None
        self._file: File | None = None
        self._reading: sa.Connection | None = None
        self._recorder: sa.Connection | None = None
        # SQLite lets one write, and has the others look again now and then: within a process they wait in line instead.
        self._line = _line(self._path)
        self._wait_s = wait_s
        if self._path and not make and not os.path.isfile(self._path):  # noqa: PTH113
            raise StoreError("store: expected one that is there; there is none at this place; see --store")
        if self.lite:
            sa.event.listen(self.engine, "connect", _sqlite_opener(wait_s))
            if self._path:
                _make_private(self._path)

    def _read(self, statement: sa.Executable, values: Mapping[str, Any]) -> Sequence[Any]:
        """Read on one connection that is kept, and opened anew once if it was lost."""
        self._check_file()
        for last in (False, True):
            try:
                if self._reading is None:
                    self._reading = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                return self._reading.execute(statement, values).fetchall()
            except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
                self._leave()
                if last:
                    raise _failed("read", error) from error
        raise AssertionError

    def close(self) -> None:
        """Let go of the connections; asked again, it opens new ones."""
        self._leave()
        self._forget_recorder()
        self.engine.dispose()

    def _leave(self) -> None:
        lost, self._reading = self._reading, None
        if lost is not None:
            lost.invalidate()
            lost.close()

    def _finds(self, query: str) -> bool:
        """Ask the driver itself whether a query gives a row, in the time of one answer in a hundred of SQLAlchemy's."""
        self._check_file()
        if self._reading is None:
            return True  # reading on will open the connection anew, or say what is wrong
        try:
            cursor = self._reading.connection.driver_connection.cursor()  # type: ignore[union-attr]
            try:
                return cursor.execute(query).fetchone() is not None
            finally:
                cursor.close()
        except self.engine.dialect.loaded_dbapi.Error:
            return True

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for one's turn to write an SQLite store, as long as anything is waited for."""
        if not self.lite:
            yield
        elif self._line.acquire(timeout=self._wait_s):
            try:
                yield
            finally:
                self._line.release()
        else:
            raise StoreError("store: cannot be written: others have been writing for too long; try again")

    @contextmanager
    def _looking(self) -> Iterator[sa.Connection]:
        """A connection to read on, for a thread that is none of those that answer."""
        self._check_file()
        try:
            with self.engine.connect() as connection:
                yield connection
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            raise _failed("read", error) from error

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """A transaction in which no other writer is, and which survives a loss of power."""
        try:
            before = self._check_file()
            with self._turn(), self.engine.connect() as connection:
                if self.lite:
                    connection.exec_driver_sql("PRAGMA synchronous=FULL")
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                else:
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
                yield connection
                connection.commit()
                self._check_same(before)
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            raise _failed("written", error) from error

    @contextmanager
    def _recording(self) -> Iterator[Any]:
        """A transaction of the driver's own cursor, on one connection that is kept; it survives a loss of the process.

        Each answer waits for one: SQLAlchemy would take longer than the writing. One thread at a time.
        """
        before = self._check_file()
        with self._turn():
            yield from self._record_now()
        self._check_same(before)

    def _record_now(self) -> Iterator[Any]:
        try:
            if self._recorder is None:
                self._recorder = self.engine.connect()
                off = "PRAGMA synchronous=NORMAL" if self.lite else "SET SESSION synchronous_commit = off"
                self._recorder.exec_driver_sql(off)
                self._recorder.commit()
            driver: Any = self._recorder.connection.driver_connection
            cursor = driver.cursor()
            if self.lite:
                cursor.execute("BEGIN IMMEDIATE")
            yield cursor
            driver.commit()
        except (self.engine.dialect.loaded_dbapi.Error, sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            self._forget_recorder()
            raise _failed("written", error) from error
        except BaseException:
            self._forget_recorder()
            raise

    def _forget_recorder(self) -> None:
        lost, self._recorder = self._recorder, None
        if lost is not None:
            with suppress(self.engine.dialect.loaded_dbapi.Error, sa.exc.SQLAlchemyError):
                lost.connection.driver_connection.rollback()  # type: ignore[union-attr]  # else SQLite's lock stays
            with suppress(sa.exc.SQLAlchemyError):
                lost.invalidate()
                lost.close()

    def _check_file(self) -> File | None:
        """Return which file this is, where it is one; `StoreError` where that which was opened is not there any more."""
        if self._file is None:
            return None
        found = self._on_disk()
        if found is None:
            raise StoreError("store: its file is not there any more; put it back")
        if found != self._file:
            raise StoreError(
                "store: another file lies where its own was; put that back, or stop what runs, remove the -wal and -shm "
                "beside the other, and start again"
            )
        return found

    def _check_same(self, before: File | None) -> None:
        """Raise `StoreError` where what has been written lies in a file that is not there any more."""
        if before is not None and self._on_disk() != before:
            raise StoreError("store: its file was taken away while it was written; put it back and try again")

    def _on_disk(self) -> File | None:
        assert self._path
        try:
            about = os.stat(self._path)  # noqa: PTH116 - asked before every answer
        except OSError:
            return None
        return about.st_dev, about.st_ino


@cache
def _line(path: str | None) -> threading.Lock:
    """Return where those of this process who write a file of SQLite wait for one another."""
    return threading.Lock()


def _failed(what: str, error: Exception) -> StoreError:
    """Return the error to raise where the database has one of its own."""
    return StoreError(f"store: cannot be {what}: {one_line(getattr(error, 'orig', None) or error, 200)}; try again")


def _limits(address: sa.URL, wait_s: float) -> dict[str, Any]:
    """Return what PostgreSQL's driver is told, unless the URL says it: what a server can limit does not wait for good."""
    limits: dict[str, Any] = {
        "connect_timeout": max(2, round(wait_s)),  # less is none to libpq
        "tcp_user_timeout": round(wait_s * 1000),
        "keepalives_idle": max(1, round(wait_s)),
        "options": f"-c lock_timeout={round(wait_s * 1000)} -c statement_timeout={STATEMENT_S * 1000}",
    }
    return {name: value for name, value in limits.items() if name not in address.query}


def _make_private(path: str) -> None:
    """Make the file of a new store, for nobody's eyes but its owner's: it holds what people asked and were told.

    One that is there is not touched: to close it would take away all locks that this process has on it (POSIX), and who comes
    next would take the store for left.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError:
        return  # it is there, or opening it will say what is wrong


def _sqlite_opener(wait_s: float) -> Any:
    def open_sqlite(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where this module says so
        for setting in (f"busy_timeout={round(wait_s * 1000)}", "journal_mode=WAL"):
            connection.execute(f"PRAGMA {setting}")

    return open_sqlite
