from __future__ import annotations

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.memorisation.nearest_images import (
    View,
    hash_view,
    nearest_images,
    nearest_training,
    pixel_views,
)

from dcgan_analysis.latents.seen_images import Images


def shades(*values):
    """Return images of two pixels."""
    return np.array(values, np.uint8).reshape(len(values), 1, 1, 2)


def test_pixels_are_near_by_l1_or_by_l2_in_readable_units():
    wanted, gallery = {"a": Images(shades((0, 0)))}, [Images(shades((0, 102), (51, 60)))]
    nearest = {
        name: nearest_images(view, wanted, gallery)["a"].distances.item() * view.scale
        for name, view in pixel_views((1, 1, 2)).items()
    }
    # 102 against 111 in sum, 102 against 78.7 in length.
    assert nearest["l1"] == pytest.approx(102 / 255 / 2)
    assert nearest["l2"] == pytest.approx(((51**2 + 60**2) / 2) ** 0.5 / 255)


def test_hashes_are_as_far_apart_as_bits_differ():
    view = hash_view(lambda images: images[:, 0, 0])
    nearest = nearest_images(view, {"a": Images(shades((0b111, 0)))}, [Images(shades((0b100, 1), (0, 0)))])
    assert (nearest["a"].distances.tolist(), nearest["a"].positions.tolist()) == ([3], [0])


def test_images_are_not_their_own_neighbours_and_labels_go_along():
    gallery = Images(shades((0, 0), (10, 0), (90, 0)), torch.tensor([4, 5, 6]), torch.arange(3))
    taken = gallery.take(np.array([2, 0]))
    assert (taken.labels.tolist(), taken.own.tolist()) == ([6, 4], [2, 0])
    seen = []

    def rows(images, labels):
        seen.append(labels.tolist())
        return torch.from_numpy(images.reshape(len(images), -1)).float()

    calls = []
    nearest = nearest_images(
        View(rows), {"taken": taken}, [gallery], what="x", progress=lambda *report: calls.append(report)
    )
    assert nearest["taken"].positions.tolist() == [1, 1]
    assert seen == [[6, 4], [4, 5, 6]]
    assert calls == [("x", 3, 3)]


def test_positions_count_through_all_galleries_and_the_nearest_of_the_first_is_found():
    view = View(lambda images, _: torch.from_numpy(images.reshape(len(images), -1)).float())
    galleries = [Images(shades((0, 0), (50, 0))), Images(shades((20, 0), (24, 0)))]
    wanted = {"first": Images(shades((22, 1))), "second": Images(shades((60, 0)), own=torch.tensor([1]))}
    nearest = nearest_images(view, wanted, galleries, k=3)
    assert {source: of.ranked_positions.tolist() for source, of in nearest.items()} == {
        "first": [[2, 3, 0]],
        "second": [[3, 2, 0]],
    }
    distances, positions = nearest_training(nearest["first"], 2)
    assert (positions.tolist(), distances.tolist()) == ([0], [pytest.approx(485**0.5)])
