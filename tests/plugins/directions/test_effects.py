from __future__ import annotations

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.directions.effects import moved_factor, outside_prior


def test_the_attribute_that_moves_most_is_measured_on_samples_that_did_not_choose_it():
    ends = np.zeros((2, 6, 3))
    ends[..., 1] = -2.0
    ends[..., 2] = 0.5
    factor = moved_factor(ends)

    assert (factor.column, factor.rises) == (1, False)
    assert (factor.moved == 2).all()
    assert factor.own.tolist() == [2, 2]
    assert factor.selectivity.tolist() == [8, 8]  # over the mean of 0 and 0.5


def test_what_moves_by_chance_has_no_effect():
    ends = np.random.default_rng(0).standard_normal((1, 2000, 40))

    assert np.abs(ends.mean(axis=1)).max() > 0.04
    assert abs(moved_factor(ends).moved.mean()) < 0.04


def test_a_meant_attribute_keeps_its_sign():
    ends = np.full((1, 4, 2), -1.0)
    ends[..., 1] = 5.0
    factor = moved_factor(ends, meant=0)

    assert (factor.column, factor.rises, factor.moved.mean()) == (0, False, -1)


def test_samples_of_the_prior_lie_within_it_and_moved_ones_outside():
    source = torch.Generator().manual_seed(0)
    normal, uniform = torch.randn(4000, 50, generator=source), torch.rand(4000, 50, generator=source) * 2 - 1

    assert outside_prior(normal, "normal") == pytest.approx(0.01, abs=0.005)
    assert outside_prior(uniform, "uniform") == 0
    assert outside_prior(1.5 * normal, "normal") > 0.9
    assert outside_prior(1.5 * uniform, "uniform") == pytest.approx(1 / 3, abs=0.01)
