"""The kernel: what was known of an entity at an instant, over the window `(t - w, t]`, in whole numbers.

Events lie in a *run*: ordered by (time, id), in prefix form, with a pad at position 0. Position p stands for "the first p
events", so a window is two positions, `lo` and `hi`, and holds the events lo + 1 … hi. Offline a run holds every entity one
after the other as NumPy arrays and positions are (n,) arrays; online it holds one entity as `array("q")` and positions are
two ints. **The same expressions serve both**: each aggregate gives a numerator and a denominator as int64, which
`ratio` divides once, in float64. Whole numbers add up to the same sum in any order and any partition; floats do not.

Times are int64 microseconds since 1970. Numbers are int64 in fixed point: `rint(value * scale)`, at most `LIMIT` in size,
so that sums over up to 2**22 events of a window are exact.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MISSING = -(2**63)
"""A number that an event does not have, and the time of the pad."""
LATEST = 2**62
"""A time after all others."""
LIMIT = 2**41
"""The largest size of a number in fixed point."""
MINUTE = 60_000_000

Positions = Any  # an int, or an int64 array (n,): the expressions below hold for both
Sequence64 = Any  # array("q") or an int64 array


@dataclass
class Track:
    """One number of the events of a run, in prefix form; each sequence has one entry a position.

    `values[p]` is event p's number or MISSING, `sums[p]` the sum and `known[p]` the count of the numbers among the first
    p events, `latest[p]` the last of these events that has one, 0 if none has.
    """

    values: Sequence64
    sums: Sequence64
    known: Sequence64
    latest: Sequence64

    @classmethod
    def from_numbers(cls, numbers: np.ndarray) -> "Track":
        """Return the track of numbers (n,) int64, MISSING where an event has none."""
        has = numbers != MISSING
        at = np.arange(1, len(numbers) + 1)
        return cls(
            _padded(numbers, MISSING),
            _padded(np.cumsum(np.where(has, numbers, 0))),  # wraps at 2**64, and so do differences: windows stay right
            _padded(np.cumsum(has)),
            _padded(np.maximum.accumulate(np.where(has, at, 0))) if len(numbers) else np.zeros(1, np.int64),
        )


@dataclass
class Run:
    """Events in prefix form: `times[p]` is event p's, `tracks` their numbers by name."""

    times: Sequence64
    tracks: dict[str, Track] = field(default_factory=dict)

    @classmethod
    def from_times(cls, times: np.ndarray, numbers: dict[str, np.ndarray]) -> "Run":
        """Return the run of events that are in order; times (n,) int64, numbers (n,) int64 each."""
        return cls(_padded(times, MISSING), {name: Track.from_numbers(column) for name, column in numbers.items()})


def _padded(values: np.ndarray, pad: int = 0) -> np.ndarray:
    result = np.empty(len(values) + 1, dtype=np.int64)
    result[0] = pad
    result[1:] = values
    return result


def fixed(values: np.ndarray, scale: int) -> np.ndarray:
    """Return float64 values (n,) in fixed point, (n,) int64; NaN is MISSING. Sizes above LIMIT must be refused before."""
    missing = np.isnan(values)
    return np.where(missing, MISSING, np.rint(np.where(missing, 0.0, values) * scale).astype(np.int64))


def ratio(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    """Divide int64 by int64 in float64; a denominator of 0 gives NaN: there was nothing to say."""
    result = np.full(numerators.shape, np.nan)
    return np.divide(
        numerators.astype(np.float64), denominators.astype(np.float64), out=result, where=denominators != 0
    )


# Each aggregate takes (run, track, lo, hi, at, scale) and returns a numerator and a denominator.


def count(run: Run, track: Track | None, lo: Positions, hi: Positions, at: Positions, scale: int) -> tuple:
    """How many events; 0 where there is none."""
    return hi - lo, 1


def age(run: Run, track: Track | None, lo: Positions, hi: Positions, at: Positions, scale: int) -> tuple:
    """Minutes since the last event became known."""
    inside = hi > lo
    return (at - run.times[hi]) * inside, MINUTE * inside


def total(run: Run, track: Track, lo: Positions, hi: Positions, at: Positions, scale: int) -> tuple:
    """The sum of the known numbers."""
    return track.sums[hi] - track.sums[lo], scale * (track.known[hi] > track.known[lo])


def mean(run: Run, track: Track, lo: Positions, hi: Positions, at: Positions, scale: int) -> tuple:
    """The mean of the known numbers."""
    return track.sums[hi] - track.sums[lo], scale * (track.known[hi] - track.known[lo])


def last(run: Run, track: Track, lo: Positions, hi: Positions, at: Positions, scale: int) -> tuple:
    """The last known number."""
    latest = track.latest[hi]
    return track.values[latest], scale * (latest > lo)


def least(run: Run, track: Track, lo: Positions, hi: Positions, at: Positions, scale: int) -> tuple:
    """The smallest known number."""
    known = track.known[hi] > track.known[lo]
    return _extreme(track.values, lo, hi, min, np.minimum, 2**63 - 1), scale * known


def largest(run: Run, track: Track, lo: Positions, hi: Positions, at: Positions, scale: int) -> tuple:
    """The largest known number."""
    known = track.known[hi] > track.known[lo]
    return _extreme(track.values, lo, hi, max, np.maximum, MISSING), scale * known


def _extreme(values: Sequence64, lo: Positions, hi: Positions, one: Callable, many: np.ufunc, nothing: int) -> Any:
    """Return the extreme of `values[lo + 1 : hi + 1]`, MISSING left out; `nothing` where nothing is left."""
    if isinstance(hi, int):
        return one((value for value in values[lo + 1 : hi + 1] if value != MISSING), default=nothing)
    # A window of length m is covered by two of length 2**floor(log2 m); one level of the table is held at a time
    # (Bender and Farach-Colton, "The LCA problem revisited", LATIN 2000, section 3).
    level = np.where(values == MISSING, nothing, values)
    length = hi - lo
    result = np.full(len(hi), nothing, dtype=np.int64)
    size = 1
    while True:
        here = np.flatnonzero((length >= size) & (length < 2 * size))
        result[here] = many(level[lo[here] + 1], level[hi[here] + 1 - size])
        if not (length >= 2 * size).any():
            return result
        level = many(level[:-size], level[size:])
        size *= 2


AGGREGATES: dict[str, Callable[..., tuple]] = {
    "count": count,
    "sum": total,
    "mean": mean,
    "rate": mean,
    "min": least,
    "max": largest,
    "last": last,
    "age": age,
}
