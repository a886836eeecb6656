from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from dcgan_analysis.features.pooling import pool_to_grid, pooled_shape


def test_maximum_of_each_cell_is_as_computed_by_hand():
    maps = torch.arange(16.0).view(1, 1, 4, 4)

    assert pool_to_grid(maps, 2).tolist() == [[5, 7, 13, 15]]
    assert pool_to_grid(-maps, 2).tolist() == [[0, -2, -8, -10]]


def test_columns_run_channel_by_channel_and_row_by_row():
    maps = torch.arange(2 * 2 * 8 * 8.0).view(2, 2, 8, 8)

    pooled = pool_to_grid(maps, 4)

    assert pooled.shape == (2, 32)
    # The largest of a 2x2 cell is its lower right: row 2 i + 1, column 2 j + 1.
    for channel, i, j in [(0, 0, 0), (0, 0, 1), (0, 3, 2), (1, 1, 3)]:
        assert pooled[1, channel * 16 + i * 4 + j] == maps[1, channel, 2 * i + 1, 2 * j + 1]


def test_maps_that_are_smaller_than_the_grid_are_kept():
    maps = torch.arange(8.0).view(1, 2, 2, 2)

    assert pool_to_grid(maps, 4).tolist() == [list(range(8))]


def test_sides_that_are_no_multiple_are_pooled_in_overlapping_cells():
    maps = torch.tensor([[[[1.0, 5, 2], [0, 0, 0], [3, 4, 9]]]])

    # Cells of adaptive pooling from 3 to 2: rows and columns 0 to 1 and 1 to 2.
    assert pool_to_grid(maps, 2).tolist() == [[5, 5, 4, 9]]


def test_only_the_longer_side_is_pooled_where_the_other_is_smaller_than_the_grid():
    maps = torch.arange(16.0).view(1, 1, 2, 8)

    assert pool_to_grid(maps, 4).tolist() == [[1, 3, 5, 7, 9, 11, 13, 15]]


def test_vectors_pass_unchanged():
    vectors = torch.arange(6.0).view(2, 3)

    assert torch.equal(pool_to_grid(vectors, 4), vectors)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 7, 8, 14, 16, 32])
def test_any_side_gives_the_announced_shape_and_the_cells_of_adaptive_pooling(side):
    maps = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(side))
    shape = pooled_shape((3, side, side), 4)

    for layout in (torch.contiguous_format, torch.channels_last):
        pooled = pool_to_grid(maps.contiguous(memory_format=layout), 4)
        assert torch.equal(pooled, F.adaptive_max_pool2d(maps, shape[1:]).flatten(1))
