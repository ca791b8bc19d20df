"""One rung of the ladder: a model with the encoder of its features and the calibration of its answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ringbound.errors import ModelError
from ringbound.features.columns import Column
from ringbound.models.calibration import Calibration
from ringbound.models.encoding import Encoder
from ringbound.models.explain import Effects, explainer_of
from ringbound.models.linear import LinearModel, SeveralLinear
from ringbound.models.trees import TreeModel


@dataclass(frozen=True)
class LostModel:
    """A model that cannot be read: it `says` so when it is asked."""

    says: str

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Raise `ModelError`."""
        raise ModelError(self.says)


Model = LinearModel | SeveralLinear | TreeModel | LostModel


@dataclass(frozen=True)
class Rung:
    """A model with the encoder of its features and, for probabilities, the calibration of its answers."""

    encoder: Encoder
    model: Model
    calibration: Calibration | None = None

    def answer(self, features: Mapping[str, Column]) -> np.ndarray:
        """Return (n,) answers for features of n rows, of classes (n, classes)."""
        return self.answer_matrix(self.encoder.matrix(features))

    @cached_property
    def explain(self) -> Callable[[np.ndarray], Effects]:
        """What says, for encoded rows (n, columns), what each column adds to the margin of the model."""
        if isinstance(self.model, LostModel):
            raise ModelError(self.model.says)
        return explainer_of(self.model)

    def answer_matrix(self, X: np.ndarray) -> np.ndarray:
        """Return (n,) answers for encoded rows (n, columns), of classes (n, classes)."""
        answers = self.model.predict(X)
        return answers if self.calibration is None else self.calibration.apply(answers)
