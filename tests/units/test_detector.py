from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.units.detector import removed


def test_removed_is_the_share_that_is_gone_and_more_than_before_is_negative():
    before, after = np.array([[0.2, 0.0, 0.6]] * 2), np.array([[0.1, 0.1, 0.2]] * 2)
    value, low, high = removed(before, after)
    assert value == pytest.approx(0.5)
    assert low < value < high <= 1
    assert removed(np.array([[0.1, 0.1]]), np.array([[0.3, 0.3]]))[0] == pytest.approx(-2)


def test_judges_that_disagree_widen_the_interval():
    before, one = np.full((5, 100), 0.2), np.linspace(0, 0.2, 100)
    alike = removed(before, np.tile(one, (5, 1)))
    apart = removed(before, one + np.array([-0.05, -0.02, 0, 0.02, 0.05])[:, None])
    assert alike[0] == pytest.approx(apart[0])
    assert apart[2] - apart[1] > 2 * (alike[2] - alike[1])


def test_where_nothing_is_left_the_bound_is_that_of_none_of_the_samples_that_showed_it():
    before = np.tile(np.array([0.1] * 20 + [0.0] * 80), (3, 1))
    value, low, high = removed(before, np.zeros((3, 100)))
    assert (value, high) == (1, 1)
    assert low == pytest.approx(0.05 ** (1 / 20))
