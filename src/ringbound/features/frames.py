"""Frames as feature columns and as plain rows."""

from typing import Any

import numpy as np
import pandas as pd

from ringbound.features.columns import Category, Column


def columns_of(frame: pd.DataFrame) -> dict[str, Column]:
    """Return a frame's columns as features take them: text as `Category`, instants as datetime64[us], numbers as float64.

    >>> columns_of(pd.DataFrame({"name": ["b", None], "size": [1, 2]}))["size"].tolist()
    [1.0, 2.0]
    """
    return {str(name): _column(frame[name]) for name in frame}


def _column(values: pd.Series) -> Column:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return values.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]")
    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return values.to_numpy("float64", na_value=np.nan)
    codes, texts = pd.factorize(values)
    return Category(codes.astype(np.int64), texts.tolist())


def instants(times: pd.Series) -> np.ndarray:
    """Return times with zone as microseconds since 1970, (n,) int64."""
    return times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]").astype(np.int64)


def plain_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame's rows as a request has them: missing is None."""
    columns = {str(name): values.astype(object).where(values.notna(), None).tolist() for name, values in frame.items()}
    if not columns:
        return [{} for _ in range(len(frame))]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
