"""Both arms on the same rows, beside the answers: what a roll-out is judged by.

Every row that is answered while a roll-out is on is put here too, and both arms answer it once more in one thread, in an
order that is drawn each time: the same rows, with the same windowed values where their features are the same, at the same
time, under the same load. Nobody waits for it. Where it cannot keep up, rows are left out, the newest first. A challenger
that hangs is left behind with its thread, and has no answer to what it was asked; where the store fails, there is nothing to
compare.
"""

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pydantic

from ringbound.errors import InputError, StoreError
from ringbound.models.stepping import LadderAnswers
from ringbound.problem.packed import pack
from ringbound.serving.arm import Arm, Arms
from ringbound.serving.counters import UNPAIRED
from ringbound.serving.predictor import Known
from ringbound.store import Arm as ArmName
from ringbound.store import Pair, Store

MOST_WAITING, AT_ONCE = 2_000, 200
"""Rows that wait, and that are answered together."""
HANGS_S = 2.0
"""After which a challenger that answers beside is taken to hang."""
MOST_UNWRITTEN = 20_000
FULL = (None, "sure")
"""Reasons with which an answer is as good as there is."""
LOG = logging.getLogger(__name__)


class Told(NamedTuple):
    """A row as it came, the answer that was given, by whose arm, and whether the challenger should have and failed."""

    row: Mapping[str, Any]
    prediction_id: str
    arm: ArmName
    failed: bool = False


class _Answered(NamedTuple):
    """An arm's answers to some of the rows, where each is by its number, and the microseconds that they took together."""

    numbers: dict[int, int]
    done: LadderAnswers | None
    us: float


NOTHING = _Answered({}, None, 0.0)


class Beside:
    """Answers rows by both arms of one roll-out, for the record; `flush` writes what has come of it."""

    def __init__(self, arms: Arms):
        assert arms.rollout
        assert arms.challenger
        self.start = arms.rollout.start.seq
        self._champion, self._challenger = arms.champion, arms.challenger
        self._waiting: list[Told] = []
        self._pairs: list[Pair] = []
        self._lock = threading.Condition()
        self._challenged: dict[int, tuple[float, Sequence[Told]]] = {}
        """By the turn of the thread that asks: since when the challenger is asked, and about what."""
        self._turn = 0
        self._begin()

    def put(self, told: Sequence[Told]) -> None:
        """Take rows that were answered, as many as there is room for."""
        with self._lock:
            room = max(0, MOST_WAITING - len(self._waiting))
            self._waiting.extend(told[:room])
            UNPAIRED.inc(len(told) - len(told[:room]))
            self._lock.notify()

    def flush(self, store: Store) -> None:
        """Write what has come of it so far; a challenger that hangs is left behind, with no answer to what it was asked."""
        with self._lock:
            since, asked = self._challenged.get(self._turn, (time.monotonic(), ()))
            if time.monotonic() - since > HANGS_S:
                LOG.warning("the challenger hangs, and is left behind")
                self._keep(self._paired(asked, None, NOTHING))
                self._begin()
            pairs, self._pairs = self._pairs, []
        if not pairs:
            return
        try:
            store.add_pairs(pairs)
        except StoreError:
            with self._lock:
                self._pairs = pairs + self._pairs
            raise

    def stop(self) -> None:
        """Take no more."""
        with self._lock:
            self._turn = 0
            self._lock.notify_all()

    def _begin(self) -> None:
        """Let a thread begin; the one before, if there was one, ends when it comes back."""
        self._turn += 1
        threading.Thread(target=self._work, args=[self._turn], name="beside", daemon=True).start()

    def _work(self, turn: int) -> None:
        while True:
            with self._lock:
                while turn == self._turn and not self._waiting:
                    self._lock.wait()
                if turn != self._turn:
                    return
                some, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            try:
                pairs = self._answer(turn, some)
            except (StoreError, InputError) as error:
                LOG.debug("nothing to compare: %s", error)
                continue
            except Exception:  # the thread must live
                LOG.exception("rows cannot be answered beside")
                continue
            with self._lock:
                if turn == self._turn:  # else it was given up meanwhile
                    self._keep(pairs)

    def _keep(self, pairs: Sequence[Pair]) -> None:
        self._pairs.extend(pairs)
        if (lost := len(self._pairs) - MOST_UNWRITTEN) > 0:
            del self._pairs[:lost]
            UNPAIRED.inc(lost)

    def _answer(self, turn: int, told: Sequence[Told]) -> list[Pair]:
        """Let both arms answer rows: each what it takes, as of the same events where they have the same features."""
        numbers, rows = _taken(self._champion, told)
        if not numbers:
            return []
        known = self._champion.predictor.known_beside(rows)
        champion = lambda: _timed(self._champion, numbers, rows, known)  # noqa: E731
        challenger = lambda: self._challenge(turn, told, numbers, known)  # noqa: E731
        calls: list[Callable[[], _Answered]] = [champion, challenger]
        first = random.randrange(2)  # whose turn decides nothing that is kept, and must not be foreseen
        one = calls[first]()
        other = calls[1 - first]()
        return self._paired(told, *((other, one) if first else (one, other)))

    def _challenge(self, turn: int, told: Sequence[Told], numbers: list[int], known: Known) -> _Answered:
        """Let the challenger answer what it takes."""
        arm = self._challenger
        try:
            mine, rows = _taken(arm, told)
            if not mine:
                return NOTHING
            if mine != numbers or arm.bundle.features.hash != self._champion.bundle.features.hash:
                known = arm.predictor.known_beside(rows)
            self._challenged[turn] = time.monotonic(), told
            return _timed(arm, mine, rows, known)
        except InputError as error:
            LOG.debug("the challenger cannot be asked about %d rows: %s", len(told), error)
            return NOTHING
        finally:
            self._challenged.pop(turn, None)

    def _paired(self, told: Sequence[Told], champion: _Answered | None, challenger: _Answered) -> list[Pair]:
        """Return what both answered to rows; nothing is said of a champion that was not asked, for the challenger hangs."""
        made, batch = time.time_ns() // 1000, uuid.uuid4().int >> 66
        timed = champion is not None and champion.numbers == challenger.numbers
        pairs: list[Pair] = []
        for number, one in enumerate(told):
            first, lower, all_first = _at(self._champion, champion or NOTHING, number)
            second, lower_too, all_second = _at(self._challenger, challenger, number)
            pairs.append(
                Pair(
                    rollout=self.start,
                    batch=batch,
                    prediction_id=one.prediction_id,
                    made_at=made,
                    arm=one.arm,
                    champion_failed=first is None and champion is not None,
                    challenger_failed=second is None or one.failed,
                    champion=first,
                    challenger=second,
                    champion_lower=lower,
                    challenger_lower=lower_too,
                    champion_us=champion.us if timed and champion and not pairs else None,
                    challenger_us=challenger.us if timed and not pairs else None,
                    champion_answers=all_first,
                    challenger_answers=all_second,
                )
            )
        return pairs


def _taken(arm: Arm, told: Sequence[Told]) -> tuple[list[int], list[pydantic.BaseModel]]:
    """Return the rows that an arm takes, and their numbers."""
    numbers, rows = [], []
    for number, one in enumerate(told):
        try:
            rows.append(arm.validated(one.row, number))
            numbers.append(number)
        except InputError:
            continue
    return numbers, rows


def _timed(arm: Arm, numbers: list[int], rows: list[pydantic.BaseModel], known: Known) -> _Answered:
    """Return an arm's answers to rows and how long they took; none where it fails."""
    begun = time.perf_counter()
    try:
        done = arm.predictor.answer_beside(rows, known) if rows else None
    except Exception as error:  # whatever an arm does
        LOG.debug("an arm cannot answer %d rows beside: %s", len(rows), error)
        return NOTHING
    return _Answered({number: i for i, number in enumerate(numbers)}, done, (time.perf_counter() - begun) * 1e6)


def _at(arm: Arm, answered: _Answered, number: int) -> tuple[float | None, bool, bytes | None]:
    """Return the answer to a row, whether it is of a lower rung than it might be, and those of all classes."""
    place = answered.numbers.get(number)
    if answered.done is None or place is None:
        return None, False, None
    task, answers = arm.bundle.task, answered.done.values[place : place + 1]
    return float(task.single(answers)[0]), answered.done.reasons[place] not in FULL, pack(task, answers)[0]
