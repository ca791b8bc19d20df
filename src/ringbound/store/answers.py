"""The answers that were given, and the outcomes: what really came of what was asked about."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from ringbound.store.clock import WALL, Clock
from ringbound.store.reach import Reached
from ringbound.store.records import Judged, LoggedOutcome, Outcome, Prediction, Told
from ringbound.store.schema import OUTCOMES, PREDICTIONS, SEALS
from ringbound.store.sealing import Seal, digest, seal_root

FIRST_ROOT = "0" * 64
"""What stands for the seal before the first of a chain."""
KEPT = [column for column in PREDICTIONS.c if column is not PREDICTIONS.c.seal]
FOUND = sa.select(*KEPT).where(PREDICTIONS.c.prediction_id.in_(sa.bindparam("ids", expanding=True)))
SEALED = sa.select(PREDICTIONS.c.prediction_id, PREDICTIONS.c.seal).where(
    PREDICTIONS.c.prediction_id.in_(sa.bindparam("ids", expanding=True))
)
SEALS_OF = sa.select(SEALS).where(SEALS.c.seal.in_(sa.bindparam("seals", expanding=True)))
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
JUDGED = (
    sa.select(
        PREDICTIONS.c.prediction_id,
        PREDICTIONS.c.at,
        PREDICTIONS.c.model_version,
        PREDICTIONS.c.rung,
        PREDICTIONS.c.answer,
        OUTCOMES.c.value,
        OUTCOMES.c.time,
    )
    .select_from(
        PREDICTIONS.outerjoin(OUTCOMES, sa.and_(OUTCOMES.c.prediction_id == PREDICTIONS.c.prediction_id, STANDS))
    )
    .where(PREDICTIONS.c.made_at > sa.bindparam("since"))
    .order_by(PREDICTIONS.c.made_at, PREDICTIONS.c.prediction_id)
)


class AnswerLog(Reached):
    """The predictions and their outcomes, of a store that is reached."""

    chain: str
    """What names the seals that this object makes."""
    _last_seal: tuple[int, str] | None = None

    def record(self, predictions: Sequence[Prediction]) -> None:
        """Keep predictions with their vectors, under one seal; one that is kept already is left as it is."""
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
        return [Prediction(*row) for row in self._read(sa.select(*KEPT).order_by(*order).limit(newest), {})]

    def find(self, ids: Sequence[str]) -> dict[str, Prediction]:
        """Return those of some predictions that are there, by id."""
        rows = [row for some in _few(ids) for row in self._read(FOUND, {"ids": some})]
        return {one.prediction_id: one for one in (Prediction(*row) for row in rows)}

    def seals_of(self, ids: Sequence[str]) -> dict[str, Seal]:
        """Return the seals that some predictions were recorded under, by id; none for those from before seals."""
        by_id = dict(tuple(row) for some in _few(ids) for row in self._read(SEALED, {"ids": some}))
        numbers = [number for number in {*by_id.values()} if number is not None]
        seals = [Seal(*row) for some in _few(numbers) for row in self._read(SEALS_OF, {"seals": some})]
        by_number = {one.seal: one for one in seals}
        return {name: by_number[number] for name, number in by_id.items() if number in by_number}

    def seals(self, chain: str = "", number: int = 0, most: int = 1000) -> list[Seal]:
        """Return up to `most` seals, by chain and number, after one of these."""
        values = {"chain": chain, "number": number, "most": most}
        return [Seal(*row) for row in self._read(SOME_SEALS, values)]

    def unsealed(self) -> int:
        """Return how many predictions are under no seal."""
        ((number,),) = self._read(sa.select(sa.func.count()).where(PREDICTIONS.c.seal == None), {})  # noqa: E711
        return number

    def tell(self, outcomes: Sequence[Outcome], clock: Clock = WALL) -> Told:
        """Keep a batch of outcomes, durably and as a whole.

        One that is there already, with its time and value, is not kept again. One of another time or value is a correction:
        both are kept. Outcomes of predictions that are not there (yet) are kept like others.
        """
        with self._writing() as connection:
            present = clock.now(None)
            named = [outcome.prediction_id for outcome in outcomes]
            answered = sa.select(PREDICTIONS.c.prediction_id).where(PREDICTIONS.c.prediction_id.in_(named))
            before = sa.select(OUTCOMES.c.prediction_id, OUTCOMES.c.time, OUTCOMES.c.value).where(
                OUTCOMES.c.prediction_id.in_(named)
            )
            there = {Outcome(*row) for row in connection.execute(before)}
            told = {outcome.prediction_id for outcome in there}
            new = [outcome for outcome in dict.fromkeys(outcomes) if outcome not in there]
            corrections = 0
            for outcome in new:
                corrections += outcome.prediction_id in told
                told.add(outcome.prediction_id)
            if new:
                rows = [vars(outcome) | {"available_at": max(outcome.time, present)} for outcome in new]
                connection.execute(OUTCOMES.insert(), rows)
            standing = {Outcome(*row) for row in connection.execute(before.where(STANDS))}
            superseded = sum(outcome not in standing for outcome in outcomes)
            unknown = len({*named} - {*connection.scalars(answered)})
        return Told(len(new), len(outcomes) - len(new), corrections, superseded, unknown)

    def outcomes(self, after: int = 0, most: int = 10_000) -> list[LoggedOutcome]:
        """Return up to `most` outcomes after position `after`, in the order in which they came, corrections among them."""
        return [LoggedOutcome(*row) for row in self._read(TOLD, {"after": after, "most": most})]

    def outcomes_of(self, name: str) -> list[LoggedOutcome]:
        """Return all outcomes of a prediction, in the order in which they came."""
        return [LoggedOutcome(*row) for row in self._read(TOLD_OF, {"name": name})]

    def judged(self, since: int = 0) -> list[Judged]:
        """Return the predictions made after `since`, each with its outcome as it stands, None where there is none yet."""
        return [Judged(*row) for row in self._read(JUDGED, {"since": since})]


def _few(values: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield values, as many at once as every database takes in one statement."""
    for start in range(0, len(values), 500):
        yield list(values[start : start + 500])
