"""From local clocks, on which people publish schedules, to UTC, in which everything is stored."""

import numpy as np
import pandas as pd


def to_utc(local: pd.Series, zone: str | pd.Series, *, second_pass: bool = False) -> pd.Series:
    """Return the UTC instants of naive local times; a time that does not exist, or a missing zone, gives NaT.

    `zone` is one IANA name or a series of them, aligned with `local`. An hour that a clock shows twice is read as its
    first pass unless `second_pass` (PEP 495's fold). Shapes: (n,) to (n,); resolution microseconds.

    >>> to_utc(pd.Series(pd.to_datetime(["2020-03-29 02:30", "2020-07-01 12:00"])), "Europe/Berlin").tolist()
    [NaT, Timestamp('2020-07-01 10:00:00+0000', tz='UTC')]
    """
    zones = pd.Series(zone, index=local.index) if isinstance(zone, str) else zone
    result = pd.Series(pd.NaT, index=local.index, dtype="datetime64[us, UTC]")
    for name, part in local.groupby(zones, sort=True):
        is_dst = np.full(len(part), not second_pass)
        aware = part.dt.tz_localize(str(name), ambiguous=is_dst, nonexistent="NaT")
        result.loc[part.index] = aware.dt.tz_convert("UTC").dt.as_unit("us")
    return result
