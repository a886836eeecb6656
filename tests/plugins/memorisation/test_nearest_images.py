from __future__ import annotations

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.memorisation.nearest_images import (
    Images,
    View,
    disjoint_subsets,
    hash_view,
    nearest_images,
    pixel_views,
)


def shades(*values):
    """Return images of two pixels."""
    return np.array(values, np.uint8).reshape(len(values), 1, 1, 2)


def test_pixels_are_near_by_l1_or_by_l2_in_readable_units():
    wanted, gallery = Images(shades((0, 0))), Images(shades((0, 102), (51, 60)))
    found = {
        name: nearest_images(view, wanted, gallery).distances.item() * view.scale
        for name, view in pixel_views((1, 1, 2)).items()
    }
    # 102 against 111 in sum, 102 against 78.7 in length.
    assert found["l1"] == pytest.approx(102 / 255 / 2)
    assert found["l2"] == pytest.approx(((51**2 + 60**2) / 2) ** 0.5 / 255)


def test_hashes_are_as_far_apart_as_bits_differ():
    view = hash_view(lambda images: images[:, 0, 0])
    found = nearest_images(view, Images(shades((0b111, 0))), Images(shades((0b100, 1), (0, 0))))
    assert (found.distances.tolist(), found.positions.tolist()) == ([3], [0])


def test_images_are_not_their_own_neighbours_and_labels_go_along():
    gallery = Images(shades((0, 0), (10, 0), (90, 0)), torch.tensor([4, 5, 6]), torch.arange(3))
    some = gallery.take(np.array([2, 0]))
    assert (some.labels.tolist(), some.own.tolist()) == ([6, 4], [2, 0])
    seen = []

    def rows(images, labels):
        seen.append(labels.tolist())
        return torch.from_numpy(images.reshape(len(images), -1)).float()

    calls = []
    found = nearest_images(View(rows), some, gallery, what="x", progress=lambda *report: calls.append(report))
    assert found.positions.tolist() == [1, 1]
    assert seen == [[6, 4], [4, 5, 6]]
    assert calls == [("x", 3, 3)]


def test_subsets_come_in_pairs_without_a_common_image():
    masks = disjoint_subsets(9, 4, [np.random.default_rng(seed) for seed in range(3)])
    assert masks.shape == (6, 9)
    assert masks.sum(dim=1).tolist() == [4] * 6
    assert not (masks[0::2] & masks[1::2]).any()
    assert (masks[0] != masks[2]).any()
