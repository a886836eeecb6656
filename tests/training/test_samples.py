from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from dcgan_analysis.training.samples import save_grid


@pytest.mark.parametrize("channels", [1, 3])
def test_images_stand_row_by_row_with_a_white_line_between(tmp_path, channels):
    pixels = np.zeros((3, channels, 2, 2), np.uint8) + np.array([10, 20, 30], np.uint8).reshape(3, 1, 1, 1)

    save_grid(pixels, tmp_path / "new" / "grid.png", columns=2, scale=1)

    grid = np.asarray(Image.open(tmp_path / "new" / "grid.png").convert("L"))
    assert grid.tolist() == [
        [10, 10, 255, 20, 20],
        [10, 10, 255, 20, 20],
        [255, 255, 255, 255, 255],
        [30, 30, 255, 255, 255],
        [30, 30, 255, 255, 255],
    ]


def test_pixels_are_enlarged_without_blur(tmp_path):
    pixels = np.array([[[[0, 200]]]], np.uint8)

    save_grid(pixels, tmp_path / "grid.png", columns=1, scale=3)

    assert np.asarray(Image.open(tmp_path / "grid.png")).tolist() == [[0, 0, 0, 200, 200, 200]] * 3
