from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan_analysis.models.receptive import Box
from dcgan_analysis.units.attribution.stability import agreement, shifted


def test_a_shift_moves_pixels_down_and_right():
    images = torch.arange(4.0).view(1, 1, 2, 2)
    assert shifted(images, 1, 0).tolist() == [[[[0, 1], [0, 1]]]]
    assert shifted(images, 0, 1).tolist() == [[[[0, 0], [2, 2]]]]


def test_attributions_that_move_with_the_image_agree_once_moved_back():
    maps = torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    box = Box(1, 0, 6, 5)
    for shift in ((0, 1), (1, 0), (2, 1)):
        moved = shifted(maps, *shift).numpy()
        assert agreement(maps.numpy(), moved, [box], shift) == pytest.approx([1])
        assert agreement(maps.numpy(), moved, [box])[0] < 0.8


def test_what_lies_outside_the_box_does_not_count():
    first = np.random.default_rng(0).normal(size=(1, 1, 4, 4)).astype(np.float32)
    second = first.copy()
    second[..., 3] = 100
    assert agreement(first, second, [Box(0, 0, 4, 3)]) == pytest.approx([1])


def test_a_box_too_small_to_be_moved_has_no_agreement():
    one = np.ones((1, 1, 4, 4), np.float32)
    assert np.isnan(agreement(one, one, [Box(0, 0, 1, 4)], (1, 0))).all()
