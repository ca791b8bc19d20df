"""How well stated probabilities agree with what was observed, in bins of equal count."""

import numpy as np
import pandas as pd


def calibration_table(y: np.ndarray, p: np.ndarray, bins: int = 10) -> pd.DataFrame:
    """Return one row per bin of equal count: rows, mean predicted, observed share and its standard error.

    >>> calibration_table(np.array([0.0, 1.0, 1.0, 1.0]), np.array([0.1, 0.3, 0.8, 0.8]), bins=2)["observed"].tolist()
    [0.5, 1.0]
    """
    place = np.minimum(np.argsort(np.argsort(p, kind="stable"), kind="stable") * bins // len(p), bins - 1)
    table = (
        pd.DataFrame({"y": y, "p": p})
        .groupby(place)
        .agg(rows=("y", "size"), predicted=("p", "mean"), observed=("y", "mean"))
    )
    return table.assign(standard_error=np.sqrt(table["observed"] * (1 - table["observed"]) / table["rows"]))
