"""Answers as tables and records keep them: a number a row, or a list of one number a class."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ringbound.features.asof import code
from ringbound.features.columns import Category, Column
from ringbound.problem.task import Task


def as_column(answers: np.ndarray) -> Any:
    """Return answers as a table's column: of classes a list a row.

    >>> as_column(np.array([[0.2, 0.8]]))
    [[0.2, 0.8]]
    """
    return answers if answers.ndim == 1 else answers.tolist()


def from_column(column: Any) -> np.ndarray:
    """Return the answers that a table's column holds, (n,) or (n, classes).

    >>> import pandas as pd
    >>> from_column(pd.Series([[0.2, 0.8]])).shape, from_column(pd.Series([0.5])).shape
    ((1, 2), (1,))
    """
    values = column.to_numpy()
    if values.dtype == object and len(values):
        return np.array([list(row) for row in values], np.float64)
    return np.asarray(values, np.float64)


def pack(task: Task, answers: np.ndarray) -> Sequence[bytes | None]:
    """Return each row's answers as a record keeps them: what says of which classes, then float64 bytes, one a class.

    None where a number says all.
    """
    if not task.classes:
        return [None] * len(answers)
    return [_which(task) + row.tobytes() for row in np.ascontiguousarray(answers)]


def unpack(task: Task, singles: Sequence[float], packed: Sequence[bytes | None]) -> np.ndarray:
    """Return the answers that were packed; NaN for those that cannot be read, or are of other classes.

    >>> from ringbound.problem.multiclass import Multiclass
    >>> task, answers = Multiclass(("a", "b", "c")), np.array([[0.1, 0.2, 0.7]])
    >>> unpack(task, [0.7], pack(task, answers)).tolist()
    [[0.1, 0.2, 0.7]]
    """
    if not task.classes:
        return np.array(singles, np.float64)
    which, nothing = _which(task), np.full(len(task.classes), np.nan).tobytes()
    size = len(which) + len(nothing)
    whole = [one[len(which) :] if one and len(one) == size and one.startswith(which) else nothing for one in packed]
    return np.frombuffer(b"".join(whole), np.float64).reshape(len(packed), len(task.classes)).copy()


def watched_answers(task: Task, answers: np.ndarray) -> Column:
    """Return what is watched of answers, (n,): the number or, of classes, the likeliest."""
    if not task.classes:
        return answers
    return Category(np.where(readable(answers), np.argmax(answers, axis=1), -1), task.classes)


def watched_outcomes(task: Task, y: np.ndarray) -> Column:
    """Return what is watched of outcomes, (n,): the number or, of classes, the one that came."""
    return Category(np.where(np.isnan(y), -1, y).astype(np.int64), task.classes) if task.classes else y


def readable(answers: np.ndarray) -> np.ndarray:
    """Return which answers (n,) or (n, classes) are numbers, (n,) of booleans.

    >>> readable(np.array([[0.2, np.nan], [0.2, 0.8]])).tolist()
    [False, True]
    """
    return np.isfinite(answers) if answers.ndim == 1 else np.isfinite(answers).all(axis=1)


def _which(task: Task) -> bytes:
    return hashlib.blake2b("\0".join(task.classes).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def kept_outcomes(task: Task, y: np.ndarray) -> np.ndarray:
    """Return outcomes (n,) as the store keeps them: of classes a code of the name, which other classes do not change.

    >>> from ringbound.problem.multiclass import Multiclass
    >>> before, after = Multiclass(("b", "c", "d")), Multiclass(("a", "b", "c", "d"))
    >>> outcomes_kept(after, kept_outcomes(before, np.array([0.0, np.nan]))).tolist()
    [1.0, nan]
    """
    if not task.classes:
        return y
    codes = np.array([*map(code, task.classes), np.nan], np.float64)
    return codes[np.where(np.isnan(y), -1, y).astype(int)]


def outcomes_kept(task: Task, values: np.ndarray) -> np.ndarray:
    """Return outcomes (n,) that the store has kept; NaN for what is no outcome of this task."""
    if not task.classes:
        return np.where(task.admits(values), values, np.nan)
    places = {float(code(name)): float(place) for place, name in enumerate(task.classes)}
    return np.array([places.get(value, np.nan) for value in values.tolist()], np.float64)
