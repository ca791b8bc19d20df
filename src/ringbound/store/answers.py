"""The answers that were given, and the outcomes: what really came of what was asked about."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ringbound.store.clock import WALL, Clock
from ringbound.store.reach import Reached
from ringbound.store.records import Judged, LoggedOutcome, Outcome, Prediction, Told
from ringbound.store.schema import OUTCOMES, PREDICTIONS

TOLD = (
    sa.select(OUTCOMES)
    .where(OUTCOMES.c.seq > sa.bindparam("after"))
    .order_by(OUTCOMES.c.seq)
    .limit(sa.bindparam("most"))
)
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

    def record(self, predictions: Sequence[Prediction]) -> None:
        """Keep predictions with the vectors they were made from; one that is kept already is left as it is."""
        with self._writing(durable=False) as connection:
            insert = (sqlite if self.lite else postgresql).insert(PREDICTIONS).on_conflict_do_nothing()
            connection.execute(insert, [vars(prediction) for prediction in predictions])

    def predictions(self, newest: int) -> list[Prediction]:
        """Return the `newest` predictions, the latest first."""
        order = (PREDICTIONS.c.made_at.desc(), PREDICTIONS.c.prediction_id)
        return [Prediction(*row) for row in self._read(sa.select(PREDICTIONS).order_by(*order).limit(newest), {})]

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
            unknown = len({*named} - {*connection.scalars(answered)})
        return Told(len(new), len(outcomes) - len(new), corrections, unknown)

    def outcomes(self, after: int = 0, most: int = 10_000) -> list[LoggedOutcome]:
        """Return up to `most` outcomes after position `after`, in the order in which they came, corrections among them."""
        return [LoggedOutcome(*row) for row in self._read(TOLD, {"after": after, "most": most})]

    def judged(self, since: int = 0) -> list[Judged]:
        """Return the predictions made after `since`, each with its outcome as it stands, None where there is none yet."""
        return [Judged(*row) for row in self._read(JUDGED, {"since": since})]
