"""Profiles of tables and drift between them; the one room that knows whylogs.

whylogs keeps mergeable sketches of any amount of data; its quantile sketches draw random bits, so its files differ from
run to run and stay out of compared outputs. What decisions rest on, distributions and drift, is counted exactly here.
"""

import os
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import chi2

os.environ["WHYLOGS_NO_ANALYTICS"] = "True"  # read on import: without it, whylogs reports its use to its makers
import whylogs as why
from whylogs.core import DatasetSchema
from whylogs.core.constraints import Constraints, ConstraintsBuilder
from whylogs.core.datatypes import AnyType, DataType, Fractional, Integral, String, TypeMapper
from whylogs.core.view.dataset_profile_view import DatasetProfileView

BINS = 10
TOP_CATEGORIES = 20
NOTICEABLE = 0.1
"""Population stability index below which a shift is called small (Siddiqi, Credit Risk Scorecards, 2006, ch. 5)."""


class _Types(TypeMapper):
    """Column types for whylogs. Its own mapper asks NumPy for names that NumPy 2 no longer has."""

    def __call__(self, dtype_or_type: type) -> DataType:
        if isinstance(dtype_or_type, type):
            if issubclass(dtype_or_type, (bool, int, np.integer)):
                return Integral()
            if issubclass(dtype_or_type, (float, np.floating)):
                return Fractional()
            return String() if issubclass(dtype_or_type, str) else AnyType()
        if pd.api.types.is_integer_dtype(dtype_or_type) or pd.api.types.is_bool_dtype(dtype_or_type):
            return Integral()
        if pd.api.types.is_float_dtype(dtype_or_type):
            return Fractional()
        return String() if pd.api.types.is_string_dtype(dtype_or_type) else AnyType()


def profile(rows: pd.DataFrame, at: datetime) -> DatasetProfileView:
    """Return the whylogs profile of the rows, stamped with the time `at`; timestamps are profiled as seconds."""
    plain = rows.copy()
    for name in plain.select_dtypes(include=["datetimetz", "datetime"]):
        plain[name] = plain[name].astype("int64") / 1e6
    for name in plain.select_dtypes(include=["Int64", "boolean"]):
        plain[name] = plain[name].astype("float64")
    for name in plain.select_dtypes(include=["str"]):
        plain[name] = plain[name].astype(object).where(plain[name].notna(), None)
    result = why.log(plain, schema=DatasetSchema(types={}, type_mapper=_Types()))
    result.set_dataset_timestamp(at.astimezone(UTC))
    return result.profile().view()


def write_profile(view: DatasetProfileView, file: Path) -> None:
    """Write the profile in whylogs' own format."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(view.serialize())


def constraint_report(view: DatasetProfileView, constraints: list) -> pd.DataFrame:
    """Return one row a whylogs constraint: its name and whether the profile keeps it."""
    builder = ConstraintsBuilder(view)
    for constraint in constraints:
        builder.add_constraint(constraint)
    built: Constraints = builder.build()
    return pd.DataFrame(
        [(r.name, bool(r.passed)) for r in built.generate_constraints_report()], columns=["constraint", "kept"]
    )


def stability_index(before: np.ndarray, after: np.ndarray) -> float:
    """Return the population stability index of two count vectors over the same k bins; half a row is added to each bin."""
    p, q = before + 0.5, after + 0.5
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum((q - p) * np.log(q / p)))


def noise_index(n_before: int, n_after: int, bins: int, quantile: float = 0.99) -> float:
    """Return the index that samples of these sizes from one distribution exceed with probability 1 - `quantile`.

    Under no drift the index is about chi-square with k - 1 degrees of freedom, scaled by 1/n + 1/m (Yurdakul,
    Statistical Properties of Population Stability Index, 2018, ch. 3).
    """
    return float(chi2.ppf(quantile, bins - 1) * (1 / max(n_before, 1) + 1 / max(n_after, 1)))


def _counts(before: pd.Series, after: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Count both columns in common bins: tenths of `before` or its most frequent categories, the rest, the missing."""
    if pd.api.types.is_numeric_dtype(before):
        numbers = [s.to_numpy("float64", na_value=np.nan) for s in (before, after)]
        known = numbers[0][~np.isnan(numbers[0])]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.array([])
        places = [np.where(np.isnan(x), len(edges) + 1, np.searchsorted(edges, x)) for x in numbers]
        return tuple(np.bincount(p, minlength=len(edges) + 2).astype(float) for p in places)  # type: ignore[return-value]
    top = sorted(before.value_counts().head(TOP_CATEGORIES).index)
    codes = {text: code for code, text in enumerate(top)}
    places = [s.map(codes).fillna(len(top)).where(s.notna(), len(top) + 1).to_numpy(int) for s in (before, after)]
    return tuple(np.bincount(p, minlength=len(top) + 2).astype(float) for p in places)  # type: ignore[return-value]


def drift_table(parts: dict[str, pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """Return one row a column and pair of consecutive parts: period, column, psi, bound, drifted.

    A shift counts as drift when its index exceeds all of: a noticeable effect (0.1), what samples of these sizes show by
    chance, and three times the median of the same column's earlier shifts. Large samples alone alarm nothing.
    """
    found = []
    names = list(parts)
    for column in columns:
        history: list[float] = []
        for earlier, later in pairwise(names):
            before, after = _counts(parts[earlier][column], parts[later][column])
            psi = stability_index(before, after)
            usual = 3 * float(np.median(history)) if history else 0.0
            bound = max(NOTICEABLE, noise_index(int(before.sum()), int(after.sum()), len(before)), usual)
            found.append((later, column, psi, bound, psi > bound))
            history.append(psi)
    return pd.DataFrame(found, columns=["period", "column", "psi", "bound", "drifted"])
