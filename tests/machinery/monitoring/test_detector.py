"""Detectors keep to their budget of false alarms, and find what is wrong."""

import numpy as np
import pytest

from ringbound.monitoring.detector import DAYS, Detector, above, by_rank, of_column, seldom


def alarms(evalues, false_a_year: float) -> int:
    detector = Detector(false_a_year)
    return sum(detector.step(evalue) for evalue in evalues)


@pytest.mark.parametrize("false_a_year", [1.0, 4.0])
def test_false_alarms_keep_to_the_budget(false_a_year):
    """Days whose e-values are 1 on average, as wild as they may be: half of them lose all, half win."""
    random = np.random.default_rng(1)
    years = [alarms(random.choice([0.0, 2.0], DAYS), false_a_year) for _ in range(2000)]
    assert 0.02 < np.mean(years) <= false_a_year


def test_ranks_and_bets_are_fair_where_nothing_is_wrong():
    """The mean of an e-value is at most 1: over all places of a day among equals, and at the mean that is allowed."""
    history = np.arange(50.0)
    assert np.mean([by_rank(value, history) for value in np.arange(51.0)]) <= 1.0
    losses = np.random.default_rng(2).gamma(2.0, 0.25, 200_000)
    assert (np.mean([above(loss, 0.5) for loss in losses[:20_000]], axis=0) < 1.02).all()
    assert ((0.05 * seldom(True) + 0.95 * seldom(False)) <= 1 + 1e-9).all()


def test_equal_values_are_no_evidence():
    assert by_rank(0.0, np.zeros(300)) < 1


def test_a_shift_is_found_within_days_and_none_where_there_is_none():
    random = np.random.default_rng(3)
    history = random.normal(0, 1, 200)
    quiet, shifted = random.normal(0, 1, 60), random.normal(2.5, 1, 60)
    assert alarms([by_rank(value, history) for value in quiet], 0.5) == 0
    assert alarms([by_rank(value, history) for value in shifted[:15]], 0.5) >= 1


def test_what_is_grossly_missing_is_found_soon_with_a_short_history():
    quiet = {"moved": np.full(20, 0.01), "missing": np.zeros(20), "strange": np.zeros(20)}
    detector = Detector(0.01)
    days = [detector.step(of_column({"moved": 0.01, "missing": 0.9, "strange": 0.0}, quiet)) for _ in range(8)]
    assert any(days)
    assert not any(days[:3])


def test_a_detector_settles_when_no_bet_wins_any_more():
    detector = Detector(1.0)
    for _ in range(14):
        detector.step(np.array([0.5, 1.3]))
    assert not detector.settled
    for _ in range(14):
        detector.step(np.array([0.5, 0.9]))
    assert detector.settled
