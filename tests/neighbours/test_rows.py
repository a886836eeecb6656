from __future__ import annotations

import pytest
import torch

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.neighbours import nearest_rows

ROWS = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
QUERIES = torch.randn(20, 5, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("block", [7, 60])
def test_blocks_do_not_change_what_is_nearest(norm, block):
    table = (QUERIES[:, None] - ROWS[None]).norm(p=norm, dim=2)
    found = nearest_rows(QUERIES, torch.split(ROWS, block), norm=norm)
    torch.testing.assert_close(found.distances, table.min(1).values, atol=1e-4, rtol=1e-4)
    assert torch.equal(found.positions, table.argmin(1))


def test_a_row_is_nearest_to_itself_unless_it_is_left_out():
    found = nearest_rows(ROWS, torch.split(ROWS, 16))
    assert torch.equal(found.positions, torch.arange(60))
    without = nearest_rows(ROWS, torch.split(ROWS, 16), exclude=torch.arange(60))
    assert not (without.positions == torch.arange(60)).any()


@pytest.mark.parametrize("block", [7, 60])
def test_the_k_nearest_come_in_order_and_all_there_are_where_there_are_fewer(block):
    table = torch.cdist(ROWS, ROWS).fill_diagonal_(torch.inf)
    found = nearest_rows(ROWS, torch.split(ROWS, block), exclude=torch.arange(60), k=9)
    expected = table.sort(1)
    torch.testing.assert_close(found.ranked_distances, expected.values[:, :9], atol=1e-4, rtol=1e-4)
    assert torch.equal(found.ranked_positions, expected.indices[:, :9])
    assert nearest_rows(ROWS, torch.split(ROWS, block), exclude=torch.arange(60), k=99).ranked_positions.shape == (
        60,
        59,
    )


def test_a_near_copy_is_as_far_as_it_is():
    rows = 1000 + 100 * torch.randn(40, 64, generator=torch.Generator().manual_seed(2))
    queries = rows.clone()
    queries[:, 0] += 0.5
    found = nearest_rows(queries, torch.split(rows, 16), k=3)
    assert torch.equal(found.positions, torch.arange(40))
    torch.testing.assert_close(found.distances, torch.full((40,), 0.5), atol=1e-3, rtol=0)


def test_no_row_at_all_is_said():
    with pytest.raises(AnalysisError, match="no row"):
        nearest_rows(QUERIES, [])
