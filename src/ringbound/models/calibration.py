"""Logistic calibration: a probability's log-odds, stretched and shifted to what was observed.

Platt, Advances in Large Margin Classifiers, 1999; on log-odds: Cox, Biometrika 45 (1958). Two numbers, so little is
needed to learn them, and the order of answers stays as it was.
"""

from dataclasses import dataclass

import numpy as np

from ringbound.errors import ModelError


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
    """Return the calibration of largest likelihood; p (n,) must come from models that have not seen y (n,)."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=np.inf, tol=1e-8).fit(_log_odds(p)[:, None], y)
    slope = float(fitted.coef_[0, 0])
    if slope <= 0:
        raise ModelError(f"calibration: expected answers that rise with the outcome; got a slope of {slope:.3f}")
    return Calibration(slope, float(fitted.intercept_[0]))


def _log_odds(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return np.log(p / (1 - p))
