"""The baseline: what a model must beat to be worth anything."""

from collections.abc import Mapping

import numpy as np

from ringbound.errors import ProblemError
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
    known = np.isfinite(values)
    least, most = (0.0, 1.0) if problem.task.probabilities else (problem.task.least, None)
    wrong = known & (
        ((values < least) if least is not None else False) | ((values > most) if most is not None else False)
    )
    if wrong.any():
        bounds = f"at least {least:g}" + (f" and at most {most:g}" if most is not None else "")
        raise ProblemError(
            f"problem {problem.name}: baseline {problem.baseline}: expected values of {bounds}, as answers are; "
            f"got {values[wrong][0]:g}; declare another feature"
        )
    return np.where(known, values, lower)
