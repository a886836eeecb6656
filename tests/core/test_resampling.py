from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.core.resampling import bootstrap_difference, bootstrap_mean


def rng():
    return np.random.default_rng(0)


def test_the_mean_weighs_every_group_alike_and_leaves_gaps_out():
    values = np.array([[1.0, 1.0, 1.0], [4.0, np.nan, np.nan], [np.nan] * 3])
    found = bootstrap_mean(values, rng())
    assert (found.value, found.groups) == (2.5, 2)
    assert found.low == 1
    assert found.high == 4


def test_one_group_of_equal_values_has_an_interval_without_width():
    found = bootstrap_mean(np.array([[2.0, 2.0]]), rng())
    assert found.low == found.value == found.high == 2


def test_the_interval_is_that_of_normal_theory_where_there_is_one_value_in_each_group():
    values = np.random.default_rng(1).normal(10, 2, (200, 1))
    found = bootstrap_mean(values, rng())
    half = 1.96 * values.std() / np.sqrt(200)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)


def test_values_of_one_group_count_for_less_than_values_of_many():
    spread = np.random.default_rng(2).normal(size=(40, 1))
    alike = np.repeat(spread[:4], 10, axis=1)
    many, few = bootstrap_mean(spread, rng()), bootstrap_mean(alike, rng())
    assert few.high - few.low > 1.5 * (many.high - many.low)


def test_an_interval_of_95_percent_covers_the_truth_about_that_often():
    source = np.random.default_rng(3)
    hits = 0
    for _ in range(40):
        values = source.normal(0, 1, (25, 1)) + source.normal(0, 1, (25, 4))
        found = bootstrap_mean(values, source)
        hits += found.low <= 0 <= found.high
    assert hits >= 34


def test_a_difference_is_first_less_second_and_its_sign_is_known_when_they_lie_apart():
    first, second = np.array([[3.0], [4.0], [5.0]]), np.array([[1.0], [1.5]])
    found = bootstrap_difference(first, second, rng())
    assert found.value == 2.75
    assert 0 < found.low <= found.value <= found.high
    assert found.groups == 2


def test_no_value_at_all_is_refused():
    with pytest.raises(ValueError, match="no value to resample"):
        bootstrap_mean(np.full((2, 2), np.nan), rng())
