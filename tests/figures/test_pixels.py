from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.figures import save_gif, save_image, tiled


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_an_image_is_saved_pixel_by_pixel(tmp_path):
    image = noise(3, 4, 5)
    with Image.open(save_image(image, tmp_path / "a.png", scale=2)) as read:
        np.testing.assert_array_equal(np.asarray(read)[::2, ::2], image.transpose(1, 2, 0))
        assert read.size == (10, 8)


def test_an_animation_has_all_frames_and_never_ends(tmp_path):
    frames = np.stack([np.full((1, 4, 4), shade, np.uint8) for shade in (0, 100, 255)])
    with Image.open(save_gif(frames, tmp_path / "a.gif", milliseconds=120, scale=3)) as read:
        assert (read.n_frames, read.size, read.info["duration"], read.info["loop"]) == (3, (12, 12), 120, 0)
        read.seek(1)
        assert read.convert("RGB").getpixel((5, 5)) == (100, 100, 100)


def test_tiles_lie_in_rows_with_white_between():
    page = tiled(np.zeros((3, 1, 2, 2), np.uint8), columns=2, gap=1)
    assert page.shape == (1, 5, 5)
    assert page[0, 2].tolist() == [255] * 5
    assert page[0, 4].tolist() == [0, 0, 255, 255, 255]


@pytest.mark.parametrize("image", [noise(2, 4, 4), noise(3, 4, 4).astype(float), noise(4, 4)])
def test_what_is_no_image_is_refused(image, tmp_path):
    with pytest.raises(AnalysisError, match="An image is uint8"):
        save_image(image, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_frames_too_short_for_a_browser_are_refused(tmp_path):
    with pytest.raises(AnalysisError, match="20 milliseconds or more, got 10"):
        save_gif(noise(2, 3, 4, 4), tmp_path / "a.gif", milliseconds=10)
