import subprocess

import pytest

from ringbound.errors import FeatureError, ProblemError
from ringbound.problem.catalog import catalogue, catalogue_at, describe, differences
from ringbound.problem.declaration import load_problem
from ringbound.testing.parcels import FEATURES

PROBLEM = '''
import numpy as np
from ringbound import Classification, Costs, EventSource, FeatureSet, Field, Problem, view

WHO = Field("who", "category", "a name", "ann")
PAID = Field("paid", "number", "an amount", 1.5, ge=0, le=1000)
SALES = EventSource("sales", [WHO, PAID], scale={"paid": 100})


def length(who):
    """How long the name is."""
    return np.full(len(who), 1.0)


def large(paid):
    return paid >= 15


FEATURES = FeatureSet(
    [WHO], numbers=[length], sources=[SALES],
    views=[view("v", entity="who", events="sales", mean=("mean", "paid", ["1h", "3h"]), share=("rate", large, "3h"))],
)
PROBLEM = Problem(
    name="p", question="?", task=Classification(Costs(1, 1)), features=FEATURES, id="id", label="y", block="day",
    month="month", prior={"length": 1.0}, slices=lambda rows, past: rows[[]],
)
'''


def test_every_feature_is_described():
    for name, entry in catalogue(FEATURES).items():
        first, second, *_ = entry["text"].splitlines()
        assert first == f"{name}  {FEATURES.hash_of(name)}"
        assert second


def test_a_description_has_the_definition():
    text = describe(FEATURES, "depot_late_rate_3h")
    assert "rate of is_late over 3h of arrivals, by depot" in text
    assert "return late_min >= 15" in text
    assert 'depots.lookup(depot, "distance_km")' in describe(FEATURES, "distance_km")


def test_a_name_that_is_none_gets_the_nearest():
    with pytest.raises(FeatureError, match="there is depot_late_rate_3h"):
        describe(FEATURES, "depot_late_rate_2h")


def test_a_package_without_a_problem_is_one_line():
    with pytest.raises(ProblemError, match=r"expected the problem at ringbound:PROBLEM"):
        load_problem("ringbound:PROBLEM")


def test_differences_name_what_changed_and_not_prose(tmp_path):
    (tmp_path / "src/tiny").mkdir(parents=True)
    (tmp_path / "src/tiny/__init__.py").write_text("")
    (tmp_path / "pyproject.toml").write_text('[tool.ringbound]\nproblem = "tiny.problem:PROBLEM"\n')

    def git(*arguments):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=tmp_path, check=True)

    git("init", "-q")
    for tag, text in {
        "now": PROBLEM,
        "same": PROBLEM.replace("How long the name is", "The length of the name"),
        "wider": PROBLEM.replace('"paid", ["1h", "3h"]', '"paid", ["2h", "3h"]'),
        "later": PROBLEM.replace("return paid >= 15", "return paid >= 30"),
    }.items():
        (tmp_path / "src/tiny/problem.py").write_text(text)
        git("add", "-A")
        git("commit", "-qm", tag)
        git("tag", tag)
    now = catalogue_at("now", tmp_path)
    assert list(now) == ["length", "v_mean_1h", "v_mean_3h", "v_share_3h"]
    assert differences(catalogue_at("same", tmp_path), now) == []
    assert differences(catalogue_at("wider", tmp_path), now) == ["+ v_mean_1h", "- v_mean_2h"]
    changed = differences(catalogue_at("later", tmp_path), now)
    assert [line.split()[1] for line in changed if line.startswith("~")] == ["v_share_3h"]
    assert "    +    return paid >= 15" in changed
    with pytest.raises(FeatureError, match="expected a revision of this workspace"):
        catalogue_at("nowhere", tmp_path)
