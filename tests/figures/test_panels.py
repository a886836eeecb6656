from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from dcgan_analysis import figures
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.figures import Tile


def gray(height, width, value=0):
    return Tile(np.full((3, height, width), value, np.uint8))


def pixels(figure):
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return np.asarray(Image.open(stream).convert("RGB"))


def test_pixels_are_crisp_squares_of_one_size_in_a_row():
    drawn = pixels(figures.image_panels({"a": [[gray(4, 4), gray(2, 2)]]}))
    # 64 to 128 dots for a tile: 128 dots for 4 pixels, 64 for 2 pixels of the same size.
    assert (drawn == 0).all(axis=2).sum() == pytest.approx(128**2 + 64**2, rel=0.02)


def test_panels_stand_side_by_side_under_their_titles_with_labels_to_the_left():
    rows = [[gray(8, 8)] * 2] * 4
    figure = figures.image_panels({"learned": rows, "random": rows}, labels=["one", "two"], group=2)
    texts = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    assert set(texts) == {"learned", "random", "one", "two"}
    assert texts["one"][0] < texts["learned"][0] < texts["random"][0]
    assert texts["one"][1] < texts["two"][1]


def test_a_smaller_last_group_is_labelled_at_its_own_middle():
    figure = figures.image_panels({"a": [[gray(8, 8)]] * 4}, labels=["three", "one"], group=3)
    (_, three), (_, one) = (text.get_position() for text in figure.axes[0].texts[1:])
    # Tiles of 128 dots, 4 between two rows and 16 more before the next group: 3 rows and half a one further down.
    assert one - three == 2 * 132 + 16


def test_a_title_wider_than_its_panel_goes_on_below_it_and_no_picture_is_covered():
    figure = figures.image_panels({"not smiling, not a woman": [[gray(8, 8)]], "b": [[gray(8, 8)]]})
    first, second, last = figure.axes[0].texts
    assert [first.get_text(), second.get_text(), last.get_text()] == ["not a woman", "not smiling,", "b"]
    assert second.get_position()[1] < first.get_position()[1] == last.get_position()[1]
    black = (pixels(figure) == 0).all(axis=2)
    assert not black[: 8 + 2 * 34].any()
    assert black[8 + 2 * 34 :].sum() == pytest.approx(2 * 128**2, rel=0.02)


def test_a_box_is_outlined_and_its_inside_is_left():
    plain = pixels(figures.image_panels({"a": [[gray(16, 16)]]}))
    boxed = pixels(figures.image_panels({"a": [[Tile(gray(16, 16).image, box=(4, 4, 12, 12))]]}))
    changed = (plain != boxed).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == 64
    assert not changed[(rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2]


def test_gray_images_and_images_of_any_size_are_taken():
    figures.image_panels({"a": [[Tile(np.zeros((1, 3, 200), np.uint8)), gray(1, 1)]]})


@pytest.mark.parametrize(
    ("panels", "options", "message"),
    [
        ({}, {}, "same number of rows"),
        ({"a": [[]]}, {}, "a tile each"),
        ({"a": [[gray(1, 1)]], "b": [[gray(1, 1)]] * 2}, {}, "same number of rows"),
        ({"a": [[gray(1, 1)]] * 3}, {"group": 2, "labels": ["x"]}, "3 rows in groups of 2"),
        ({"a": [[gray(1, 1)]]}, {"labels": ["x", "y"]}, "got 2 labels"),
        ({"a": [[Tile(np.zeros((3, 2, 2)))]]}, {}, "takes a uint8 image"),
    ],
)
def test_what_cannot_be_laid_out_is_refused(panels, options, message):
    with pytest.raises(AnalysisError, match=message):
        figures.image_panels(panels, **options)
