"""From UTC back to the local clocks that people live by; NumPy only, for the serving path."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np


def local_clock(utc: np.ndarray, zone: str) -> np.ndarray:
    """Return the naive local times, datetime64[us], that a clock in `zone` shows at the instants `utc`.

    `zoneinfo` is asked once per distinct quarter of an hour, the finest step at which
    any zone in use changes its offset. NaT stays NaT.
    """
    instants = np.asarray(utc, dtype="datetime64[us]")
    quarters = instants.astype("datetime64[m]").astype(np.int64) // 15
    distinct, position = np.unique(quarters, return_inverse=True)
    clock = ZoneInfo(zone)
    missing = np.datetime64("NaT", "m").astype(np.int64) // 15
    offsets = np.array([0 if q == missing else _offset_s(int(q) * 900, clock) for q in distinct], dtype=np.int64)
    return instants + offsets[position.reshape(instants.shape)].astype("timedelta64[s]")


def _offset_s(epoch_s: int, clock: ZoneInfo) -> int:
    offset = clock.utcoffset(datetime.fromtimestamp(epoch_s, UTC).astimezone(clock))
    return int(offset.total_seconds()) if offset is not None else 0
