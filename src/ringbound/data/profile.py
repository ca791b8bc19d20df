"""Profiles of tables; the one module that knows whylogs.

whylogs keeps mergeable sketches of any amount of data; its quantile sketches draw random bits, so its files differ from
run to run and stay out of compared outputs. What decisions rest on, drift, is counted exactly in `ringbound.data.drift`.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

os.environ["WHYLOGS_NO_ANALYTICS"] = "True"  # read on import: without it, whylogs reports its use to its makers
import whylogs as why
from whylogs.core import DatasetSchema
from whylogs.core.constraints import Constraints, ConstraintsBuilder
from whylogs.core.datatypes import AnyType, DataType, Fractional, Integral, String, TypeMapper
from whylogs.core.view.dataset_profile_view import DatasetProfileView


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
    """Return the whylogs profile of the rows, stamped with the time `at`; timestamps are profiled as seconds.

    >>> from datetime import UTC
    >>> view = profile(pd.DataFrame({"size": [1.0, 3.0]}), datetime(2020, 1, 1, tzinfo=UTC))
    >>> float(view.to_pandas().loc["size", "distribution/mean"])
    2.0
    """
    plain = rows.copy()
    for name in plain.select_dtypes(include=["datetimetz", "datetime"]):
        seconds = plain[name].dt.as_unit("us").astype("int64") / 1e6
        plain[name] = seconds.where(plain[name].notna())
    for name in plain.select_dtypes(include=["Int64", "boolean"]):
        plain[name] = plain[name].astype("float64")
    for name in plain.select_dtypes(include=["str"]):
        plain[name] = plain[name].astype(object).where(plain[name].notna(), None)
    result = why.log(plain, schema=DatasetSchema(types={}, type_mapper=_Types()))
    result.set_dataset_timestamp(at.astimezone(UTC))
    return result.profile().view()


def write_profile(view: DatasetProfileView, file: Path) -> None:
    """Write the profile in whylogs' own format.

    >>> from datetime import UTC
    >>> from ringbound.testing import examples
    >>> file = examples.folder() / "profile.bin"
    >>> write_profile(profile(pd.DataFrame({"size": [1.0]}), datetime(2020, 1, 1, tzinfo=UTC)), file)
    >>> file.exists()
    True
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(view.serialize())


def constraint_report(view: DatasetProfileView, constraints: list) -> pd.DataFrame:
    """Return one row a whylogs constraint: its name and whether the profile keeps it.

    >>> from datetime import UTC
    >>> from whylogs.core.constraints.factories import no_missing_values
    >>> view = profile(pd.DataFrame({"size": [1.0, None]}), datetime(2020, 1, 1, tzinfo=UTC))
    >>> constraint_report(view, [no_missing_values("size")])["kept"].tolist()
    [False]
    """
    builder = ConstraintsBuilder(view)
    for constraint in constraints:
        builder.add_constraint(constraint)
    built: Constraints = builder.build()
    return pd.DataFrame(
        [(r.name, bool(r.passed)) for r in built.generate_constraints_report()], columns=["constraint", "kept"]
    )
