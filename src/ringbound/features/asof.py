"""The kernel: what was known of an entity at an instant, over the window `(t - w, t]`, in whole numbers.

Events lie in a *run*: ordered by (time, id), in prefix form, with a pad at position 0. Position p stands for "the first p
events", so a window is two positions, `lo` and `hi`, and holds the events lo + 1 … hi. Offline a run holds every entity one
after the other as NumPy arrays and positions are (n,) arrays; online it holds one entity as `array("q")` and positions are
two ints. **The same expressions serve both**: each aggregate gives a numerator and a denominator as int64, which
`ratio` divides once, in float64. Whole numbers add up to the same sum in any order and any partition; floats do not.

Times are int64 microseconds since 1970. Numbers are int64 in fixed point: `rint(value * scale)`, at most `LIMIT` in size,
so that sums over up to 2**22 events of a window are exact.
"""

import hashlib
from collections.abc import Callable, Sequence
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


def code(text: str) -> int:
    """Return a number for a text, the same everywhere, below LIMIT: by it different texts are told apart.

    That any two of a million texts share one has a chance of about one in three; of a thousand, of one in two million.
    """
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=5).digest())


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


def since(run: Run, track: Track | None, lo: Positions, hi: Positions, at: Positions, scale: int) -> tuple:
    """Minutes since the first event of the window became known."""
    inside = hi > lo
    first = min(lo + 1, len(run.times) - 1) if isinstance(lo, int) else np.minimum(lo + 1, len(run.times) - 1)
    return (at - run.times[first]) * inside, MINUTE * inside


def distinct(run: Run, track: Track, lo: Positions, hi: Positions, at: Positions, scale: int) -> tuple:
    """How many different known values."""
    if isinstance(hi, int):
        return len({*track.values[lo + 1 : hi + 1]} - {MISSING}), track.known[hi] > track.known[lo]
    values = np.asarray(track.values)
    order = np.argsort(values, kind="stable")
    again = np.flatnonzero(values[order][1:] == values[order][:-1]) + 1
    before = np.zeros(len(values), np.int64)  # where a value stood last; it is counted where that is not in the window
    before[order[again]] = order[again - 1]
    before[values == MISSING] = len(values)
    return _at_most(before, lo, hi), track.known[hi] > track.known[lo]


def _at_most(before: np.ndarray, lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
    """Return how many of `before[lo + 1 : hi + 1]` are at most lo, (n,) each.

    A window is made of blocks of 1, 2, 4, … entries, at most two of each size; one size is held, sorted, at a time.
    """
    size = 1 << max(1, int(len(before) - 1).bit_length())
    level = np.full(size, len(before), np.int64)
    level[: len(before)] = before
    left, right, width = lo + 1, hi + 1, 1
    found, wide = np.zeros(len(hi), np.int64), len(before) + 1
    while width <= size and (left < right).any():
        blocks = np.sort(level.reshape(-1, width), axis=1)
        places = (blocks + np.arange(len(blocks))[:, None] * wide).ravel()

        def count_of(block: np.ndarray, rows: np.ndarray) -> None:
            end = np.searchsorted(places, block * wide + lo[rows], "right")  # noqa: B023 - called at once
            found[rows] += end - block * width  # noqa: B023

        odd = np.flatnonzero((left < right) & (left % 2 == 1))
        count_of(left[odd], odd)
        left[odd] += 1
        odd = np.flatnonzero((left < right) & (right % 2 == 1))
        right[odd] -= 1
        count_of(right[odd], odd)
        left, right, width = left // 2, right // 2, width * 2
    return found


def spread(run: Run, track: Track, lo: Positions, hi: Positions, at: Positions, scale: int) -> tuple:
    """The standard deviation of the known numbers, of two at least."""
    n, s, q = _moments(track, lo, hi)
    variance = (q - s * s / np.maximum(n, 1)) / np.maximum(n - 1, 1)
    return np.sqrt(np.maximum(variance, 0.0)), scale * (n > 1)


def trend(run: Run, track: Track, lo: Positions, hi: Positions, at: Positions, scale: int) -> tuple:
    """The slope a day of the line through the known numbers by when they became known, to the minute."""
    n, s, _ = _moments(track, lo, hi)
    t, tt, tv = _moments_of_time(run, track, lo, hi)
    n = np.maximum(n, 1)
    return 1440.0 * (tv - t * s / n), scale * (tt - t * t / n)


def _moments(track: Track, lo: Positions, hi: Positions) -> tuple:
    """Return how many numbers are known, the sum of what they are above the last of them, and of its squares, as floats.

    Whole numbers until the end, which are exact for `NARROW` ones: 2**22 squares of 2**20 stay below 2**63.
    """
    known, latest = track.known[hi] - track.known[lo], track.latest[hi]
    if isinstance(hi, int):
        above = [value - track.values[latest] for value in track.values[lo + 1 : hi + 1] if value != MISSING]
        return float(known), float(sum(above)), float(sum(value * value for value in above))
    values = np.asarray(track.values)
    number = np.where(values == MISSING, 0, values)
    last = np.where(known > 0, values[latest], 0)
    squares = np.cumsum(number * number)
    total = track.sums[hi] - track.sums[lo]
    square = squares[hi] - squares[lo] - 2 * last * total + last * last * known
    return known.astype(np.float64), (total - last * known).astype(np.float64), square.astype(np.float64)


def _moments_of_time(run: Run, track: Track, lo: Positions, hi: Positions) -> tuple:
    """Return three sums over the known numbers, as floats: of time, of its squares, and of its products with the numbers.

    Time is in minutes after the last of them, so at most 0; numbers are what they are above the last.
    """
    known, latest = track.known[hi] - track.known[lo], track.latest[hi]
    if isinstance(hi, int):
        last, end = track.values[latest], run.times[latest] // MINUTE
        pairs = [
            (run.times[p] // MINUTE - end, track.values[p] - last)
            for p in range(lo + 1, hi + 1)
            if track.values[p] != MISSING
        ]
        sums = (sum(t for t, _ in pairs), sum(t * t for t, _ in pairs), sum(t * v for t, v in pairs))
        return float(sums[0]), float(sums[1]), float(sums[2])
    values, minutes = np.asarray(track.values), np.asarray(run.times) // MINUTE
    there = values != MISSING
    number, minute = np.where(there, values, 0), np.where(there, minutes, 0)
    last, end = (np.where(known > 0, column[latest], 0) for column in (values, minutes))
    over = lambda column: np.cumsum(column)[hi] - np.cumsum(column)[lo]  # noqa: E731 - wraps, as sums do
    t, v = over(minute), track.sums[hi] - track.sums[lo]
    time = t - end * known
    square = over(minute * minute) - 2 * end * t + end * end * known
    product = over(minute * number) - end * v - last * t + end * last * known
    return time.astype(np.float64), square.astype(np.float64), product.astype(np.float64)


def decayed(track: Track, positions: Sequence[tuple[Positions, Positions]], scale: int) -> tuple:
    """The mean of the known numbers, of which those of each window before count half as much as those after."""
    total: Any = 0.0
    weight: Any = 0.0
    factor = 1.0
    for lo, hi in positions:
        total = total + (track.sums[hi] - track.sums[lo]) * factor
        weight = weight + (track.known[hi] - track.known[lo]) * factor
        factor /= 2
    return total, scale * weight


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
    "since": since,
    "distinct": distinct,
    "std": spread,
    "trend": trend,
}
DECAYED = "decayed"
HALVINGS = 10
"""Windows in a row that a decayed mean goes by; its own length is that of the latest."""
NARROW = 2**19
"""The largest size of a number in fixed point of which squares are summed."""
LONGEST_TREND = 2**20 * MINUTE
"""The longest window of a trend: minutes in it, times numbers, are summed as squares are."""
