"""Answers with what came of them, by the time that they ask about; and what monitors remember: days, alerts, reports.

An alert is facts about a name, in their order: it is opened, comes again, is told to a webhook, acknowledged, resolved.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from ringbound.store.archive import Archive
from ringbound.store.clock import HOUR, WALL
from ringbound.store.deployments import details_of
from ringbound.store.reach import Reached
from ringbound.store.records import LoggedOutcome
from ringbound.store.schema import ALERTS, DAYS, OUTCOMES, PREDICTIONS, REPORTS

AlertKind = Literal["open", "again", "acknowledge", "resolve", "told"]
DAY_US = 24 * HOUR
COLUMNS = (
    PREDICTIONS.c.prediction_id,
    PREDICTIONS.c.at,
    PREDICTIONS.c.model_version,
    PREDICTIONS.c.features,
    PREDICTIONS.c.answer,
    PREDICTIONS.c.row,
    PREDICTIONS.c.vector,
    PREDICTIONS.c.rung,
    PREDICTIONS.c.reason,
    PREDICTIONS.c.decision,
    PREDICTIONS.c.took_us,
    PREDICTIONS.c.propensity,
    PREDICTIONS.c.answers,
)


class AskedRow(NamedTuple):
    """A prediction as monitors read it; see `Prediction` for what it has."""

    prediction_id: str
    at: int
    model_version: str
    features: str
    answer: float
    row: str
    vector: bytes
    rung: str
    reason: str | None
    decision: bool | None
    took_us: int
    propensity: float
    answers: bytes | None = None


class Came(NamedTuple):
    """What came of a prediction: the outcome as it stands, and when the first one became known."""

    value: float
    available_at: int


class Remembered(NamedTuple):
    """What a day is remembered by; `stamp` says of what it was made: where that differs, it has to be made again."""

    day: str
    stamp: str
    content: str


class AlertFact(NamedTuple):
    """What became of an alert on a day: `details` is what was found, or who said what."""

    seq: int
    name: str
    at: int
    day: str
    kind: AlertKind
    details: dict[str, Any]


class KeptReport(NamedTuple):
    """A monitor's report, and when it was made."""

    at: int
    content: str


def _place(row: AskedRow) -> tuple[int, str]:
    """Return by what rows are ordered."""
    return row.at, row.prediction_id


class WatchLog(Reached):
    """What monitors read and remember, of a store that is reached."""

    archive: Archive | None

    def asked(self, start: int, end: int, most: int = 50_000) -> Iterator[list[AskedRow]]:
        """Yield the predictions that ask about a time from `start` on and before `end`, about `most` at once, in their order.

        Those that ask about the same microsecond come together.
        """
        old = self._old("predictions", [column.name for column in COLUMNS], "at", start, end)
        there = sorted((AskedRow(*row) for row in old), key=_place)
        position, last = 0, (start, "")
        while True:
            order = (PREDICTIONS.c.at, PREDICTIONS.c.prediction_id)
            query = sa.select(*COLUMNS).where(PREDICTIONS.c.at >= last[0], PREDICTIONS.c.at < end)
            query = query.where(sa.tuple_(*order) > sa.tuple_(*last)).order_by(*order).limit(most)
            with self._looking() as connection:
                rows = list(map(AskedRow._make, connection.execute(query).all()))
            whole = len(rows) < most
            if not whole and rows[0].at != rows[-1].at:
                rows = [row for row in rows if row.at != rows[-1].at]
            limit = end if whole else rows[-1].at + 1
            taken = position
            while taken < len(there) and there[taken].at < limit:
                taken += 1
            some, position = there[position:taken], taken
            if some:  # a run of the archive that was killed may leave a row in both
                here = {row.prediction_id for row in rows}
                rows = sorted([*rows, *(one for one in some if one.prediction_id not in here)], key=_place)
            if rows:
                yield rows
            if whole:
                return
            last = rows[-1].at, rows[-1].prediction_id

    def came(self, ids: list[str], known_by: int) -> dict[str, Came]:
        """Return what came of some predictions, as it stood at a time, by id."""
        found: dict[str, tuple[int, int, float, int]] = {}
        names = ["prediction_id", "time", "seq", "value", "available_at"]
        old = self.archive.rows("outcomes", "prediction_id", ids, names=names) if self.archive else []
        with self._looking() as connection:
            for start in range(0, len(ids), 5000):
                query = sa.select(*(OUTCOMES.c[name] for name in names))
                query = query.where(OUTCOMES.c.prediction_id.in_(ids[start : start + 5000]))
                old += connection.execute(query).all()
        for name, time, seq, value, known in old:
            if known <= known_by:
                last = found.get(name)
                if last is None:
                    found[name] = time, seq, value, known
                else:
                    stands = max((time, seq, value), last[:3])
                    found[name] = *stands, min(known, last[3])
        return {name: Came(value, known) for name, (_, _, value, known) in found.items()}

    def told(self, ids: Sequence[str], known_by: int) -> dict[str, list[LoggedOutcome]]:
        """Return the outcomes of some predictions that were known at a time, each once, by the prediction's id."""
        found = set(self.archive.rows("outcomes", "prediction_id", ids)) if self.archive else set()
        with self._looking() as connection:
            for start in range(0, len(ids), 500):
                query = sa.select(OUTCOMES).where(OUTCOMES.c.prediction_id.in_(ids[start : start + 500]))
                found |= {tuple(row) for row in connection.execute(query)}
        told: dict[str, list[LoggedOutcome]] = {}
        for one in (LoggedOutcome(*row) for row in sorted(found)):
            if one.available_at <= known_by:
                told.setdefault(one.prediction_id, []).append(one)
        return told

    def tellers(self, start: int, end: int) -> set[str]:
        """Return who told outcomes that became known from `start` on and before `end`; of those that are not archived."""
        query = sa.select(OUTCOMES.c.told_by).where(OUTCOMES.c.available_at >= start, OUTCOMES.c.available_at < end)
        with self._looking() as connection:
            return {*connection.scalars(query.distinct())}

    def days_asked(self, start: int, end: int, known_by: int) -> dict[int, tuple[int, int]]:
        """Return how many predictions there are a day, by its number since 1970, and how many outcomes of them were known."""
        names = ["prediction_id", "at"]
        with self._looking() as connection:
            asked = sa.select(PREDICTIONS.c.at).where(PREDICTIONS.c.at >= start, PREDICTIONS.c.at < end).subquery()
            query = sa.select((asked.c.at // DAY_US).label("number"), sa.func.count()).group_by("number")
            rows = {int(day): size for day, size in connection.execute(query)}
            told = sa.select(PREDICTIONS.c.at).join(OUTCOMES, OUTCOMES.c.prediction_id == PREDICTIONS.c.prediction_id)
            told = told.where(OUTCOMES.c.available_at <= known_by)
            told_of = told.where(PREDICTIONS.c.at >= start, PREDICTIONS.c.at < end).subquery()
            query = sa.select((told_of.c.at // DAY_US).label("number"), sa.func.count()).group_by("number")
            outcomes = {int(day): size for day, size in connection.execute(query)}
        old = {name: at // DAY_US for name, at in self._old("predictions", names, "at", start, end)}
        for day in old.values():
            rows[day] = rows.get(day, 0) + 1
        if old and self.archive:
            names = ["prediction_id", "time", "value", "available_at"]
            found = {*self.archive.rows("outcomes", "prediction_id", list(old), names=names)} | self._late(old, names)
            for name, _, _, known in found:
                if known <= known_by:
                    outcomes[old[name]] = outcomes.get(old[name], 0) + 1
        return {day: (size, outcomes.get(day, 0)) for day, size in sorted(rows.items())}

    def _late(self, ids: Collection[str], names: list[str]) -> set[tuple]:
        """Return the outcomes in the store that came after their predictions were put into the archive."""
        there = sa.exists().where(PREDICTIONS.c.prediction_id == OUTCOMES.c.prediction_id)
        with self._looking() as connection:
            rows = connection.execute(sa.select(*(OUTCOMES.c[name] for name in names)).where(~there))
            return {tuple(row) for row in rows if row.prediction_id in ids}

    def first_asked(self, model: str) -> int | None:
        """Return the first time that a prediction of a model asks about, None where there is none."""
        mine = sa.select(PREDICTIONS.c.at).where(PREDICTIONS.c.model_version == model)
        with self._looking() as connection:
            first = connection.scalar(mine.order_by(PREDICTIONS.c.at).limit(1))
        old = (
            [at for (at,) in self.archive.rows("predictions", "model_version", [model], names=["at"])]
            if self.archive
            else []
        )
        return min([*old, *([] if first is None else [first])], default=None)

    def _old(self, kind: str, names: list[str], column: str, start: int, end: int) -> list[tuple]:
        return self.archive.between(kind, column, start, end, names) if self.archive else []

    def remember(self, profile: str, kind: str, days: list[Remembered]) -> None:
        """Keep what days are remembered by, instead of what they were before."""
        if not days:
            return
        named = [one.day for one in days]
        with self._writing() as connection:
            mine = (DAYS.c.profile == profile, DAYS.c.kind == kind, DAYS.c.day.in_(named))
            connection.execute(sa.delete(DAYS).where(*mine))
            connection.execute(DAYS.insert(), [one._asdict() | {"profile": profile, "kind": kind} for one in days])

    def remembered(self, profile: str, kind: str) -> dict[str, Remembered]:
        """Return what days are remembered by, in their order."""
        query = sa.select(DAYS.c.day, DAYS.c.stamp, DAYS.c.content)
        query = query.where(DAYS.c.profile == profile, DAYS.c.kind == kind).order_by(DAYS.c.day)
        with self._looking() as connection:
            return {row.day: Remembered(*row) for row in connection.execute(query)}

    def add_alert(
        self, name: str, day: str, kind: AlertKind, details: Mapping[str, Any], *, after: int | None = None
    ) -> int | None:
        """Add a fact about an alert and return its position.

        With `after`, only where the last fact about the name is at this position, 0 for none; else None. That a webhook was
        told is no such fact.
        """
        values = {
            "name": name,
            "at": WALL.now(),
            "day": day,
            "kind": kind,
            "details": json.dumps(details, sort_keys=True),
        }
        with self._writing() as connection:
            mine = (ALERTS.c.name == name, ALERTS.c.kind != "told")
            last = connection.scalar(sa.select(sa.func.max(ALERTS.c.seq)).where(*mine)) or 0
            if after is not None and last != after:
                return None
            return connection.execute(ALERTS.insert().returning(ALERTS.c.seq), values).scalar_one()

    def alert_facts(self) -> list[AlertFact]:
        """Return all facts about alerts, in their order."""
        with self._looking() as connection:
            rows = connection.execute(sa.select(ALERTS).order_by(ALERTS.c.seq)).all()
        return [AlertFact(**{**row._mapping, "details": details_of(row.details)}) for row in rows]

    def add_report(self, content: str) -> None:
        """Keep a monitor's report; those before the last hundred go."""
        with self._writing() as connection:
            seq = connection.execute(
                REPORTS.insert().returning(REPORTS.c.seq), {"at": WALL.now(), "content": content}
            ).scalar_one()
            connection.execute(sa.delete(REPORTS).where(REPORTS.c.seq <= seq - 100))

    def last_report(self) -> KeptReport | None:
        """Return the newest report; None where there is none."""
        with self._looking() as connection:
            row = connection.execute(sa.select(REPORTS).order_by(REPORTS.c.seq.desc()).limit(1)).one_or_none()
        return None if row is None else KeptReport(row.at, row.content)
