"""Logistic calibration: a probability's log-odds, stretched to what was observed, where that helps.

Platt, Advances in Large Margin Classifiers, 1999; on log-odds: Cox, Biometrika 45 (1958). Nothing is shifted: a model
that is fitted again on the months its calibration was learnt on knows their base rate, and a shift would correct it twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ringbound.errors import ModelError
from ringbound.problem.metrics import log_losses


@dataclass(frozen=True)
class Calibration:
    """Calibrated log-odds are `slope` × log-odds + `intercept`."""

    slope: float
    intercept: float

    def apply(self, p: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities, (n,), for probabilities (n,)."""
        with np.errstate(over="ignore"):  # 1 / (1 + inf) is the 0 that is meant
            return 1.0 / (1.0 + np.exp(-(self.slope * _log_odds(p) + self.intercept)))


def learn_calibration(p: np.ndarray, y: np.ndarray) -> Calibration:
    """Return the stretch about the mean log-odds that fits best; p (n,) must be by models that have not seen y (n,).

    The slope is that of the largest likelihood with a free shift; the shift itself is dropped.
    """
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(y)) < 2:
        raise ModelError(f"calibration: expected outcomes of both kinds; got {np.unique(y).tolist()} alone")
    fitted = LogisticRegression(C=np.inf, tol=1e-8).fit(_log_odds(p)[:, None], y)
    slope = float(fitted.coef_[0, 0])
    if slope <= 0:
        raise ModelError(f"calibration: expected answers that rise with the outcome; got a slope of {slope:.3f}")
    return Calibration(slope, (1 - slope) * float(_log_odds(p).mean()))


@dataclass(frozen=True)
class CalibrationTrial:
    """Mean loss on later folds without and with a calibration, whose answers there, (m,), and what to serve with."""

    losses: dict[str, float]
    calibration: Calibration | None
    answers: np.ndarray


def try_calibration(p: np.ndarray, y: np.ndarray, folds: Sequence[np.ndarray]) -> CalibrationTrial:
    """Hold calibrated answers against plain ones on later folds; a calibration is kept only where it wins there.

    `p` (n,) are answers by models that had not seen y (n,); `folds` the positions of each fold's rows, in order of time.
    Each calibration is learnt on the folds before the one it is judged on, as it will be in service; with one fold there
    is nothing to judge it on, and none.
    """
    if len(folds) < 2:
        plain = np.concatenate(folds)
        return CalibrationTrial({"none": float(log_losses(y[plain], p[plain]).mean())}, None, p[plain])
    later, every = np.concatenate(folds[1:]), np.concatenate(folds)
    losses = {"none": float(log_losses(y[later], p[later]).mean())}
    try:
        learnt = [
            learn_calibration(p[seen], y[seen]) for seen in (np.concatenate(folds[:k]) for k in range(1, len(folds)))
        ]
        final = learn_calibration(p[every], y[every])
    except (
        ModelError
    ):  # outcomes of one kind, or answers that do not rise with them: the loss says what the model is worth
        return CalibrationTrial(losses, None, p[later])
    stretched = np.concatenate([one.apply(p[fold]) for one, fold in zip(learnt, folds[1:], strict=True)])
    losses["slope"] = float(log_losses(y[later], stretched).mean())
    if losses["slope"] < losses["none"]:
        return CalibrationTrial(losses, final, stretched)
    return CalibrationTrial(losses, None, p[later])


def _log_odds(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return np.log(p / (1 - p))
