from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.annotations.cells import cells_inside, cells_touched, draw_cells
from dcgan_analysis.annotations.rules import RULES, find_box
from dcgan_analysis.errors import AnnotationError


def test_a_box_is_scaled_to_the_grid_by_the_centres_of_positions():
    # 8x8 pixels on a 4x4 map: positions are 2 pixels wide, their centres at 1, 3, 5, 7.
    mask = cells_inside([(2.5, 0, 3, 2)], (4, 4), (8, 8))
    assert np.argwhere(mask).tolist() == [[0, 1], [0, 2]]


def test_maps_and_images_may_be_of_other_shape_than_square():
    mask = cells_inside([(0, 4, 12, 4)], (2, 3), (8, 12))
    assert mask.tolist() == [[False] * 3, [True] * 3]


def test_a_box_smaller_than_a_position_counts_for_the_one_it_lies_in():
    assert np.argwhere(cells_inside([(4.1, 6.2, 0.5, 0.5)], (4, 4), (8, 8))).tolist() == [[3, 2]]


def test_a_position_that_a_box_only_touches_is_neither_inside_nor_clear():
    inside, touched = (cells([(1.5, 0, 2, 2)], (1, 4), (2, 8)) for cells in (cells_inside, cells_touched))
    assert inside.tolist() == [[False, True, False, False]]
    assert touched.tolist() == [[True, True, False, False]]


def test_drawn_positions_are_clear_ones_and_differ():
    clear = np.array([[True, False], [True, True]])
    assert draw_cells(clear, 99, np.random.default_rng(0)).tolist() == [0, 2, 3]
    drawn = {tuple(draw_cells(clear, 2, np.random.default_rng(seed))) for seed in range(20)}
    assert drawn == {(0, 2), (0, 3), (2, 3)}


@pytest.mark.parametrize(
    ("rule", "colour"),
    [
        ("red", (200, 20, 30)),
        ("yellow", (220, 190, 20)),
        ("green", (20, 180, 30)),
        ("blue", (20, 60, 200)),
        ("bright", (250, 240, 245)),
        ("dark", (9, 9, 20)),
    ],
)
def test_a_rule_finds_the_patch_of_its_colour_alone(rule, colour):
    image = np.full((3, 16, 16), 128, np.uint8)
    image[:, 4:8, 6:12] = np.array(colour, np.uint8)[:, None, None]
    assert {name: find_box(image, name) for name in RULES} == {
        name: (6, 4, 6, 4) if name == rule else None for name in RULES
    }


def test_patches_too_small_too_large_or_too_thin_are_none():
    image = np.zeros((1, 16, 16), np.uint8)
    image[0, 0, 0] = 255
    assert find_box(image, "bright") is None
    assert find_box(np.full((1, 16, 16), 255, np.uint8), "bright") is None
    image[0, np.arange(16), np.arange(16)] = image[0, np.arange(15), np.arange(1, 16)] = 255
    assert find_box(image, "bright") is None
    assert find_box(image, "red") is None


def test_an_unknown_rule_is_refused():
    with pytest.raises(AnnotationError, match="Available: red"):
        find_box(np.zeros((3, 4, 4), np.uint8), "pink")
