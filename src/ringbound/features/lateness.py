"""How late events become known: what to declare as a source's lateness, and what came later than that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from ringbound.display.tables import Shown
from ringbound.features.asof import MINUTE
from ringbound.features.events import EventSource


@dataclass(frozen=True)
class LatenessTable(Shown):
    """One row a source: its events, minutes from happening to being known, the declared lateness, events beyond it.

    `p50_min`, `p99_min` and `max_min` are the median, the 99th percentile and the maximum. Events beyond the lateness count
    in no window.
    """

    rows: dict[str, dict[str, Any]]

    @property
    def frame(self) -> pd.DataFrame:
        """The table."""
        return pd.DataFrame.from_dict(self.rows, orient="index")


class Lags(Protocol):
    """What knows how long after it happened each event of a source became available: tables of events, or a log."""

    def lags(self, name: str) -> np.ndarray: ...


def lateness_table(sources: Mapping[str, EventSource], events: Lags) -> LatenessTable:
    """Measure how long after they happen the events of each source become known.

    >>> from ringbound.testing import examples
    >>> from ringbound.testing.parcels import FEATURES
    >>> lateness_table(FEATURES.sources, examples.events()).frame[["events", "max_min", "lateness", "too late"]]
              events  max_min  lateness  too late
    arrivals    3900     10.0        4h         0
    pickups     3900      5.0  no bound         0
    """
    rows = {}
    for name, source in sources.items():
        lags = events.lags(name)
        half, most, latest = np.quantile(lags, [0.5, 0.99, 1.0], method="lower") / MINUTE if len(lags) else [np.nan] * 3
        rows[name] = {
            "events": len(lags),
            "p50_min": half,
            "p99_min": most,
            "max_min": latest,
            "lateness": source.lateness or "no bound",
            "too late": int((lags > source.lateness_us).sum()),
        }
    return LatenessTable(rows)
