"""The operational store: what happened, what was answered, what came of it, what is to serve, and what was found."""

import threading
import uuid
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ringbound.errors import StoreError
from ringbound.store.answers import AnswerLog
from ringbound.store.archive import Archive
from ringbound.store.deployments import DeploymentLog
from ringbound.store.keys import KeyRing
from ringbound.store.log import EventLog
from ringbound.store.schema import ABOUT, bring_up_to_date, is_current
from ringbound.store.watched import WatchLog


class Store(EventLog, AnswerLog, KeyRing, DeploymentLog, WatchLog):
    """A store at a SQLAlchemy URL: `sqlite:///path` (one host) or `postgresql+psycopg://…` (several), ready on first use.

    `log` is its identity. `StoreError` where it cannot be reached within about `wait_s` seconds, is of a newer
    version or, without `make`, is not there. With a folder for an `archive`, what lies there is read too.
    """

    def __init__(self, url: str, *, wait_s: float = 10.0, make: bool = True, archive: Path | None = None):
        super().__init__(url, wait_s=wait_s, make=make)
        with self._looking() as connection:  # nearly every store is current, and nobody who writes has to wait for it
            found = connection.scalar(sa.select(ABOUT.c.log)) if is_current(connection) else None
            if found is None and not make and not sa.inspect(connection).has_table("predictions"):
                raise StoreError("store: expected one that ringbound has made; this is another database; see --store")
        self.log: str = found or self._make()
        self.archive = Archive(archive, self.log) if archive else None
        self.chain = uuid.uuid4().hex
        self._sealing = threading.Lock()
        self._file = self._on_disk() if self._path else None

    def _make(self) -> str:
        """Make the tables, or bring them up to date, and return the log's identity."""
        with self._writing() as connection:
            bring_up_to_date(connection)
            if connection.scalar(sa.select(ABOUT.c.log)) is None:
                connection.execute(ABOUT.insert(), {"log": uuid.uuid4().hex})
            return connection.scalar(sa.select(ABOUT.c.log)) or ""

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as where it is."""
        place = self.engine.url.render_as_string(hide_password=False)
        return _reach, (place, self.archive and self.archive.shared)


def _reach(url: str, archive: Path | None) -> Store:
    return Store(url, make=False, archive=archive)
