from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.units.attribution.measures import correlations, measure_maps
from dcgan_analysis.units.attribution.pictures import attribution_picture


def test_a_flat_map_is_as_little_and_a_single_pixel_as_much_concentrated_as_can_be():
    flat, spike = np.full((3, 5, 7), -0.5, np.float32), np.zeros((3, 5, 7), np.float32)
    spike[1, 2, 3] = -4
    found = measure_maps([flat, spike], share=0.1)
    assert found.top_share == pytest.approx([0.1, 1])
    assert found.gini == pytest.approx([0, 1 - 1 / 35])
    assert found.entropy == pytest.approx([1, 0])


def test_measures_equal_a_hand_computation():
    found = measure_maps([np.array([[[1, -3], [0, 4]]], np.float32)], share=0.25)
    assert found.top_share == pytest.approx([0.5])
    # Mean absolute difference of all ordered pairs over twice the mean: 2 * (2+1+3+3+1+4) / 16 / 4.
    assert found.gini == pytest.approx([14 / 32])
    shares = np.array([1, 3, 4]) / 8
    assert found.entropy == pytest.approx([-(shares * np.log(shares)).sum() / np.log(4)])


def test_the_scale_of_a_map_does_not_matter():
    one = np.random.default_rng(0).normal(size=(3, 6, 6)).astype(np.float32)
    found = measure_maps([one, 1000 * one])
    assert found.top_share[0] == pytest.approx(found.top_share[1])
    assert found.gini[0] == pytest.approx(found.gini[1])


def test_a_map_of_zeros_has_no_measure():
    found = measure_maps([np.zeros((1, 3, 3), np.float32)])
    assert np.isnan([found.top_share, found.gini, found.entropy]).all()


def test_correlation_is_one_for_the_same_pattern_and_zero_against_a_constant():
    a = np.random.default_rng(0).normal(size=(2, 1, 4, 4)).astype(np.float32)
    assert correlations(a, 3 * a + 1) == pytest.approx([1, 1])
    assert correlations(a, np.zeros_like(a)).tolist() == [0, 0]
    assert correlations(np.ones_like(a), np.zeros_like(a)).tolist() == [1, 1]


def test_pictures_of_gradients_are_gray_where_there_is_nothing():
    drawn = attribution_picture(np.array([[[0, 2, -2]]], np.float32), "gradient")
    assert drawn.tolist() == [[[128, 255, 0]]]
    assert attribution_picture(np.zeros((3, 2, 2), np.float32), "gradient").tolist() == np.full((3, 2, 2), 128).tolist()


def test_pictures_of_contributions_are_blue_white_and_orange():
    below, nothing, above = attribution_picture(np.array([[[-1, 0, 1]]], np.float32), "contribution")[:, 0].T.tolist()
    assert nothing == [255, 255, 255]
    assert below[2] > below[0]
    assert above[0] > above[2]


def test_one_outlier_does_not_turn_a_picture_gray():
    values = np.tile(np.array([1.0, -1.0], np.float32), 512).reshape(1, 32, 32)
    values[0, 0, 0] = 1000
    assert set(attribution_picture(values, "gradient").ravel().tolist()) == {0, 255}
