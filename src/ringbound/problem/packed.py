"""Answers as tables and records keep them: a number a row, or a list of one number a class."""

from collections.abc import Sequence
from typing import Any

import numpy as np

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
    """Return each row's answers as a record keeps them: float64 bytes, one a class; none where a number says all."""
    if not task.classes:
        return [None] * len(answers)
    return [row.tobytes() for row in np.ascontiguousarray(answers)]


def unpack(task: Task, singles: Sequence[float], packed: Sequence[bytes | None]) -> np.ndarray:
    """Return the answers that were packed; NaN for those that cannot be read.

    >>> from ringbound.problem.multiclass import Multiclass
    >>> task, answers = Multiclass(("a", "b", "c")), np.array([[0.1, 0.2, 0.7]])
    >>> unpack(task, [0.7], pack(task, answers)).tolist()
    [[0.1, 0.2, 0.7]]
    """
    if not task.classes:
        return np.array(singles, np.float64)
    nothing = np.full(len(task.classes), np.nan).tobytes()
    whole = b"".join(one if one and len(one) == len(nothing) else nothing for one in packed)
    return np.frombuffer(whole, np.float64).reshape(len(packed), len(task.classes)).copy()
