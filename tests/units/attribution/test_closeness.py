from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.units.attribution.closeness import nearest_distances, relative_distances


def test_distances_are_those_to_the_nearest_and_leave_an_image_itself_out():
    images = np.random.default_rng(0).integers(0, 256, (600, 2, 3), dtype=np.uint8)
    own = np.array([0, 599])
    flat = images.reshape(600, -1).astype(float)
    expected = [np.sort(np.sqrt(((flat - flat[i]) ** 2).mean(1)))[1] for i in own]
    np.testing.assert_allclose(nearest_distances(images[own], images, own), expected, rtol=1e-4)
    np.testing.assert_allclose(nearest_distances(images[own], images), [0, 0], atol=0.1)


def test_an_image_as_near_as_real_ones_are_to_each_other_has_ratio_one():
    real = np.array([[0, 0], [0, 10], [0, 20]], np.uint8)
    made = np.array([[0, 30], [0, 20], [0, 80]], np.uint8)
    assert relative_distances(made, real, np.arange(3)) == pytest.approx([1, 0, 6])


def test_real_images_that_do_not_differ_give_no_ratio():
    real = np.zeros((3, 2), np.uint8)
    assert np.isnan(relative_distances(real, real, np.arange(3))).all()
    assert np.isnan(relative_distances(real, real[:1], np.arange(1))).all()
