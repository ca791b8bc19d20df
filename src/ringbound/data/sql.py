"""Rows of a query on any database that SQLAlchemy knows."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from ringbound.data.sources import Reading, check_declared, columns_of_records, content_digest, typed
from ringbound.data.values import MISSING
from ringbound.errors import SourceError, one_line

ROUGHLY = pd.Timedelta(days=2)


@dataclass(frozen=True)
class Sql:
    """Rows of a query on a database that SQLAlchemy knows, read from `since` on by the column `time`.

    `url` may name environment variables (`$BOOKINGS_URL`), so that no secret stands in a notebook. Values follow the rule of
    `ringbound.data.values`, as in `Files`: a database's times without zone need one declared.
    """

    url: str
    query: str
    columns: dict[str, str] = field(hash=False)
    time: str
    missing: Sequence[str] = MISSING
    zone: str | None = None
    incremental = True

    def __post_init__(self):
        check_declared(self.describe(), self.missing, self.zone)

    def describe(self) -> str:
        """Return the URL without its password."""
        try:
            url = sa.make_url(os.path.expandvars(self.url))
        except sa.exc.ArgumentError:
            return self.url
        return f"{url.get_backend_name()}:{Path(url.database or '').name}"

    def read(self, since: pd.Timestamp | None, through: pd.Timestamp) -> Reading:
        """Read the rows with `since <= time <= through`; those without a time too, to be put aside where they are seen."""
        names = ", ".join(self.columns)
        text = f"SELECT {names} FROM ({self.query}) AS source_rows"
        try:
            engine = sa.create_engine(os.path.expandvars(self.url), poolclass=sa.NullPool)
            bound: dict[str, Any] = {}
            if engine.dialect.name != "sqlite":  # which has times as texts, and these compare as texts
                # Roughly: a time without zone is compared on the clock of the session.
                bound = {"through": through + ROUGHLY} | ({"since": since - ROUGHLY} if since is not None else {})
                bound = {name: instant.tz_convert("UTC").to_pydatetime() for name, instant in bound.items()}
                newer = f" AND {self.time} >= :since" if since is not None else ""
                text += f" WHERE ({self.time} <= :through{newer}) OR {self.time} IS NULL"
            with engine.connect().execution_options(stream_results=True) as connection:
                result = connection.execute(sa.text(text), bound)
                records = [dict(row._mapping) for part in result.partitions(10_000) for row in part]
        except (sa.exc.SQLAlchemyError, ModuleNotFoundError) as error:
            cause = getattr(error, "orig", None) or error
            raise SourceError(
                f"{self.describe()}: expected rows of {one_line(Exception(self.query), 80)!r}; {one_line(cause, 200)}; "
                "check that the database is up and the URL and query are right"
            ) from error
        raw = columns_of_records(records, self.columns)
        frame, rejected = typed(raw, self.columns, self.describe(), missing=self.missing, zone=self.zone)
        if self.columns.get(self.time) == "timestamp":
            time = frame[self.time]
            asked = time.isna() | ((time <= through) & (time >= since if since is not None else True))
            frame = frame[asked.fillna(True).astype(bool)].reset_index(drop=True)
        return Reading(frame, rejected, content_digest(frame))
