"""The log of events: the truth, which only grows.

Writers take turns, so events become visible in order of `seq`, and who has read up to a `seq` has missed nothing before
it. An event is identified by its source and id: sent again, it is not counted again.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ringbound.errors import InputError, StoreError
from ringbound.store.clock import HOUR, WALL, Clock, instant
from ringbound.store.reach import Reached
from ringbound.store.records import VOID, Appended, Event, LogEnd, LoggedEvent
from ringbound.store.schema import EVENTS

PAYLOAD = json.JSONEncoder(sort_keys=True, ensure_ascii=False)
STAMPED = [column for column in EVENTS.c if column is not EVENTS.c.seq]
INSERT = sqlite.insert(EVENTS).on_conflict_do_nothing().inline().execution_options(preserve_rowcount=True)
SENT = (
    sa.func.json_to_recordset(sa.cast(sa.bindparam("rows", type_=sa.Text), postgresql.JSON))
    .table_valued(*(sa.column(column.name, column.type) for column in STAMPED), name="sent")
    .render_derived(with_types=True)
)
INSERT_JSON = (
    postgresql.insert(EVENTS)
    .from_select([column.name for column in STAMPED], sa.select(*SENT.c))
    .on_conflict_do_nothing()
    .execution_options(preserve_rowcount=True)
)
LOGGED = sa.select(EVENTS.c.seq, EVENTS.c.source, EVENTS.c.id, EVENTS.c.time, EVENTS.c.available_at, EVENTS.c.payload)
TAIL = LOGGED.where(EVENTS.c.seq > sa.bindparam("after")).order_by(EVENTS.c.seq).limit(sa.bindparam("most"))
SINCE = (
    LOGGED.where(EVENTS.c.source == sa.bindparam("source"))
    .where(EVENTS.c.available_at > sa.bindparam("after"))
    .where(EVENTS.c.available_at <= sa.bindparam("until"))
    .where(EVENTS.c.seq <= sa.bindparam("position"))
    .order_by(EVENTS.c.available_at, EVENTS.c.id)
)
TAKEN_BACK = (
    sa.select(EVENTS.c.id, EVENTS.c.seq)
    .where(EVENTS.c.source == sa.bindparam("source"))
    .where(EVENTS.c.seq <= sa.bindparam("position"))
)
_BACK = EVENTS.alias()
NEWEST = (
    sa.select(EVENTS.c.available_at)
    .where(EVENTS.c.source.not_like(f"%{VOID}"))
    .where(~sa.exists().where(_BACK.c.source == EVENTS.c.source + VOID).where(_BACK.c.id == EVENTS.c.id))
    .order_by(EVENTS.c.available_at.desc())
    .limit(1)
)
"""The index gives the first that stands at once: those that were voided are few."""


class EventLog(Reached):
    """The log of events, of a store that is reached."""

    def append(
        self, source: str, events: Sequence[Event], clock: Clock = WALL, *, lateness: int | None = None
    ) -> Appended:
        """Add a batch to the log, durably and as a whole, each event stamped with when it is available.

        That is when it could be known or the present, whichever is later. An event of a known id is left as it is. With
        `lateness`, in microseconds, those of the batch that became available later than that after they happened are counted.
        """
        with self._writing() as connection:
            newest = connection.scalar(NEWEST) if clock.follows_log else None
            present = clock.now(newest)
            if clock.follows_log:
                _check_steps(connection, source, events, newest, clock.step)
            rows = [
                {
                    "source": source,
                    "id": event.id,
                    "time": event.time,
                    "available_at": max(event.time, event.known_at or event.time, present),
                    "payload": PAYLOAD.encode(event.fields),
                }
                for event in events
            ]
            rows.sort(key=lambda row: (row["available_at"], row["id"]))
            accepted = _insert(connection, rows, lite=self.lite) if rows else 0
            conflicting = _conflicting(connection, rows) if accepted < len(rows) else []
            late = 0 if lateness is None else _late(connection, rows, lateness)
        return Appended(accepted, len(rows) - accepted, conflicting, late)

    def void(self, source: str, name: str, reason: str) -> LoggedEvent:
        """Take back an event, durably: from now on no answer counts it, whatever time is asked about.

        The event stays in the log, which goes on with the fact that it is void; its id stays taken. Where it had moved the
        present of a log that is followed, events that came after it keep the time that they were stamped with. Return the
        event.
        """
        if not reason.strip():
            raise StoreError("store: expected a reason to void an event; it is kept for good")
        with self._writing() as connection:
            where = (EVENTS.c.source == source, EVENTS.c.id == name)
            event = connection.execute(LOGGED.where(*where)).one_or_none()
            if event is None or source.endswith(VOID):
                raise StoreError(f"store: expected an event of {source} to void; there is none of id {name!r}")
            logged = LoggedEvent(*event)
            payload = PAYLOAD.encode({"reason": reason, "fields": json.loads(logged.payload)})
            row = logged._asdict() | {"source": source + VOID, "payload": payload}
            del row["seq"]
            if not _insert(connection, [row], lite=self.lite):
                raise StoreError(f"store: event {name!r} of {source} is void already")
            return logged

    def tail(self, after: int, most: int = 10_000) -> list[LoggedEvent]:
        """Return up to `most` events after position `after`, in order of `seq`."""
        if not self._finds(f"SELECT 1 FROM events WHERE seq > {after:d} LIMIT 1"):
            return []  # every answer begins with this, and nearly always nothing has come
        return [LoggedEvent(*row) for row in self._read(TAIL, {"after": after, "most": most})]

    def since(
        self, source: str, after: int, until: int, position: int | None = None, *, voided: bool = False
    ) -> list[LoggedEvent]:
        """Return a source's events that became available in (after, until], of the log up to `position`, in order.

        Those that are void by then are left out, unless `voided` asks for them too.
        """
        last = 2**62 if position is None else position
        rows = self._read(SINCE, {"source": source, "after": after, "until": until, "position": last})
        void = {} if voided else self.voided(source, last)
        return [event for event in map(LoggedEvent._make, rows) if event.id not in void]

    def voided(self, source: str, position: int | None = None) -> dict[str, int]:
        """Return the ids of a source's events that are void, of the log up to `position`, and where it says so."""
        last = 2**62 if position is None else position
        return dict(map(tuple, self._read(TAKEN_BACK, {"source": source + VOID, "position": last})))

    def lags(self, source: str) -> np.ndarray:
        """Return how long after it happened each event of a source became available, (n,) int64 microseconds."""
        lag = sa.select(EVENTS.c.id, EVENTS.c.available_at - EVENTS.c.time).where(
            EVENTS.c.source == sa.bindparam("source")
        )
        void = self.voided(source)
        return np.array([lag for name, lag in self._read(lag, {"source": source}) if name not in void], np.int64)

    def newest(self, source: str, lateness: int) -> int | None:
        """Return the newest `available_at` of a source's events that stand and became available within `lateness`."""
        latest = NEWEST.where(EVENTS.c.source == sa.bindparam("source")).where(
            EVENTS.c.available_at - EVENTS.c.time <= sa.bindparam("lateness")
        )
        return next((time for (time,) in self._read(latest, {"source": source, "lateness": lateness})), None)

    def position(self) -> int:
        """Return the last position, 0 where the log is empty; any thread may ask."""
        with self._looking() as connection:
            return connection.scalar(sa.select(sa.func.max(EVENTS.c.seq))) or 0

    def end(self) -> LogEnd:
        """Return where the log ends."""
        position, newest = sa.select(sa.func.max(EVENTS.c.seq)).scalar_subquery(), NEWEST.scalar_subquery()
        ((last, time),) = self._read(sa.select(position, newest), {})
        return LogEnd(last or 0, time)


def _insert(connection: sa.Connection, rows: list[dict[str, Any]], *, lite: bool) -> int:
    """Insert the rows that the log does not have, in order, and return how many these are."""
    if lite:
        return connection.execute(INSERT, rows).rowcount
    # One text takes the way there and back once.
    return connection.execute(INSERT_JSON, {"rows": json.dumps(rows)}).rowcount


def _late(connection: sa.Connection, rows: list[dict[str, Any]], lateness: int) -> int:
    """Return how many of the rows are in the log as events that became available too late."""
    late = [row["id"] for row in rows if row["available_at"] - row["time"] > lateness]
    if not late:
        return 0
    chosen = sa.select(sa.func.count()).where(
        EVENTS.c.source == rows[0]["source"],
        EVENTS.c.id.in_(late),
        EVENTS.c.available_at - EVENTS.c.time > lateness,
    )
    return int(connection.scalar(chosen) or 0)


def _check_steps(
    connection: sa.Connection, source: str, events: Sequence[Event], newest: int | None, step: int
) -> None:
    """Refuse a batch that would move the present further than history goes on: the log only grows.

    Events that are in the log already move nothing. The first of all may be as late as this machine's clock.
    """
    there = sa.select(EVENTS.c.id).where(EVENTS.c.source == source, EVENTS.c.id.in_([event.id for event in events]))
    known = set(connection.scalars(there))
    times = [(max(event.time, event.known_at or event.time), place) for place, event in enumerate(events)]
    for time, place in sorted((time, place) for time, place in times if events[place].id not in known):
        latest, why = WALL.now(), "which is now, as there is no event before it"
        if newest is not None:
            latest, why = newest + step, f"{step / HOUR:g} h after the newest event before it"
        if time > latest:
            raise InputError(
                f"event {place}: expected a time up to {instant(latest)}, {why}; got {instant(time)}; correct it, send first "
                "what happened in between, or serve with a longer --step-h"
            )
        newest = time if newest is None else max(newest, time)


def _conflicting(connection: sa.Connection, rows: list[dict[str, Any]]) -> list[str]:
    """Return the ids of rows that the log has with other content."""
    chosen = sa.select(EVENTS.c.id, EVENTS.c.time, EVENTS.c.payload).where(
        EVENTS.c.source == rows[0]["source"], EVENTS.c.id.in_([row["id"] for row in rows])
    )
    logged = {row.id: (row.time, row.payload) for row in connection.execute(chosen)}
    return sorted({row["id"] for row in rows if logged[row["id"]] != (row["time"], row["payload"])})
