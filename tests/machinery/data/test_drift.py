import numpy as np
import pandas as pd
import pytest

from ringbound.data.drift import drift_table, read_drift
from ringbound.errors import RecordError


def sample(n: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    day = np.arange(n) * 30 // n
    return pd.DataFrame({"x": random.normal(shift, 1, n), "word": random.choice(["a", "b", "c"], n), "day": day})


def moved(parts: dict[str, pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return drift_table(parts, columns, block="day").frame


@pytest.mark.parametrize("n", [300, 3_000, 300_000])
def test_sample_size_alone_alarms_nothing(n):
    assert not moved({str(k): sample(n, k) for k in range(6)}, ["x", "word"])["drifted"].any()


def test_a_real_shift_is_noticed():
    parts = {"1": sample(3000, 1), "2": sample(3000, 2), "3": sample(3000, 3, shift=0.6)}
    drift = moved(parts, ["x", "word"])
    where = drift.loc[drift["drifted"], ["period", "against", "column"]].to_numpy().tolist()
    assert where == [["3", "2", "x"], ["3", "all before", "x"]]


def test_new_category_and_missing_values_are_shifts():
    before, after = sample(3000, 1), sample(3000, 2)
    after.loc[::3, "word"] = "new"
    after.loc[::3, "x"] = np.nan
    drift = moved({"1": before, "2": after}, ["x", "word"])
    assert drift["drifted"].all()
    assert drift["new"].tolist() == ["", "new"]


def test_a_column_that_always_moves_has_a_wider_bound():
    parts = {str(k): sample(3000, k, shift=0.4 * (k % 2)) for k in range(6)}
    drift = moved(parts, ["x"])
    assert drift.loc[drift["against"] != "all before", "drifted"].tolist() == [True, False, False, False, False]


def test_days_that_differ_are_no_drift():
    """The rows of a day rise and fall together; a month of such days differs from the next by chance alone."""

    def month(seed: int) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        return sample(3000, seed).assign(x=lambda t: t["x"] + random.normal(0, 5, 30)[t["day"]])

    months = {str(k): month(k) for k in range(6)}
    drift = moved(months, ["x"])
    assert (drift["psi"] > 0.1).sum() >= 3, "an index that counts rows would alarm"
    assert drift["drifted"].sum() <= 1


def test_a_rare_category_that_is_lost_is_seen_and_one_that_comes_now_and_then_is_not():
    parts = {str(k): sample(9000, k) for k in range(3)}
    daily = np.arange(9000) % 300 == 0
    for k in ("0", "1"):
        parts[k].loc[daily, "word"] = "daily"
    parts["1"].loc[[10, 500], "word"] = "seldom"
    drift = moved(parts, ["word"]).set_index(["period", "against"])
    assert (drift["psi"] < 0.1).all()
    assert drift["gone"].tolist() == ["", "daily", ""], "it is named once"
    assert drift["drifted"].tolist() == [False, True, False]
    assert not drift["new"].any()


def test_below_the_least_counts_like_above_the_greatest():
    """Most values are one, as with a count that is nearly always 0."""
    mostly = pd.DataFrame({"x": 0.0, "day": np.arange(3000) // 100})
    low, high = (mostly.assign(x=mostly["x"].where(np.arange(3000) % 3 > 0, value)) for value in (-5.0, 5.0))
    psi = [moved({"1": mostly, "2": later}, ["x"])["psi"].item() for later in (low, high)]
    assert psi[0] == pytest.approx(psi[1], rel=0.1)
    assert psi[0] > 0.5


def test_infinities_and_months_without_rows_or_values_are_counted():
    some = sample(600, 1)
    endless = some.assign(x=np.where(some["x"] > 0, np.inf, -np.inf))
    drift = moved({"1": some, "2": endless, "3": some.iloc[:0], "4": some.assign(x=np.nan)}, ["x"])
    assert np.isfinite(drift["psi"]).all()
    assert drift.loc[drift["period"].isin(["2", "3", "4"]), "drifted"].all()


def test_what_is_written_is_read_back(tmp_path):
    drift = drift_table({"1": sample(300, 1), "2": sample(300, 2)}, ["x"], block="day")
    drift.write(tmp_path / "drift.csv")
    text = (tmp_path / "drift.csv").read_text()
    assert read_drift(text, "HEAD") == list(drift.shifts)
    with pytest.raises(RecordError, match=r"HEAD: drift.csv is not one of ours"):
        read_drift(text.replace("True", "maybe").replace("False", "maybe"), "HEAD")


def test_two_days_a_side_that_have_nothing_in_common_are_drift():
    before, after = (
        pd.DataFrame({"x": np.random.default_rng(k).normal(k, 1, 400), "day": np.arange(400) // 200}) for k in (0, 50)
    )
    assert moved({"1": before, "2": after}, ["x"])["drifted"].item()
