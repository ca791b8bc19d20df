import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringbound.features.clock import local_clock

ZONES = ["America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia", "UTC"]


@given(
    st.lists(st.integers(946684800, 2208988800), min_size=1, max_size=30), st.sampled_from(ZONES)
)  # from 2000 to 2040, in seconds
def test_agrees_with_pandas_at_any_instant(seconds, zone):
    instants = np.array(seconds, "datetime64[s]").astype("datetime64[us]")
    oracle = pd.DatetimeIndex(instants, tz="UTC").tz_convert(zone).tz_localize(None).to_numpy("datetime64[us]")
    assert (local_clock(instants, zone) == oracle).all()


@pytest.mark.parametrize("change", ["2013-03-10T07:00:00", "2013-11-03T06:00:00"])
def test_changes_at_the_instant_of_the_change(change):
    at = np.datetime64(change, "us")
    instants = np.array([at - np.timedelta64(1, "us"), at])
    oracle = pd.DatetimeIndex(instants, tz="UTC").tz_convert("America/New_York").tz_localize(None)
    assert (local_clock(instants, "America/New_York") == oracle.to_numpy("datetime64[us]")).all()


def test_missing_stays_missing():
    assert np.isnat(local_clock(np.array(["NaT"], "datetime64[us]"), "America/New_York")).all()


def test_the_first_and_the_last_year_have_local_clocks_too():
    ends = np.array(["0001-01-01T00:00:00", "9999-12-31T23:59:59"], "datetime64[us]")
    for zone in ("America/New_York", "Pacific/Kiritimati"):
        offsets = (local_clock(ends, zone) - ends).astype(np.int64) / 3.6e9
        assert (np.abs(offsets) <= 14).all()
        assert local_clock(ends[:1], zone)[0] == local_clock(ends, zone)[0]
