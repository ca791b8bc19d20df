"""Intervals hold what they promise on rows that come later, whatever errors are like."""

import numpy as np
import pytest

from ringbound.models.intervals import Intervals, bounds, learn_intervals

ERRORS = {
    "alike": lambda dice, p: dice.normal(size=len(p)),
    "skewed": lambda dice, p: dice.exponential(size=len(p)) - 0.3,
    "larger where more is expected": lambda dice, p: dice.normal(size=len(p)) * p,
}


@pytest.mark.parametrize("coverage", [0.8, 0.95])
@pytest.mark.parametrize("errors", ERRORS.values(), ids=ERRORS)
def test_they_hold_their_share_over_all_and_by_size(errors, coverage):
    dice = np.random.default_rng(2)
    p = dice.uniform(1, 10, 60_000)
    y = p + errors(dice, p)
    learnt = learn_intervals(y[:20_000], p[:20_000], coverage)
    low, high = learnt.of(p[20_000:])
    later = y[20_000:]
    inside = (low <= later) & (later <= high)
    assert inside.mean() == pytest.approx(coverage, abs=0.01)
    for third in np.array_split(np.argsort(p[20_000:]), 3):
        assert inside[third].mean() == pytest.approx(coverage, abs=0.02)
    for missed in (later < low, later > high):
        assert missed.mean() == pytest.approx((1 - coverage) / 2, abs=0.01)


def test_of_few_rows_nothing_is_said_and_of_some_it_is_no_less_than_promised():
    dice = np.random.default_rng(4)
    assert learn_intervals(dice.normal(size=39), np.zeros(39), 0.95) is None
    held = []
    for _ in range(2000):
        y = dice.normal(size=41)
        low, high = learn_intervals(y[:40], np.zeros(40), 0.95).of(np.zeros(1))
        held.append(low[0] <= y[40] <= high[0])
    assert 0.94 < np.mean(held) < 0.965, "the promise is of new rows, however few were learnt from"


def test_answers_that_are_mostly_the_same_have_one_size():
    dice = np.random.default_rng(4)
    answers = np.where(dice.random(5000) < 0.999, 1.0, 2.0)
    learnt = learn_intervals(dice.normal(size=5000), answers, 0.9)
    assert len(learnt.below) == len(learnt.above) == len(learnt.edges) + 1 == 1
    low, high = learnt.of(np.array([-5.0, 1.0, 2.0, 99.0]))
    assert (low < high).all()


@pytest.mark.parametrize("share", [0.05, 0.15, 0.4])
def test_many_equal_answers_take_nothing_from_the_others(share):
    dice = np.random.default_rng(2)
    p = np.where(dice.random(40_000) < share, 1.0, dice.uniform(1, 20, 40_000))
    y = p + dice.normal(size=40_000) * p
    low, high = learn_intervals(y[:20_000], p[:20_000], 0.9).of(p[20_000:])
    later, large = y[20_000:], p[20_000:] > 15
    assert ((low <= later) & (later <= high))[large].mean() == pytest.approx(0.9, abs=0.02)


def test_no_end_is_below_what_an_outcome_can_be():
    low, high = Intervals([], [3.0], [-2.0], least=0.0).of(np.array([1.0, 10.0]))
    assert low.tolist() == [0.0, 7.0]
    assert high.tolist() == [0.0, 8.0]


def test_of_whole_numbers_the_ends_are_too():
    dice = np.random.default_rng(3)
    p = dice.gamma(1.0, 1.0, 40_000)
    y = dice.poisson(p).astype(float)
    low, high = learn_intervals(y[:20_000], p[:20_000], 0.9, least=0.0, whole=True).of(p[20_000:])
    assert (low % 1 == 0).all()
    assert (high % 1 == 0).all()
    assert ((low <= y[20_000:]) & (y[20_000:] <= high)).mean() >= 0.9
    assert (low[p[20_000:] < 0.5] == 0).all(), "none is the likeliest there"


def test_each_rung_has_its_own_and_one_without_has_none():
    of = {"full": Intervals([], [1.0], [1.0]), "default": Intervals([], [5.0], [5.0])}
    low, high = bounds(of, np.array([0.0, 0.0, 0.0]), np.array(["full", "prior", "default"], object))
    assert low.tolist()[::2] == [-1.0, -5.0]
    assert np.isnan(low[1])
    assert np.isnan(high[1])
    assert bounds({}, np.zeros(1), np.array(["full"], object)) is None
