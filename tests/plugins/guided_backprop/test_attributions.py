from __future__ import annotations

import numpy as np
import pytest
from dcgan_analysis_plugins.guided_backprop.attributions import (
    AttributionSettings,
    attribute_strongest,
    measured_features,
    other_image_agreement,
)

from dcgan_analysis.models.receptive import Box
from dcgan_analysis.units.filters import open_images


def test_numbers_rest_on_the_features_shown_and_the_first_others():
    assert measured_features((5, 1), 4, 8) == (5, 1, 0, 2)
    assert measured_features((5, 1), 1, 8) == (5, 1)
    assert measured_features((5, 1), 100, 6) == (5, 1, 0, 2, 3, 4)


def test_the_attributions_of_any_network_are_found_and_measured(dcgan_context):
    settings = AttributionSettings(features=(3,), top=2, measured=2, noise_draws=1, method="saliency")
    images = open_images(dcgan_context, settings, "train", 12)
    network = dcgan_context.checkpoint.discriminator()
    found = attribute_strongest(dcgan_context, settings, "it", network, "conv2", images)
    assert found.features == (3, 0)
    assert found.maps.shape == (4, *dcgan_context.checkpoint.architecture.image_shape)
    assert list(found.units(1)) == [2, 3]
    # The plain gradient agrees with itself; the margin is the difference of the two it is made of.
    columns = found.columns
    assert columns["gradient_agreement"] == pytest.approx(np.ones((2, 2)))
    assert columns["stability_margin"] == pytest.approx(columns["stability"] - columns["other_image_agreement"])
    # A unit of the second layer sees 5 x 5 pixels: outside of its box nothing is attributed.
    outside = found.maps[0].copy()
    outside[:, found.boxes[0].rows, found.boxes[0].columns] = 0
    assert not outside.any()
    assert found.maps[0].any()


def test_a_unit_that_is_silent_on_the_other_image_says_nothing_of_whether_it_depends_on_the_image():
    maps = np.random.default_rng(0).normal(size=(3, 1, 4, 4)).astype(np.float32)
    # The same everywhere; silent in what the unit sees; another.
    elsewhere = np.stack([maps[0], np.zeros_like(maps[1]), -maps[2]])
    elsewhere[1, :, 3:] = 1
    agreement = other_image_agreement(maps, elsewhere, [Box(top=0, bottom=3, left=0, right=4)] * 3)
    np.testing.assert_allclose(agreement, [1, np.nan, -1], atol=1e-6)
