from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan_analysis.latents.arithmetic import combine, combine_pixels, direction, with_neighbours


def test_subtracting_what_is_added_leaves_a():
    a, b = torch.randn(3, 5), torch.randn(3, 5)
    torch.testing.assert_close(combine(a, b, b), a.mean(0))
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4), dtype=np.uint8)
    np.testing.assert_array_equal(combine_pixels(images[:1], images[1:], images[1:]), images[0])


def test_sums_of_pixels_are_cut_to_bytes():
    full, none = np.full((1, 1, 1, 1), 255, np.uint8), np.zeros((1, 1, 1, 1), np.uint8)
    assert combine_pixels(full, none, full).item() == 255
    assert combine_pixels(none, full, none).item() == 0


def test_the_centre_stands_among_neighbours_within_the_noise():
    around = with_neighbours(torch.zeros(50), 0.25, np.random.default_rng(0))
    assert around.shape == (9, 50)
    assert around[4].abs().max() == 0
    others = around[[0, 1, 2, 3, 5, 6, 7, 8]].abs()
    assert 0.2 < others.max() <= 0.25


def test_a_direction_points_from_low_to_high_and_may_have_any_length():
    low, high = torch.zeros(2, 2), torch.tensor([[2.0, 0.0], [4.0, 8.0]])
    assert direction(low, high).tolist() == [3.0, 4.0]
    assert direction(low, high, 10.0).tolist() == pytest.approx([6.0, 8.0])
