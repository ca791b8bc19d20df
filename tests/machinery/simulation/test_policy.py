"""Policies as they are declared, and what they cost."""

import numpy as np
import pytest

from ringbound.errors import ModelError
from ringbound.problem.numbers import Regression
from ringbound.simulation.money import Prices, mistakes
from ringbound.simulation.policy import STANDARD, policies_of


def test_without_any_the_standard_ones_are_tried():
    assert policies_of([]) == list(STANDARD)
    assert {one.when for one in STANDARD} == {"never", "schedule", "drift", "performance", "cumulative", "forecast"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("monthly", "expected mappings of"),
        ({"name": "a"}, "'when'] are needed"),
        ({"name": "a", "when": "never", "gate": True}, "expected mappings of"),
        ({"name": "a", "when": "sometimes"}, "expected when to be one of"),
        ({"name": "oracle", "when": "never"}, "a name in a line other than oracle"),
        ({"name": "a\nb", "when": "never"}, "a name in a line"),
        ({"name": "a", "when": "never", "window": 10**30}, "a hundred years at most"),
        ({"name": "a", "when": "cumulative", "spend": float("inf")}, "spend above 0"),
        ({"name": "a", "when": "schedule", "every": 0}, "every of at least a day"),
        ({"name": "a", "when": "schedule", "every": "7d"}, "expected every as int; got '7d'"),
        ({"name": "a", "when": "schedule", "canary": 1.0}, "canary as a share below 1"),
        ({"name": "a", "when": "schedule", "gates": "no"}, "expected gates as bool"),
        ({"name": "a", "when": "cumulative", "spend": 0.0}, "spend above 0"),
    ],
)
def test_what_is_declared_wrongly_is_said(given, says):
    with pytest.raises(ModelError, match=says.replace("[", r"\[").replace("]", r"\]")):
        policies_of([given])


def test_two_of_one_name_are_refused():
    with pytest.raises(ModelError, match="names that differ"):
        policies_of([{"name": "a", "when": "never"}, {"name": "a", "when": "drift"}])


def test_a_retraining_costs_what_it_is_and_what_it_reads():
    assert Prices(retraining=200.0, rows=50.0).of_retraining(50_000) == 225.0
    with pytest.raises(ModelError, match="numbers of at least 0"):
        Prices(retraining=-1.0)


def test_mistakes_of_a_regression_are_its_losses():
    y, answers = np.array([1.0, 4.0]), np.array([2.0, 4.5])
    assert mistakes(Regression(unit="min"), y, answers).tolist() == Regression(unit="min").losses(y, answers).tolist()
