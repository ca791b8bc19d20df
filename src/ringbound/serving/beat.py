"""What is done again and again beside the answers, in a thread of its own."""

import logging
import threading
from collections.abc import Callable, Sequence

from ringbound.errors import StoreError

LOG = logging.getLogger(__name__)


class Beat:
    """Calls some functions every `every_s` seconds until it is stopped; one that fails is logged and called again."""

    def __init__(self, calls: Sequence[Callable[[], None]], every_s: float):
        self._calls = calls
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="beat", daemon=True)
        self._thread.start()

    def stop(self, within_s: float = 0.0) -> None:
        """Call nothing any more, and wait so long for what is being called."""
        self._ended.set()
        self._thread.join(within_s)

    def _work(self) -> None:
        while not self._ended.wait(self._every_s):
            for call in self._calls:
                try:
                    call()
                except StoreError as error:
                    LOG.warning("%s", error)
                except Exception:  # the thread must live
                    LOG.exception("%s has failed", getattr(call, "__qualname__", call))
