"""A part that fails is not tried on every request."""

import math
from collections.abc import Callable


class Breaker:
    """Leaves a part that failed alone for `rest_s` seconds; whoever asks first after that tries it again.

    >>> clock = iter([0.0, 0.5, 1.5])
    >>> breaker = Breaker(1.0, lambda: next(clock))
    >>> breaker.failed(), breaker.resting, breaker.resting
    (None, True, False)
    """

    def __init__(self, rest_s: float, monotonic: Callable[[], float]):
        self.rest_s = rest_s
        self._monotonic = monotonic
        self._until = -math.inf

    @property
    def resting(self) -> bool:
        """Whether the part is left alone now."""
        return self._monotonic() < self._until

    def failed(self) -> None:
        """Say that the part has failed just now."""
        self._until = self._monotonic() + self.rest_s
