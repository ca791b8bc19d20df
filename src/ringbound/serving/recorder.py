"""The record of every answer: in the store before it is given or, where the store cannot be asked, as soon as it can."""

import logging
import threading
from collections import deque
from collections.abc import Sequence

from ringbound.errors import StoreError
from ringbound.serving.breaker import Breaker
from ringbound.store import Prediction, Store

MOST_UNRECORDED = 100_000
"""Predictions that wait in memory for a store that does not answer; the oldest are given up first."""
LOG = logging.getLogger(__name__)


class Recorder:
    """Keeps predictions in a store. `breaker` is that of the store: while it rests, what comes waits in memory."""

    def __init__(self, breaker: Breaker):
        self._breaker = breaker
        self._waiting: deque[Prediction] = deque(maxlen=MOST_UNRECORDED)
        self._lock = threading.Lock()
        self.lost = 0

    def keep(self, predictions: Sequence[Prediction], store: Store | None) -> bool:
        """Keep predictions, with all that wait, and return whether they are in the store; without one they wait too."""
        with self._lock:
            self.lost += max(0, len(self._waiting) + len(predictions) - MOST_UNRECORDED)
            self._waiting += predictions
            if store is None or self._breaker.resting:
                return False
            waiting = list(self._waiting)
            self._waiting.clear()
        try:
            store.record(waiting)
        except StoreError as error:
            LOG.error("%s; what was answered is recorded later", error)
            self._breaker.failed()
            with self._lock:
                self._waiting.extendleft(reversed(waiting))
            return False
        return True

    @property
    def waiting(self) -> int:
        """How many predictions wait for the store."""
        return len(self._waiting)
