"""From UTC back to the local clocks that people live by; NumPy only, for the serving path."""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

MISSING_S = int(np.datetime64("NaT", "m").astype(np.int64)) // 15 * 900


def local_clock(utc: np.ndarray, zone: str) -> np.ndarray:
    """Return the naive local times, datetime64[us], that a clock in `zone` shows at the instants `utc`.

    `zoneinfo` is asked once per distinct quarter of an hour, the finest step at which
    any zone in use changes its offset. NaT stays NaT.
    """
    instants = np.asarray(utc, dtype="datetime64[us]")
    quarters = instants.astype("datetime64[m]").astype(np.int64) // 15
    if quarters.size == 1:
        return instants + np.timedelta64(_offset_s(quarters.item() * 900, zone), "s")
    distinct, position = np.unique(quarters, return_inverse=True)
    offsets = np.array([_offset_s(quarter * 900, zone) for quarter in distinct.tolist()], dtype="timedelta64[s]")
    return instants + offsets[position.reshape(instants.shape)]


@lru_cache(2**14)
def _offset_s(epoch_s: int, zone: str) -> int:
    if epoch_s == MISSING_S:
        return 0
    clock = ZoneInfo(zone)
    offset = clock.utcoffset(datetime.fromtimestamp(epoch_s, UTC).astimezone(clock))
    return int(offset.total_seconds()) if offset is not None else 0
