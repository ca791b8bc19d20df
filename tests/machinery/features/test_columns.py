import numpy as np
import pandas as pd
import pytest

from ringbound.errors import FeatureError
from ringbound.features.columns import Category, Reference
from ringbound.features.frames import columns_of


def test_category_keeps_texts_and_missing():
    assert Category.from_texts(["b", None, "a", "b"]).texts().tolist() == ["b", None, "a", "b"]
    assert Category.from_texts([]).texts().tolist() == []


def test_unknown_and_missing_keys_look_up_nothing():
    table = Reference(["a", "b"], {"size": [1.0, None]})
    assert np.array_equal(
        table.lookup(Category.from_texts(["a", "b", "zzz", None]), "size"),
        [1.0, np.nan, np.nan, np.nan],
        equal_nan=True,
    )


def test_reference_survives_json():
    table = Reference(["a", "b"], {"size": [1.25, None]})
    again = Reference.from_json(table.to_json())
    assert again.to_json() == table.to_json()


def test_reference_refuses_keys_that_are_not_unique():
    with pytest.raises(FeatureError, match="unique keys"):
        Reference(["a", "a"], {"size": [1.0, 2.0]})


def test_frames_and_rows_give_the_same_columns():
    frame = pd.DataFrame({"name": ["x", None, "x"], "n": pd.array([1, None, 3], "Int64")})
    columns = columns_of(frame)
    assert columns["name"].texts().tolist() == ["x", None, "x"]
    assert np.array_equal(columns["n"], [1.0, np.nan, 3.0], equal_nan=True)


def test_map_changes_texts_and_not_rows():
    assert Category.from_texts(["a", None]).map(str.upper).texts().tolist() == ["A", None]
