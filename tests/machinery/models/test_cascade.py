import numpy as np
import pytest

from ringbound.models.cascade import Cascade, choose, frontier


@pytest.fixture
def answers():
    """A cheap model that is blind between 0.4 and 0.6, and a costly one that is right everywhere."""
    random = np.random.default_rng(0)
    cheap = random.random(2000)
    blind = (cheap > 0.4) & (cheap < 0.6)
    return cheap, np.where(blind, 1.0, 0.1), np.full(2000, 0.1)


def test_the_costly_model_is_asked_where_it_gains(answers):
    cheap, cheap_loss, costly_loss = answers
    points = frontier(cheap, cheap_loss, costly_loss, [0.0, 0.1, 0.2, 1.0])
    assert points["share"].tolist() == pytest.approx([0.0, 0.1, 0.2, 1.0], abs=0.01)
    assert points["loss"].is_monotonic_decreasing
    assert 0.39 < points["low"][2] < points["high"][2] < 0.61
    assert points["loss"][3] == pytest.approx(0.1)


def test_the_frontier_is_the_best_interval_of_its_length(answers):
    cheap, cheap_loss, costly_loss = answers
    (point,) = frontier(cheap, cheap_loss, costly_loss, [0.15]).itertuples()
    size, order = 300, np.argsort(cheap)
    losses = []
    for start in range(len(cheap) - size + 1):
        loss = cheap_loss[order].copy()
        loss[start : start + size] = costly_loss[order][start : start + size]
        losses.append(loss.mean())
    assert point.loss == pytest.approx(min(losses))


def test_the_cheapest_good_point_is_chosen_and_always_asking_where_that_is_cheapest(answers):
    points = frontier(*answers, np.linspace(0, 1, 11).tolist())
    chosen = choose(points, slack=0.02, cheap_cost=0.1)
    assert chosen is not None
    assert chosen.asks_costly(answers[0]).mean() == pytest.approx(0.2, abs=0.01)
    assert choose(points, slack=0.02, cheap_cost=0.9) is None


def test_equal_answers_go_one_way():
    cheap = np.array([0.2, 0.5, 0.5, 0.5, 0.9])
    points = frontier(cheap, np.ones(5), np.zeros(5), [0.2])
    assert points["share"].item() in (0.2, 0.6)
    assert Cascade(0.5, 0.5).asks_costly(cheap).tolist() == [False, True, True, True, False]
