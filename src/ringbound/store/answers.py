"""The answers that were given, and the outcomes: what really came of what was asked about."""

import json
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from ringbound.errors import StoreError
from ringbound.store.archive import DELETED_BY, TABLES, Archive, Archived, move
from ringbound.store.clock import WALL, Clock
from ringbound.store.reach import Reached
from ringbound.store.records import Answered, Judged, LoggedOutcome, Outcome, Prediction, Told
from ringbound.store.schema import OUTCOMES, PREDICTIONS, SEALS
from ringbound.store.sealing import Seal, digest, seal_root

FIRST_ROOT = "0" * 64
"""What stands for the seal before the first of a chain."""
FOUND = sa.select(PREDICTIONS).where(PREDICTIONS.c.prediction_id.in_(sa.bindparam("values", expanding=True)))
SEALS_OF = sa.select(SEALS).where(SEALS.c.seal.in_(sa.bindparam("values", expanding=True)))
SOME_SEALS = (
    sa.select(SEALS)
    .where(sa.tuple_(SEALS.c.chain, SEALS.c.number) > sa.tuple_(sa.bindparam("chain"), sa.bindparam("number")))
    .order_by(SEALS.c.chain, SEALS.c.number)
    .limit(sa.bindparam("most"))
)
_COLUMNS = [column.name for column in PREDICTIONS.c]
_NAMED = ", ".join(f'"{name}"' for name in _COLUMNS)
STATEMENTS = {
    lite: (
        "INSERT INTO seals (chain, number, previous, root, made_at, leaves) "
        f"VALUES ({', '.join([mark] * 6)}) RETURNING seal",
        f"INSERT INTO predictions ({_NAMED}) VALUES ({', '.join([mark] * len(_COLUMNS))}) ON CONFLICT DO NOTHING",
        f"SELECT number, root FROM seals WHERE chain = {mark} ORDER BY number DESC LIMIT 1",
    )
    for lite, mark in ((True, "?"), (False, "%s"))
}
"""How a seal and its records are written, and which is the last of a chain, in the driver's own words."""
TOLD = (
    sa.select(OUTCOMES)
    .where(OUTCOMES.c.seq > sa.bindparam("after"))
    .order_by(OUTCOMES.c.seq)
    .limit(sa.bindparam("most"))
)
TOLD_OF = sa.select(OUTCOMES).where(OUTCOMES.c.prediction_id == sa.bindparam("name")).order_by(OUTCOMES.c.seq)
_LATER = OUTCOMES.alias()
STANDS = ~sa.exists().where(
    _LATER.c.prediction_id == OUTCOMES.c.prediction_id,
    sa.tuple_(_LATER.c.time, _LATER.c.seq) > sa.tuple_(OUTCOMES.c.time, OUTCOMES.c.seq),
)
"""Of a prediction's outcomes the one that was determined last, and of those the one that came last."""
UNSEALED = sa.select(PREDICTIONS.c.prediction_id).where(PREDICTIONS.c.seal == None)  # noqa: E711
STRAY = sa.select(OUTCOMES).where(~sa.exists().where(PREDICTIONS.c.prediction_id == OUTCOMES.c.prediction_id))
"""Outcomes of predictions that are not in the store: not yet, or not any more."""
JUDGED = (
    sa.select(
        PREDICTIONS.c.prediction_id,
        PREDICTIONS.c.at,
        PREDICTIONS.c.model_version,
        PREDICTIONS.c.rung,
        PREDICTIONS.c.answer,
        OUTCOMES.c.value,
        OUTCOMES.c.time,
        PREDICTIONS.c.answers,
    )
    .select_from(
        PREDICTIONS.outerjoin(OUTCOMES, sa.and_(OUTCOMES.c.prediction_id == PREDICTIONS.c.prediction_id, STANDS))
    )
    .where(PREDICTIONS.c.made_at > sa.bindparam("since"))
    .order_by(PREDICTIONS.c.made_at, PREDICTIONS.c.prediction_id)
)
ANSWERED = (
    sa.select(
        PREDICTIONS.c.model_version,
        PREDICTIONS.c.rung,
        PREDICTIONS.c.reason,
        sa.func.count().label("answers"),
        sa.func.count(OUTCOMES.c.seq).label("outcomes"),
        sa.cast(sa.func.avg(PREDICTIONS.c.took_us), sa.Float),
        sa.func.max(PREDICTIONS.c.took_us),
        sa.func.max(PREDICTIONS.c.made_at),
    )
    .select_from(
        PREDICTIONS.outerjoin(OUTCOMES, sa.and_(OUTCOMES.c.prediction_id == PREDICTIONS.c.prediction_id, STANDS))
    )
    .where(PREDICTIONS.c.made_at > sa.bindparam("since"))
    .group_by(PREDICTIONS.c.model_version, PREDICTIONS.c.rung, PREDICTIONS.c.reason)
    .order_by(sa.desc("answers"), PREDICTIONS.c.model_version, PREDICTIONS.c.rung, PREDICTIONS.c.reason)
)


class AnswerLog(Reached):
    """The predictions and their outcomes, of a store that is reached, and of its `archive`, where it has one."""

    archive: Archive | None = None
    chain: str
    """What names the seals that this object makes."""
    _sealing: threading.Lock
    _last_seal: tuple[int, str] | None = None

    def record(self, predictions: Sequence[Prediction]) -> None:
        """Keep predictions with their vectors, under one seal; one that is kept already is left as it is."""
        with self._sealing:
            self._seal(predictions)

    def _seal(self, predictions: Sequence[Prediction]) -> None:
        leaves = [(one.prediction_id, digest(one)) for one in predictions]
        last, self._last_seal = self._last_seal, None  # where this fails, nobody knows which is the last
        insert_seal, insert, last_seal = STATEMENTS[self.lite]
        with self._recording() as cursor:
            if last is None:
                last = cursor.execute(last_seal, [self.chain]).fetchone() or (0, FIRST_ROOT)
            number, previous = last
            root = seal_root(previous, [found for _, found in leaves])
            row = [self.chain, number + 1, previous, root, WALL.now(), json.dumps(leaves)]
            (seal,) = cursor.execute(insert_seal, row).fetchone()
            cursor.executemany(insert, [(*vars(one).values(), seal) for one in predictions])
        self._last_seal = number + 1, root

    def predictions(self, newest: int) -> list[Prediction]:
        """Return the `newest` predictions, the latest first."""
        order = (PREDICTIONS.c.made_at.desc(), PREDICTIONS.c.prediction_id)
        found = [_prediction(row) for row in self._read(sa.select(PREDICTIONS).order_by(*order).limit(newest), {})]
        if self.archive and len(found) < newest:
            there = {one.prediction_id for one in found}
            old = self.archive.rows("predictions", names=["made_at", "prediction_id"])
            old.sort(key=lambda row: (-row.made_at, row.prediction_id))
            ids = [row.prediction_id for row in old if row.prediction_id not in there][: newest - len(found)]
            by_id = self.find(ids)
            found += [by_id[name] for name in ids]
        return found

    def find(self, ids: Sequence[str]) -> dict[str, Prediction]:
        """Return those of some predictions that are there, by id."""
        return {row.prediction_id: _prediction(row) for row in self._rows("predictions", FOUND, "prediction_id", ids)}

    def seals_of(self, ids: Sequence[str]) -> dict[str, Seal]:
        """Return the seals that some predictions were recorded under, by id; none for those from before seals."""
        by_id = {row.prediction_id: row.seal for row in self._rows("predictions", FOUND, "prediction_id", ids)}
        numbers = [number for number in {*by_id.values()} if number is not None]
        seals = [Seal(*row) for row in self._rows("seals", SEALS_OF, "seal", numbers)]
        by_number = {one.seal: one for one in seals}
        return {name: by_number[number] for name, number in by_id.items() if number in by_number}

    def seals(self) -> Iterator[Seal]:
        """Yield all seals, by chain and number."""
        rows = list(self._seals())
        rows += self.archive.rows("seals") if self.archive else []  # after: what is moved meanwhile is in one of them
        found = {(row.chain, row.number): row for row in rows}
        for key in sorted(found):
            yield Seal(*found[key])

    def _seals(self, most: int = 1000) -> Iterator[Any]:
        chain, number = "", 0
        while rows := self._read(SOME_SEALS, {"chain": chain, "number": number, "most": most}):
            yield from rows
            chain, number = rows[-1].chain, rows[-1].number

    def unsealed(self) -> int:
        """Return how many predictions are under no seal."""
        found = {row.prediction_id for row in self._read(UNSEALED, {})}
        old = self.archive.rows("predictions", names=["prediction_id", "seal"]) if self.archive else []
        return len(found | {row.prediction_id for row in old if row.seal is None})

    def _rows(self, kind: str, query: sa.Select, column: str, values: Sequence[Any]) -> list[Any]:
        """Return the rows that a query finds by some values, 500 at once, and from the archive those that it does not."""
        found = [row for some in _few(values) for row in self._read(query, {"values": some})]
        if self.archive and (missing := {*values} - {getattr(row, column) for row in found}):
            found += self.archive.rows(kind, column, missing)
        return found

    def tell(self, outcomes: Sequence[Outcome], clock: Clock = WALL, told_by: str = "") -> Told:
        """Keep a batch of outcomes that somebody tells, durably and as a whole.

        One that is there already, with its time and value, is not kept again. One of another time or value is a correction:
        both are kept. Outcomes of predictions that are not there (yet) are kept like others.
        """
        named = [outcome.prediction_id for outcome in outcomes]
        with self._writing() as connection:
            present = clock.now(None)
            # After the lock was taken: nothing is on its way from one to the other.
            old = self.archive.rows("outcomes", "prediction_id", named) if self.archive else []
            mine = sa.select(OUTCOMES).where(OUTCOMES.c.prediction_id.in_(named))
            before = [LoggedOutcome(*row) for row in (*old, *connection.execute(mine))]
            there = {one.outcome for one in before}
            told = {outcome.prediction_id for outcome in there}
            new = [outcome for outcome in dict.fromkeys(outcomes) if outcome not in there]
            corrections = 0
            for outcome in new:
                corrections += outcome.prediction_id in told
                told.add(outcome.prediction_id)
            if new:
                rows = [vars(one) | {"available_at": max(one.time, present), "told_by": told_by} for one in new]
                connection.execute(OUTCOMES.insert(), rows)
            after = [LoggedOutcome(*row) for row in (*old, *connection.execute(mine))]
            standing = {one.outcome for one in _standing(after).values()}
            superseded = sum(outcome not in standing for outcome in outcomes)
            answered = sa.select(PREDICTIONS.c.prediction_id).where(PREDICTIONS.c.prediction_id.in_(named))
            unknown = {*named} - {*connection.scalars(answered)}
        if self.archive:
            unknown -= self.archive.has(unknown)
        return Told(len(new), len(outcomes) - len(new), corrections, superseded, len(unknown))

    def outcomes(self, after: int = 0, most: int = 10_000) -> list[LoggedOutcome]:
        """Return up to `most` outcomes after position `after`, in the order in which they came, corrections among them."""
        return [LoggedOutcome(*row) for row in self._read(TOLD, {"after": after, "most": most})]

    def outcomes_of(self, name: str) -> list[LoggedOutcome]:
        """Return all outcomes of a prediction, in the order in which they came."""
        rows = list(self._read(TOLD_OF, {"name": name}))
        rows += self.archive.rows("outcomes", "prediction_id", [name]) if self.archive else []
        return sorted(_once(rows))

    def answered(self, since: int = 0) -> list[Answered]:
        """Return what has answered after `since`, most often first; what is in the archive is not counted."""
        return [Answered(*row) for row in self._read(ANSWERED, {"since": since})]

    def judged(self, since: int = 0) -> list[Judged]:
        """Return the predictions made after `since`, each with its outcome as it stands, None where there is none yet."""
        found = [Judged(*row) for row in self._read(JUDGED, {"since": since})]
        return (self._judged_of_old(since, {one.prediction_id for one in found}) if self.archive else []) + found

    def _judged_of_old(self, since: int, there: Collection[str]) -> list[Judged]:
        assert self.archive
        names = ["prediction_id", "at", "model_version", "rung", "answer", "answers", "made_at"]
        old = [row for row in self.archive.rows("predictions", names=names) if row.made_at > since]
        old = [row for row in old if row.prediction_id not in there]
        old.sort(key=lambda row: (row.made_at, row.prediction_id))
        stands = _standing(_once([*self._read(STRAY, {}), *self.archive.rows("outcomes")]))
        result = []
        for name, at, version, rung, answer, answers, _ in old:
            one = stands.get(name)
            result.append(Judged(name, at, version, rung, answer, one and one.value, one and one.time, answers))
        return result

    def put_away(self, before: int) -> Archived:
        """Move what is from before a time, in microseconds since 1970, into the archive; see `ringbound.store.archive`."""
        if self.archive is None:
            raise StoreError("store: expected a folder for its archive; got none")
        return move(self.archive, lambda query: self._read(query, {}), self._drop, before)

    def _drop(self, kind: str, keys: Sequence[Any]) -> None:
        """Delete rows by their keys, few at once: who records an answer does not wait for all."""
        key = TABLES[kind].c[DELETED_BY[kind]]
        for some in _few(keys):
            with self._writing() as connection:
                connection.execute(sa.delete(TABLES[kind]).where(key.in_(some)))


def _standing(outcomes: Iterable[LoggedOutcome]) -> dict[str, LoggedOutcome]:
    """Return each prediction's outcome that was determined last and, of those, came last."""
    found: dict[str, LoggedOutcome] = {}
    for one in outcomes:
        other = found.get(one.prediction_id)
        if other is None or (one.time, one.seq) > (other.time, other.seq):
            found[one.prediction_id] = one
    return found


def _prediction(row: Any) -> Prediction:
    return Prediction(*(getattr(row, field.name) for field in fields(Prediction)))


def _once(rows: Iterable[Sequence[Any]]) -> Collection[LoggedOutcome]:
    """Return what was told, each once, also where store and archive number it in two ways."""
    return {one.outcome: one for one in (LoggedOutcome(*row) for row in rows)}.values()


def _few(values: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield values, as many at once as every database takes in one statement."""
    for start in range(0, len(values), 500):
        yield list(values[start : start + 500])
