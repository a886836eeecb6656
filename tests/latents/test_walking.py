from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan_analysis.latents.walking import (
    LINEAR,
    MEMORISING,
    SPHERICAL,
    measure_walks,
    pixel_steps,
    roughness,
    sharp_steps,
    unrelated_distances,
)


class OnePixel:
    """A generator of two pixels: the shades are the two latent numbers."""

    def __call__(self, z, labels=None, *, what=""):
        return z.numpy().round().clip(0, 255).astype(np.uint8)[:, None, None, :]

    def labels(self, n):
        return None


def embed(images, labels):
    return torch.from_numpy(images.reshape(len(images), -1).astype(np.float32))


def test_steps_are_sharp_beyond_the_share_of_unrelated_samples():
    assert sharp_steps(np.array([0.2, 0.5, 0.51]), 1.0, 0.5).tolist() == [False, False, True]


def test_pixels_move_by_their_root_mean_square():
    images = np.array([[0, 0], [255, 0], [255, 0]], np.uint8).reshape(3, 1, 1, 2)
    assert pixel_steps(images) == pytest.approx([0.5**0.5, 0])


def test_unrelated_samples_are_compared_in_pairs():
    # Distances 3, 4 and 10.
    z = torch.tensor([[0.0, 0.0], [3.0, 0.0], [9.0, 0.0], [9.0, 4.0], [0.0, 0.0], [10.0, 0.0]])
    assert np.median(unrelated_distances(OnePixel(), embed, z)) == 4


def test_straight_walks_go_evenly_circles_keep_the_length_and_a_memorising_generator_jumps():
    points = [torch.tensor([[100.0, 0.0], [0.0, 100.0]]), torch.tensor([[0.0, 0.0], [0.0, 40.0]])]
    done = []
    walks = measure_walks(OnePixel(), embed, points, 4, torch.tensor([[100.0, 0.0], [0.0, 100.0]]), done.append)
    assert done == [1, 2]
    assert [len(found) for found in walks.values()] == [2, 2, 2]
    assert walks[LINEAR][0].images[:, 0, 0].tolist() == [[100, 0], [75, 25], [50, 50], [25, 75], [0, 100]]
    assert walks[LINEAR][0].perceptual == pytest.approx([25 * 2**0.5] * 4)
    assert walks[LINEAR][1].perceptual == pytest.approx([10] * 4)
    circle = walks[SPHERICAL][0].images[:, 0, 0].astype(float)
    assert np.linalg.norm(circle, axis=1) == pytest.approx([100] * 5, abs=1)
    # It knows the two ends alone: one step is the whole way.
    assert sorted(walks[MEMORISING][0].perceptual.tolist()) == pytest.approx([0, 0, 0, 100 * 2**0.5])
    assert roughness(walks[MEMORISING][0].perceptual, 4).tolist() == [4]
