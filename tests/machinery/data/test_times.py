import pandas as pd

from ringbound.data.times import to_utc


def local(*texts: str) -> pd.Series:
    return pd.Series(pd.to_datetime(list(texts))).dt.as_unit("us")


def test_a_time_that_does_not_exist_is_missing():
    result = to_utc(local("2013-03-10 01:59", "2013-03-10 02:30", "2013-03-10 03:00"), "America/New_York")
    assert result[0] == pd.Timestamp("2013-03-10T06:59Z")
    assert pd.isna(result[1])
    assert result[2] == pd.Timestamp("2013-03-10T07:00Z")


def test_an_hour_shown_twice_is_the_first_unless_said():
    twice = local("2013-11-03 01:30")
    assert to_utc(twice, "America/New_York")[0] == pd.Timestamp("2013-11-03T05:30Z")
    assert to_utc(twice, "America/New_York", second_pass=True)[0] == pd.Timestamp("2013-11-03T06:30Z")


def test_each_row_has_its_own_zone_and_none_is_missing():
    zones = pd.Series(["America/Phoenix", None, "Pacific/Honolulu"])
    result = to_utc(local("2013-07-01 12:00", "2013-07-01 12:00", "2013-07-01 12:00"), zones)
    assert result[0] == pd.Timestamp("2013-07-01T19:00Z")
    assert pd.isna(result[1])
    assert result[2] == pd.Timestamp("2013-07-01T22:00Z")
