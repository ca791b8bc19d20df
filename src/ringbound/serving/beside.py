"""Both arms on the same rows, beside the answers: what a roll-out is judged by.

Every row that is answered while a roll-out is on is put here too, and both arms answer it once more in one thread, in turns
the one or the other first: the same rows, at the same time, under the same load. Nobody waits for it. Where it cannot keep
up, rows are left out, the newest first; where it hangs, the challenger has no answers.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ringbound.errors import StoreError
from ringbound.models.stepping import LadderAnswers
from ringbound.serving.arm import Arm, Arms
from ringbound.serving.counters import UNPAIRED
from ringbound.store import Arm as ArmName
from ringbound.store import Pair, Store

MOST_WAITING, AT_ONCE = 2_000, 200
"""Rows that wait, and that are answered together."""
HANGS_S = 5.0
"""After which an arm that answers beside is taken to hang."""
MOST_UNWRITTEN = 20_000
FULL = (None, "sure")
"""Reasons with which an answer is as good as there is."""
LOG = logging.getLogger(__name__)


class Told(NamedTuple):
    """A row as it came, the answer that was given, by whose arm, and whether the challenger should have and failed."""

    arms: Arms
    row: Mapping[str, Any]
    prediction_id: str
    arm: ArmName
    failed: bool = False


class Beside:
    """Answers rows by both arms, for the record; `flush` writes what has come of it."""

    def __init__(self) -> None:
        self._waiting: list[Told] = []
        self._pairs: list[Pair] = []
        self._lock = threading.Condition()
        self._since: float | None = None
        self._ended = False
        self._turn = 0
        self._thread: threading.Thread | None = None

    def put(self, told: Sequence[Told]) -> None:
        """Take rows that were answered, as many as there is room for."""
        if self._thread is None:  # most services never have a roll-out
            self._thread = threading.Thread(target=self._work, name="beside", daemon=True)
            self._thread.start()
        since, now = self._since, time.monotonic()
        with self._lock:
            if since is not None and now - since > HANGS_S:
                self._keep([_failed(one) for one in told])
                return
            room = max(0, MOST_WAITING - len(self._waiting))
            self._waiting.extend(told[:room])
            UNPAIRED.inc(len(told) - len(told[:room]))
            self._lock.notify()

    def flush(self, store: Store) -> None:
        """Write what has come of it so far."""
        with self._lock:
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
            self._ended = True
            self._lock.notify()

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._waiting and not self._ended:
                    self._lock.wait()
                if self._ended:
                    return
                arms = self._waiting[0].arms
                some = [one for one in self._waiting[:AT_ONCE] if one.arms is arms]
                self._waiting = self._waiting[len(some) :]
            self._since = time.monotonic()
            try:
                pairs = self._answer(arms, some)
            except Exception:  # the thread must live
                LOG.exception("rows cannot be answered beside")
                pairs = []
            self._since = None
            with self._lock:
                self._keep(pairs)

    def _keep(self, pairs: Sequence[Pair]) -> None:
        self._pairs.extend(pairs)
        if (lost := len(self._pairs) - MOST_UNWRITTEN) > 0:
            del self._pairs[:lost]
            UNPAIRED.inc(lost)

    def _answer(self, arms: Arms, told: Sequence[Told]) -> list[Pair]:
        """Let both arms answer rows; where that fails for all at once, one after the other."""
        assert arms.challenger
        self._turn += 1
        order = arms.all if self._turn % 2 else arms.all[::-1]
        done: dict[int, tuple[LadderAnswers, float]] = {}
        for arm in order:
            try:
                done[id(arm)] = _timed(arm, told)
            except Exception as error:  # whatever a challenger does
                LOG.debug("an arm cannot answer %d rows beside: %s", len(told), error)
        if len(done) < len(order):
            if len(told) > 1:
                return [pair for one in told for pair in self._answer(arms, [one])]
            return [_failed(one) for one in told] if id(arms.champion) in done else []  # else nothing to compare with
        (first, first_us), (second, second_us) = done[id(arms.champion)], done[id(arms.challenger)]
        made = time.time_ns() // 1000
        return [
            Pair(
                rollout=_start(one),
                prediction_id=one.prediction_id,
                made_at=made,
                arm=one.arm,
                failed=one.failed,
                champion=None if one.failed else float(first.values[i]),
                challenger=None if one.failed else float(second.values[i]),
                champion_lower=first.reasons[i] not in FULL,
                challenger_lower=second.reasons[i] not in FULL,
                champion_us=first_us if i == 0 else None,
                challenger_us=second_us if i == 0 else None,
            )
            for i, one in enumerate(told)
        ]


def _timed(arm: Arm, told: Sequence[Told]) -> tuple[LadderAnswers, float]:
    """Return an arm's answers to rows, and the microseconds that each took."""
    rows = [arm.validated(one.row, number) for number, one in enumerate(told)]
    begun = time.perf_counter()
    done = arm.predictor.answer_beside(rows)
    return done, (time.perf_counter() - begun) * 1e6 / len(rows)


def _failed(told: Told) -> Pair:
    made = time.time_ns() // 1000
    return Pair(_start(told), told.prediction_id, made, told.arm, True, None, None, False, True, None, None)


def _start(told: Told) -> int:
    assert told.arms.rollout
    return told.arms.rollout.start.seq
