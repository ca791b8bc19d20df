from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ringbound.errors import ProblemError
from ringbound.evaluation.slices import slices_of
from ringbound.problem.classification import Classification
from ringbound.problem.declaration import load_problem
from ringbound.problem.numbers import Regression
from ringbound.problem.task import Costs
from ringbound.problem.tasks import task_from_json
from ringbound.problem.training import split_by_month
from ringbound.testing import examples
from ringbound.testing.parcels import ENTRY, PROBLEM


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"prior": {"nothing": None}}, "prior: expected features of the request alone"),
        ({"prior": {"depot_late_mean_1h": 1.0}}, "prior: expected features of the request alone"),
        ({"prior": {"depot": 2.0}}, "a width above 0 for each number and None for each category"),
        ({"prior": {"weight": None}}, "a width above 0 for each number and None for each category"),
        ({"prior": {"weight": 0.0}}, "a width above 0 for each number"),
        ({"prior": {}}, "a width above 0 for each number"),
        ({"label": "parcel_id"}, "expected columns that differ"),
        ({"label": "weight"}, "of which .'weight'. are features"),
    ],
)
def test_a_declaration_that_does_not_hold_together_is_refused(change, says):
    with pytest.raises(ProblemError, match=f"problem late-parcels: .*{says}"):
        replace(PROBLEM, **change)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("ringbound.nowhere:PROBLEM", "No module named"),
        ("ringbound.testing.parcels:NOTHING", "has no attribute"),
        ("ringbound.testing.parcels:FEATURES", "got a FeatureSet"),
        ("ringbound.testing.parcels", "as pyproject.toml says"),
    ],
)
def test_an_entry_that_names_no_problem_is_one_line(entry, says):
    with pytest.raises(ProblemError, match=says) as error:
        load_problem(entry)
    assert "\n" not in str(error.value)


def test_the_entry_names_the_problem():
    assert load_problem(ENTRY) is PROBLEM


@pytest.mark.parametrize("task", [Classification(Costs(3, 1), "late", "punctual"), Regression("min")])
def test_a_task_survives_json(task):
    assert task_from_json(task.to_json()) == task


@pytest.mark.parametrize("labels", [[0.0, 2.0], [1.0, 1.0], [0.0, np.nan]])
def test_labels_of_another_task_are_refused(labels):
    with pytest.raises(ProblemError, match="label: expected 0 and 1"):
        Classification(Costs(1, 1)).check_labels(np.array(labels))


def test_costs_say_from_where_yes_is_cheaper():
    assert Costs(miss=3, false_alarm=1).threshold == 0.25
    with pytest.raises(ProblemError, match="expected numbers above 0"):
        Costs(miss=0, false_alarm=1)


def test_splits_follow_time():
    months = pd.Series(["2013-03", "2013-01", "2013-02", "2013-04"])
    assert split_by_month(months, valid_months=1, test_months=1).tolist() == ["valid", "train", "train", "test"]
    for wrong in ("2013-9", None, "x"):
        with pytest.raises(ProblemError, match="expected months like 2013-07, which sort by time"):
            split_by_month(pd.Series(["2013-10", "2013-11", wrong]), valid_months=1, test_months=1)
    with pytest.raises(ProblemError, match="expected more than 4 months"):
        split_by_month(months, valid_months=2, test_months=2)


def test_a_guarded_slice_that_nobody_declares_is_said():
    later = examples.later()
    other = replace(later, problem=replace(PROBLEM, guarded=["planet"]))
    with pytest.raises(ProblemError, match=r"guarded: expected slices of \['depot', 'weight'\]; got \['planet'\]"):
        slices_of(other, examples.past())
