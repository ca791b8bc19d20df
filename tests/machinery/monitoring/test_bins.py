"""Counts add up exactly, whatever the parts, and say what is missing and what is strange."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ringbound.features.columns import Category
from ringbound.monitoring.bins import count, distance, learn_bins, total

NUMBERS = st.lists(st.one_of(st.floats(-5, 5), st.just(float("nan")), st.just(0.0)), min_size=2, max_size=60)


@given(NUMBERS, st.integers(1, 50))
def test_counts_of_parts_add_up_to_those_of_the_whole(values, cut):
    column = np.array(values)
    bins = learn_bins("size", np.linspace(-3, 3, 40))
    whole = count(bins, column, np.zeros(len(column), int), 1)[0]
    parts = [
        {"size": count(bins, part, np.zeros(len(part), int), 1)[0]}
        for part in (column[:cut], column[cut:])
        if len(part)
    ]
    assert total(parts)["size"] == whole
    assert whole.rows == len(values)
    assert whole.missing == np.isnan(column).sum()
    assert whole.strange == (np.abs(column[~np.isnan(column)]) > 3).sum()


def test_texts_that_the_model_never_learnt_from_are_counted_and_named():
    bins = learn_bins("depot", Category.from_texts(["a"] * 5 + ["b"] * 2))
    column = Category(np.array([0, 1, 2, -1, 2, 3]), ["a", "b", "new", "new"])  # values may repeat
    (found,) = count(bins, column, np.zeros(6, int), 1, [f"p{row}" for row in range(6)])
    assert (found.bins, found.missing, found.strange, found.texts) == ([1, 1, 3], 1, 3, {"new": 3})
    assert found.examples == ["p2", "p4", "p5"]


def test_groups_are_counted_apart():
    bins = learn_bins("size", np.arange(10.0))
    column, groups = np.array([1.0, 1.0, np.nan, 8.0]), np.array([0, 1, 1, 1])
    one, two = count(bins, column, groups, 2)
    assert (one.rows, two.rows, one.missing, two.missing) == (1, 3, 0, 1)


def test_distance_is_that_of_hellinger():
    p, q = np.array([2.0, 3.0, 5.0]), np.array([4.0, 4.0, 2.0])
    expected = 0.5 * ((np.sqrt(p / 10) - np.sqrt(q / 10)) ** 2).sum()
    assert abs(distance(p, q) - expected) < 1e-12
    assert distance([0, 0], [1, 2]) == 0.0


def test_a_column_that_was_always_missing_has_bins():
    bins = learn_bins("size", np.full(5, np.nan))
    (found,) = count(bins, np.array([1.0, np.nan]), np.zeros(2, int), 1)
    assert (found.missing, found.strange) == (1, 1)
