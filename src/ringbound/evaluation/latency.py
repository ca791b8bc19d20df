"""How long models take for one row, side by side in one process: a machine's moods then hit all of them alike."""

import time
from collections.abc import Callable, Mapping
from statistics import median

import numpy as np

ROUNDS = 5


def one_row_us(calls: Mapping[str, Callable[[int], object]], rows: int) -> dict[str, float]:
    """Return each call's median time for one row, in microseconds; `call(i)` answers row i of `rows`.

    The calls take turns, so that they meet the same moments; the first round warms up and is not counted.
    """
    taken: dict[str, list[int]] = {name: [] for name in calls}
    for turn in range(1 + ROUNDS):
        for row in range(rows):
            for name, call in calls.items():
                started = time.perf_counter_ns()
                call(row)
                if turn:
                    taken[name].append(time.perf_counter_ns() - started)
    return {name: median(times) / 1000 for name, times in taken.items()}


def of_matrix(answer: Callable[[np.ndarray], np.ndarray], X: np.ndarray) -> Callable[[int], object]:
    """Return the call that answers one row of an encoded matrix (n, columns)."""
    return lambda row: answer(X[row : row + 1])
