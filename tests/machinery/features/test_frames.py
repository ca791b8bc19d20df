import pandas as pd

from ringbound.features.frames import plain_rows


def test_rows_without_columns_are_rows_all_the_same():
    """Of a set whose views have no entity, nothing is asked but when."""
    frame = pd.DataFrame({"a": [1, None], "b": ["x", "y"]})
    assert plain_rows(frame) == [{"a": 1.0, "b": "x"}, {"a": None, "b": "y"}]
    assert plain_rows(frame[[]]) == [{}, {}]
