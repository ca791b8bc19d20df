"""What is to serve, as facts in their order; the Bentos that services fetch; and what two models answered to the same rows.

A fact is never changed. What serves now, and how far a roll-out has come, follows from all of them: see `ringbound.rollout`.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from ringbound.errors import BundleError
from ringbound.store.clock import WALL
from ringbound.store.reach import Reached
from ringbound.store.schema import BENTOS, DEPLOYMENTS, OUTCOMES, PAIRS

Kind = Literal["serve", "start", "step", "look", "stop"]
Arm = Literal["champion", "challenger"]
_EARLIER = OUTCOMES.alias()
_FIRST = ~sa.exists().where(_EARLIER.c.prediction_id == OUTCOMES.c.prediction_id, _EARLIER.c.seq < OUTCOMES.c.seq)


class Fact(NamedTuple):
    """A fact about an environment: from `serve` on, a version serves; with `start`, a roll-out of one begins.

    `step` is its next step, `stop` its end, `look` what is known of it so far. `version` is the registry's name of what it is
    about, `model` and `code` are those of its bundle and its Bento.
    """

    seq: int
    environment: str
    at: int
    kind: Kind
    version: str
    model: str
    code: str
    details: dict[str, Any]


class Pair(NamedTuple):
    """What champion and challenger answered to one row: the one to who asked, the other beside it.

    `arm` is whose answer was given; one that failed had none. Rows of one `batch` were answered at once, and stand together;
    the times, in microseconds a batch, stand with its first row.
    """

    rollout: int
    batch: int
    prediction_id: str
    made_at: int
    arm: Arm
    champion_failed: bool
    challenger_failed: bool
    champion: float | None
    challenger: float | None
    champion_lower: bool
    challenger_lower: bool
    champion_us: float | None
    challenger_us: float | None
    champion_answers: bytes | None = None
    challenger_answers: bytes | None = None


class Matured(NamedTuple):
    """Both answers to a row of which it is known what came."""

    champion: float
    challenger: float
    outcome: float
    champion_answers: bytes | None = None
    challenger_answers: bytes | None = None


class DeploymentLog(Reached):
    """The facts about what is to serve, of a store that is reached; any thread may ask."""

    def facts(self, environment: str, after: int = 0, *, looks: bool = True) -> list[Fact]:
        """Return the facts about an environment after position `after`, in their order; without `looks`, decisions only."""
        query = sa.select(DEPLOYMENTS).where(DEPLOYMENTS.c.environment == environment, DEPLOYMENTS.c.seq > after)
        if not looks:
            query = query.where(DEPLOYMENTS.c.kind != "look")
        with self._looking() as connection:
            rows = connection.execute(query.order_by(DEPLOYMENTS.c.seq)).all()
        return [Fact(**{**row._mapping, "details": details_of(row.details)}) for row in rows]

    def add_fact(
        self,
        environment: str,
        kind: Kind,
        *,
        version: str,
        model: str,
        code: str,
        details: Mapping[str, Any],
        last: int | None = None,
    ) -> int | None:
        """Add a fact and return its position.

        With `last`, only where the last decision about the environment is at this position, 0 for none: of two that decide
        by the same facts one wins, and the other gets None.
        """
        mine = (DEPLOYMENTS.c.environment == environment, DEPLOYMENTS.c.kind != "look")
        values = {"environment": environment, "at": WALL.now(), "kind": kind, "version": version, "model": model}
        values |= {"code": code, "details": json.dumps(details, sort_keys=True)}
        with self._writing() as connection:
            found = connection.scalar(sa.select(sa.func.max(DEPLOYMENTS.c.seq)).where(*mine)) or 0
            if last is not None and found != last:
                return None
            return connection.execute(DEPLOYMENTS.insert().returning(DEPLOYMENTS.c.seq), values).scalar_one()

    def put_bento(self, code: str, archive: bytes) -> None:
        """Keep a Bento's archive, by its version; one that is kept already, and is not what it was, is put right."""
        values = {"code": code, "sha256": hashlib.sha256(archive).hexdigest(), "archive": archive}
        with self._writing() as connection:
            kept = connection.execute(sa.select(BENTOS).where(BENTOS.c.code == code)).one_or_none()
            if kept is None:
                connection.execute(BENTOS.insert(), values)
            elif kept.archive != archive or kept.sha256 != values["sha256"]:
                connection.execute(BENTOS.update().where(BENTOS.c.code == code), values)

    def bento(self, code: str) -> bytes:
        """Return a Bento's archive; `BundleError` where it is not there, or is not what was kept."""
        with self._looking() as connection:
            row = connection.execute(sa.select(BENTOS).where(BENTOS.c.code == code)).one_or_none()
        if row is None:
            raise BundleError(f'store: expected the Bento {code}; it is not there; run "ringbound rollout publish"')
        if hashlib.sha256(row.archive).hexdigest() != row.sha256:
            raise BundleError(f'store: the Bento {code} is not what was kept; run "ringbound rollout publish"')
        return row.archive

    def add_pairs(self, pairs: Sequence[Pair]) -> None:
        """Keep what two models answered to the same rows."""
        with self._writing() as connection:
            connection.execute(PAIRS.insert(), [one._asdict() for one in pairs])

    def arms(self) -> dict[str, str]:
        """Return the arm whose answer was given, by prediction, of roll-outs whose pairs are still here."""
        with self._looking() as connection:
            return dict(map(tuple, connection.execute(sa.select(PAIRS.c.prediction_id, PAIRS.c.arm))))

    def pairs(self, rollout: int, after: int, most: int = 50_000) -> list[tuple[int, Pair]]:
        """Return up to `most` pairs of a roll-out after position `after`, each with its position; whole batches only."""
        query = sa.select(PAIRS).where(PAIRS.c.seq > after, PAIRS.c.rollout == rollout).order_by(PAIRS.c.seq)
        with self._looking() as connection:
            found = [(row.seq, Pair(*row[1:])) for row in connection.execute(query.limit(most))]
        if len(found) == most:  # the last batch goes on
            last = found[-1][1].batch
            found = [one for one in found if one[1].batch != last] or found
        return found

    def drop_pairs(self, before: int, keep: Collection[int] = ()) -> int:
        """Delete the pairs from before a time, in microseconds since 1970, but of the roll-outs `keep`; return how many.

        What was decided by them stays.
        """
        old = sa.delete(PAIRS).where(PAIRS.c.made_at < before, PAIRS.c.rollout.not_in(list(keep)))
        with self._writing() as connection:
            return connection.execute(old).rowcount

    def environments(self) -> list[str]:
        """Return the environments about which there are facts."""
        with self._looking() as connection:
            return list(connection.scalars(sa.select(DEPLOYMENTS.c.environment).distinct().order_by("environment")))

    def newest_outcome(self) -> int:
        """Return the position of the newest outcome, 0 for none."""
        with self._looking() as connection:
            return connection.scalar(sa.select(sa.func.max(OUTCOMES.c.seq))) or 0

    def matured(self, rollout: int, pairs: tuple[int, int], outcomes: tuple[int, int]) -> list[Matured]:
        """Return the pairs that have got their first outcome between two looks.

        `pairs` and `outcomes` are the positions up to which the last look saw them, and up to which this one does: what is
        found is new in at least one of them.
        """
        answers = (PAIRS.c.champion_answers, PAIRS.c.challenger_answers)
        both = sa.select(PAIRS.c.champion, PAIRS.c.challenger, OUTCOMES.c.value, *answers)
        both = both.join(OUTCOMES, OUTCOMES.c.prediction_id == PAIRS.c.prediction_id)
        both = both.where(PAIRS.c.rollout == rollout, PAIRS.c.seq <= pairs[1], OUTCOMES.c.seq <= outcomes[1], _FIRST)
        both = both.where(~PAIRS.c.champion_failed, ~PAIRS.c.challenger_failed)
        found = []
        with self._looking() as connection:
            for new in (
                (OUTCOMES.c.seq > outcomes[0],),
                (PAIRS.c.seq > pairs[0], OUTCOMES.c.seq <= outcomes[0]),
            ):
                found += [Matured(*row) for row in connection.execute(both.where(*new))]
        return found


def details_of(text: str) -> dict[str, Any]:
    """Return what stands in a fact; nothing where it cannot be read, which is nobody's decision."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}
