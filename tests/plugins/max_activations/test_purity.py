from __future__ import annotations

import numpy as np
from dcgan_analysis_plugins.max_activations.purity import chance_purity, class_purity


def test_purity_is_one_for_one_class_and_chance_for_images_drawn_blindly():
    labels = np.repeat(np.arange(4), 50)
    images = np.array([[0, 1, 2, 3], [0, 50, 100, 150]])
    assert class_purity(images, labels, 4).tolist() == [1, 0.25]
    # All images: every class has a quarter.
    assert chance_purity(labels, 4, 200, np.random.default_rng(0)) == 0.25
    assert 0.25 < chance_purity(labels, 4, 8, np.random.default_rng(0)) < 0.6
