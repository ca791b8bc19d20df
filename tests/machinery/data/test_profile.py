import os
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from whylogs.core.constraints.factories import no_missing_values
from whylogs.core.view.dataset_profile_view import DatasetProfileView

from ringbound.data import profile


def sample(n: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame({"x": random.normal(shift, 1, n), "word": random.choice(["a", "b", "c"], n)})


def test_profile_counts_what_is_there(tmp_path):
    rows = sample(500, 1).assign(n=pd.array([1, None] * 250, "Int64"), at=pd.Timestamp("2013-01-01", tz="UTC"))
    view = profile.profile(rows, datetime(2013, 1, 1, tzinfo=UTC))
    profile.write_profile(view, tmp_path / "p.bin")
    counts = DatasetProfileView.read(str(tmp_path / "p.bin")).to_pandas()
    assert counts.loc["n", "counts/n"] == 500
    assert counts.loc["n", "counts/nan"] == 250
    assert counts.loc["x", "distribution/mean"] == pytest.approx(rows["x"].mean())
    assert counts.loc["word", "types/string"] == 500


def test_profiles_of_parts_merge_to_the_whole():
    rows = sample(5000, 1)
    at = datetime(2013, 1, 1, tzinfo=UTC)
    merged = profile.profile(rows[:2000], at).merge(profile.profile(rows[2000:], at)).to_pandas()
    assert merged.loc["x", "counts/n"] == 5000
    assert merged.loc["x", "distribution/mean"] == pytest.approx(rows["x"].mean())


def test_constraints_are_reported():
    view = profile.profile(sample(10, 1).assign(x=np.nan), datetime(2013, 1, 1, tzinfo=UTC))
    report = profile.constraint_report(view, [no_missing_values("x"), no_missing_values("word")])
    assert report["kept"].tolist() == [False, True]


def test_whylogs_tells_nobody_of_its_use():
    """In a process of its own: the notebooks import whylogs before this module as well."""
    code = "from ringbound.data import profile; from whylogs.api import usage_stats as u; print(u._TELEMETRY_DISABLED)"
    environment = {key: value for key, value in os.environ.items() if key != "WHYLOGS_NO_ANALYTICS"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout == "True\n"
