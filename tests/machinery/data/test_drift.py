import numpy as np
import pandas as pd
import pytest

from ringbound.data.drift import drift_table, read_drift
from ringbound.errors import RecordError


def sample(n: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame({"x": random.normal(shift, 1, n), "word": random.choice(["a", "b", "c"], n)})


@pytest.mark.parametrize("n", [300, 3_000, 300_000])
def test_sample_size_alone_alarms_nothing(n):
    drift = drift_table({str(k): sample(n, k) for k in range(6)}, ["x", "word"])
    assert not drift.frame["drifted"].any()


def test_a_real_shift_is_noticed():
    parts = {"1": sample(3000, 1), "2": sample(3000, 2), "3": sample(3000, 3, shift=0.6)}
    drift = drift_table(parts, ["x", "word"])
    assert drift.frame.loc[drift.frame["drifted"], ["period", "column"]].to_numpy().tolist() == [["3", "x"]]


def test_new_category_and_missing_values_are_shifts():
    before, after = sample(3000, 1), sample(3000, 2)
    after.loc[:900, "word"] = "new"
    after.loc[:900, "x"] = np.nan
    assert drift_table({"1": before, "2": after}, ["x", "word"]).frame["drifted"].all()


def test_a_column_that_always_moves_has_a_wider_bound():
    parts = {str(k): sample(3000, k, shift=0.4 * (k % 2)) for k in range(6)}
    drift = drift_table(parts, ["x"])
    assert drift.frame["drifted"].tolist() == [True, False, False, False, False]


def test_what_is_written_is_read_back(tmp_path):
    drift = drift_table({"1": sample(300, 1), "2": sample(300, 2)}, ["x"])
    drift.write(tmp_path / "drift.csv")
    text = (tmp_path / "drift.csv").read_text()
    assert read_drift(text, "HEAD") == list(drift.shifts)
    with pytest.raises(RecordError, match=r"HEAD: drift.csv is not one of ours"):
        read_drift(text.replace("True", "maybe").replace("False", "maybe"), "HEAD")
