"""The operational store: what happened, what was answered, and what came of it."""

import uuid
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ringbound.store.answers import AnswerLog
from ringbound.store.archive import Archive
from ringbound.store.keys import KeyRing
from ringbound.store.log import EventLog
from ringbound.store.schema import ABOUT, bring_up_to_date


class Store(EventLog, AnswerLog, KeyRing):
    """A store at a SQLAlchemy URL: `sqlite:///path` (one host) or `postgresql+psycopg://…` (several), ready on first use.

    `log` is its identity. `StoreError` where it cannot be reached within about `wait_s` seconds, is of a newer
    version or, without `make`, is not there. With a folder for an `archive`, what lies there is read too.
    """

    def __init__(self, url: str, *, wait_s: float = 10.0, make: bool = True, archive: Path | None = None):
        super().__init__(url, wait_s=wait_s, make=make)
        with self._writing() as connection:
            bring_up_to_date(connection)
            if connection.scalar(sa.select(ABOUT.c.log)) is None:
                connection.execute(ABOUT.insert(), {"log": uuid.uuid4().hex})
            self.log: str = connection.scalar(sa.select(ABOUT.c.log)) or ""
        self.archive = Archive(archive, self.log) if archive else None
        self.chain = uuid.uuid4().hex
        self._file = self._on_disk() if self._path else None

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as where it is."""
        place = self.engine.url.render_as_string(hide_password=False)
        return _reach, (place, self.archive and self.archive.shared)


def _reach(url: str, archive: Path | None) -> Store:
    return Store(url, make=False, archive=archive)
