from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.latents.properties import brightness, slant


def line(lean):
    """A stroke that moves ``lean`` pixels to the right from bottom to top."""
    image = np.zeros((1, 1, 16, 32), np.uint8)
    for row in range(16):
        image[0, 0, row, 8 + round(lean * (15 - row) / 15)] = 200
    return image


@pytest.mark.parametrize(("lean", "expected"), [(0, 0.0), (15, 1.0), (-8, -8 / 15)])
def test_slant_is_the_shift_to_the_right_for_each_row_upwards(lean, expected):
    image = line(lean) if lean >= 0 else line(-lean)[..., ::-1]
    assert slant(image)[0] == pytest.approx(expected, abs=0.03)


def test_an_image_of_one_shade_is_upright_and_as_bright_as_it_is():
    image = np.full((1, 3, 4, 4), 51, np.uint8)
    assert slant(image).tolist() == [0]
    assert brightness(image).tolist() == [pytest.approx(0.2)]
