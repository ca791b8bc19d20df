"""From UTC back to the local clocks that people live by; NumPy only, for the serving path."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

TIME = np.dtype("datetime64[us]")
QUARTER = 900_000_000
FIRST, LAST = (int(datetime(*day, tzinfo=UTC).timestamp()) for day in ((1, 1, 3), (9999, 12, 29)))
MISSING = int(np.datetime64("NaT", "us").astype(np.int64)) // QUARTER


def local_clock(utc: np.ndarray, zone: str) -> np.ndarray:
    """Return the naive local times, datetime64[us], that a clock in `zone` shows at the instants `utc`.

    `zoneinfo` is asked once per distinct quarter of an hour, the finest step at which
    any zone in use changes its offset. NaT stays NaT.

    >>> local_clock(np.array(["2020-07-01T12:00"], "datetime64[us]"), "Europe/Berlin")
    array(['2020-07-01T14:00:00.000000'], dtype='datetime64[us]')
    """
    instants = np.asarray(utc, dtype=TIME).view(np.int64)
    if instants.size == 1:
        return (instants + _offset_us(instants.item() // QUARTER, zone)).view(TIME)
    distinct, position = np.unique(instants // QUARTER, return_inverse=True)
    offsets = np.array([_offset_us(quarter, zone) for quarter in distinct.tolist()], dtype=np.int64)
    return (instants + offsets[position.reshape(instants.shape)]).view(TIME)


@lru_cache(2**14)
def _offset_us(quarter: int, zone: str) -> int:
    if quarter == MISSING:
        return 0
    clock = ZoneInfo(zone)
    second = min(max(quarter * QUARTER // 1_000_000, FIRST), LAST)  # a local clock is up to a day ahead or behind
    offset = clock.utcoffset(datetime.fromtimestamp(second, UTC).astimezone(clock))
    return offset // timedelta(microseconds=1) if offset is not None else 0
