"""How well stated probabilities agree with what was observed: in bins, as a slope, and as parts of the Brier score."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, special

from ringbound.display.tables import Shown
from ringbound.errors import ModelError
from ringbound.evaluation.ladder import LadderResult
from ringbound.evaluation.tenths import calibration_table
from ringbound.evaluation.uncertainty import LEVEL, Estimate


@dataclass(frozen=True)
class CalibrationResult(Shown):
    """Cox's line of calibration, slope and shift, and Murphy's parts of the Brier score."""

    slope: Estimate
    shift: Estimate
    parts: dict[str, float]

    @property
    def caption(self) -> str:
        """What the line says."""
        wrong = []
        if self.slope.low > 1 or self.slope.high < 1:
            wrong.append(f"answers are too {'sure' if self.slope.value < 1 else 'timid'} (slope {self.slope})")
        if self.shift.low > 0 or self.shift.high < 0:
            wrong.append(f"answers are too {'high' if self.shift.value < 0 else 'low'} (shift {self.shift})")
        return "; ".join(wrong) or f"neither slope ({self.slope}) nor shift ({self.shift}) is refuted"

    @property
    def frame(self) -> pd.DataFrame:
        """A row each."""
        says = {
            "slope": "of log-odds observed on log-odds stated; 1 is right, below 1 is too sure",
            "shift": "of log-odds, at slope 1; 0 is right, below 0 is stated too high",
            "uncertainty": "Brier score of the mean outcome",
            "resolution": "how far tenths of the answers differ in outcome; more is better",
            "reliability": "how far they are from what they state; less is better",
            "within": "what differs inside the tenths",
            "brier": "uncertainty - resolution + reliability + within",
        }
        values = {"slope": str(self.slope), "shift": str(self.shift)}
        values |= {name: f"{value:.4f}" for name, value in self.parts.items()}
        return pd.DataFrame({"value": values, "": says})


def calibration_check(result: LadderResult) -> CalibrationResult:
    """Hold the full model's probabilities, of classes that of the likeliest, to what came out, by stretches of blocks.

    Slope and shift of logistic regression on the stated log-odds (Cox, Biometrika 45, 1958), with jackknife intervals by
    stretches; the parts of the Brier score in tenths (Murphy, Journal of Applied Meteorology 12, 1973), and what is left
    within these (Stephenson, Coelho and Jolliffe, Weather and Forecasting 23, 2008).

    >>> from ringbound.testing import examples
    >>> parts = calibration_check(examples.evaluation()).parts
    >>> whole = parts["uncertainty"] - parts["resolution"] + parts["reliability"] + parts["within"]
    >>> abs(whole - parts["brier"]) < 1e-12
    True
    """
    task, answers = result.bundle.task, result.answers["full"]
    y, p = task.came(result.rows.y, answers), task.single(answers)
    if not (task.probabilities or task.classes):
        raise ModelError(f"calibration: expected answers that are probabilities; those of a {task.name} are none")
    if len(np.unique(y)) < 2:
        raise ModelError(f"calibration: expected outcomes of both kinds; got {np.unique(y).tolist()} alone")
    p = np.clip(p, 1e-9, 1 - 1e-9)
    odds = np.log(p / (1 - p))
    slope, shift = (_jackknife(fit, odds, y, result.units) for fit in (_line, _shift))
    bins = calibration_table(y, p)
    weights, mean = bins["rows"] / len(y), y.mean()
    resolution = float((weights * (bins["observed"] - mean) ** 2).sum())
    reliability = float((weights * (bins["predicted"] - bins["observed"]) ** 2).sum())
    uncertainty, brier = float(mean * (1 - mean)), float(((p - y) ** 2).mean())
    within = brier - (uncertainty - resolution + reliability)
    parts = {"uncertainty": uncertainty, "resolution": resolution, "reliability": reliability, "within": within}
    return CalibrationResult(slope, shift, parts | {"brier": brier})


def _jackknife(
    fit: Callable[[np.ndarray, np.ndarray], float], odds: np.ndarray, y: np.ndarray, unit: np.ndarray
) -> Estimate:
    """Return an estimate with its interval by Student's t, from leaving out each unit in turn."""
    units = int(unit.max()) + 1
    if units < 2:
        raise ModelError("calibration: expected rows of at least 2 blocks; got 1; measure on more of them")
    value = fit(odds, y)
    left_out = np.array([fit(odds[unit != one], y[unit != one]) for one in range(units)])
    error = np.sqrt((units - 1) / units * ((left_out - left_out.mean()) ** 2).sum())
    reach = float(special.stdtrit(units - 1, (1 + LEVEL) / 2) * error)
    return Estimate(value, value - reach, value + reach)


def _line(odds: np.ndarray, y: np.ndarray) -> float:
    """Return the slope of the largest likelihood, with a free intercept; NaN where outcomes or answers are all one."""
    if y.min() == y.max() or odds.min() == odds.max():
        return float("nan")
    from sklearn.linear_model import LogisticRegression

    return float(LogisticRegression(C=np.inf, tol=1e-8).fit(odds[:, None], y).coef_[0, 0])


def _shift(odds: np.ndarray, y: np.ndarray) -> float:
    """Return the intercept of the largest likelihood at slope 1: at it, as many yeses are stated as came; NaN as above."""
    if y.min() == y.max():
        return float("nan")
    return float(optimize.brentq(lambda shift: special.expit(odds + shift).sum() - y.sum(), -50, 50))
