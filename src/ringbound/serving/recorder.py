"""The record of every answer: in the store before it is given or, where the store cannot be asked, as soon as it can."""

import logging
import threading
from collections import deque
from collections.abc import Sequence

from ringbound.errors import StoreError
from ringbound.serving.breaker import Breaker
from ringbound.serving.counters import LOST, STORE_ERRORS
from ringbound.store import Prediction, Store

MOST_UNRECORDED = 100_000
"""Predictions that wait in memory for a store that does not answer; the oldest are given up first."""
AT_ONCE = 1000
"""Records that are written, and sealed, together."""
LOG = logging.getLogger(__name__)


class Recorder:
    """Keeps predictions in a store. `breaker` is that of the store: while it rests, what comes waits in memory."""

    def __init__(self, breaker: Breaker):
        self._breaker = breaker
        self._waiting: deque[Prediction] = deque()
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many predictions wait for the store."""
        return len(self._waiting)

    def keep(self, predictions: Sequence[Prediction], store: Store | None) -> bool:
        """Keep predictions, after those that wait, and return whether they are in the store; without one they wait too."""
        self._put(predictions)
        return self.flush(store)

    def flush(self, store: Store | None, *, most: int = 2) -> bool:
        """Keep what waits, the oldest first, `most` times as much as is written together: who asks does not wait for more.

        Return whether nothing waits any more.
        """
        for _ in range(most):
            if not self._waiting:
                break
            if store is None or self._breaker.resting:
                return False
            with self._lock:
                some = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            try:
                store.record(some)
            except StoreError as error:
                LOG.error("%s; what was answered is recorded later", error)
                self._breaker.failed()
                STORE_ERRORS.inc()
                self._put_back(some)
                return False
            except BaseException:
                self._put_back(some)
                raise
        return not self._waiting

    def _put(self, predictions: Sequence[Prediction]) -> None:
        with self._lock:
            self._waiting.extend(predictions)
            self._give_up()

    def _put_back(self, predictions: Sequence[Prediction]) -> None:
        with self._lock:
            self._waiting.extendleft(reversed(predictions))
            self._give_up()

    def _give_up(self) -> None:
        """Let go of the oldest, where too many wait."""
        lost = len(self._waiting) - MOST_UNRECORDED
        for _ in range(lost):
            self._waiting.popleft()
        if lost > 0:
            LOST.inc(lost)
            LOG.error("%d predictions are given up: %d wait for the store already", lost, MOST_UNRECORDED)
