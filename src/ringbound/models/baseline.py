"""The baseline: what a model must beat to be worth anything."""

from collections.abc import Mapping

import numpy as np

from ringbound.features.columns import Column
from ringbound.problem.declaration import PRIOR, Problem


def baseline_answers(problem: Problem, features: Mapping[str, Column], lower: np.ndarray) -> np.ndarray:
    """Return what the declared baseline answers, (n,): `lower`, (n,), or a feature's value where that is known.

    `lower` are the answers of the prior or, where it is left out, of what is below it.

    >>> from dataclasses import replace
    >>> from ringbound.testing.parcels import PROBLEM
    >>> declared = replace(PROBLEM, baseline="courier_late_last_24h")
    >>> found = {"courier_late_last_24h": np.array([1.0, np.nan])}
    >>> baseline_answers(declared, found, np.array([0.2, 0.3])).tolist()
    [1.0, 0.3]
    """
    if problem.baseline == PRIOR:
        return lower
    values = np.asarray(features[problem.baseline], np.float64)
    return np.where(np.isnan(values), lower, values)
