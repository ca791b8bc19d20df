"""Frames as feature columns."""

import numpy as np
import pandas as pd

from ringbound.features.columns import Category, Column


def columns_of(frame: pd.DataFrame) -> dict[str, Column]:
    """Return a frame's columns as features take them: text as `Category`, instants as datetime64[us], numbers as float64."""
    return {str(name): _column(frame[name]) for name in frame}


def _column(values: pd.Series) -> Column:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return values.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]")
    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return values.to_numpy("float64", na_value=np.nan)
    codes, texts = pd.factorize(values)
    return Category(codes.astype(np.int64), texts.tolist())
