"""What holds for every task whose answer is one number a row."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np


class Scalar:
    """A task whose answers are (n,): the number itself is what is kept, told and drawn."""

    classes: ClassVar[tuple[str, ...]] = ()
    whole: ClassVar[bool] = False

    def single(self, answers: np.ndarray) -> np.ndarray:
        """Return the answers, (n,)."""
        return answers

    def came(self, y: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Return the outcomes, (n,)."""
        return y

    def encode(self, values: Any) -> np.ndarray:
        """Return outcomes as numbers, (n,), NaN for missing."""
        return np.asarray(values.to_numpy("float64"))

    def told(self, answers: np.ndarray) -> Sequence[Any]:
        """Return answers as they are told, one a row."""
        return list(answers.tolist())
