"""Stated and observed frequency in bins of equal count."""

import numpy as np
import pandas as pd

from ringbound.problem.metrics import pooled


def calibration_table(y: np.ndarray, p: np.ndarray, bins: int = 10, *, units: np.ndarray | None = None) -> pd.DataFrame:
    """Return one row per bin of equal count: rows, mean predicted, observed share, and the standard error of their gap.

    Rows of one unit (n,) are not independent: the error is that of the units' sums; without units each row is one.

    >>> calibration_table(np.array([0.0, 1.0, 1.0, 1.0]), np.array([0.1, 0.3, 0.8, 0.8]), bins=2)["observed"].tolist()
    [0.5, 1.0]
    """
    y_pooled = pooled(y, p, np.ones(len(y)))
    place = np.minimum(np.argsort(np.argsort(p, kind="stable"), kind="stable") * bins // len(p), bins - 1)
    rows = pd.DataFrame({"y": y_pooled, "p": p, "gap": y - p, "unit": np.arange(len(p)) if units is None else units})
    table = rows.groupby(place).agg(rows=("y", "size"), predicted=("p", "mean"), observed=("y", "mean"))
    sums = rows.groupby([place, "unit"])["gap"].agg(["sum", "size"])
    mean = (table["observed"] - table["predicted"]).reindex(sums.index.get_level_values(0)).to_numpy()
    around = (sums["sum"] - sums["size"] * mean) ** 2
    count = around.groupby(level=0).size()
    variance = around.groupby(level=0).sum() * count / (count - 1).where(count > 1) / table["rows"] ** 2
    return table.assign(standard_error=np.sqrt(variance))
