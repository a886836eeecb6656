from __future__ import annotations

import pytest
import torch

from dcgan_analysis.core import parallel
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.neighbours import NearestNeighbours, exact, pairs


def brute_force(queries, rows):
    """Measure everything in float64 and take the first of the least."""
    distances = torch.stack([(query.double() - rows.double()).square().sum(1) for query in queries])
    least = distances.amin(1)
    return (distances == least[:, None]).int().argmax(1), least


def random_rows(n, size, kind, seed, levels=256):
    generator = torch.Generator().manual_seed(seed)
    if kind == torch.uint8:
        return torch.randint(0, levels, (n, size), generator=generator).byte()
    return torch.rand(n, size, generator=generator)


def search(queries, rows, cuts=(), order=None, product=None):
    """Let rows stream by in blocks, in any order."""
    nearest = NearestNeighbours(queries, product=product)
    edges = [0, *cuts, len(rows)]
    for block in order or range(len(edges) - 1):
        nearest.update(rows[edges[block] : edges[block + 1]], start=edges[block])
    return nearest


@pytest.fixture
def small_tiles(monkeypatch):
    """Make tiles so small that few queries and rows fill several."""
    monkeypatch.setattr(exact, "_TILE", 16)
    monkeypatch.setattr(exact, "_ROWS", 32)
    monkeypatch.setattr(pairs, "_PAIRS", 8)


@pytest.mark.parametrize(
    ("kind", "size", "levels", "product"),
    [
        (torch.uint8, 784, 256, None),
        (torch.uint8, 3072, 256, None),  # too long for products without rounding
        (torch.uint8, 784, 256, torch.bfloat16),
        (torch.uint8, 6, 3, None),  # ties everywhere
        (torch.uint8, 6, 3, torch.bfloat16),
        (torch.float32, 784, 0, None),
        (torch.float32, 3, 0, None),
    ],
)
def test_the_nearest_is_that_of_brute_force_in_any_blocks_and_order(small_tiles, kind, size, levels, product):
    queries = random_rows(40, size, kind, 1, levels)
    rows = random_rows(130, size, kind, 2, levels)
    rows[90:100] = queries[:10]  # found exactly,
    rows[120:130] = queries[:10]  # and again later: the first one counts
    index, distance = brute_force(queries, rows)
    for cuts, order in (((), None), ((7, 50, 95), None), ((7, 50, 95), (2, 3, 0, 1))):
        nearest = search(queries, rows, cuts, order, product)
        assert torch.equal(nearest.index, index)
        assert torch.equal(nearest.distance, distance)


def test_float_rows_that_differ_less_than_the_product_is_accurate_are_told_apart():
    # Far from the origin |b|^2 - 2 q.b has lost the digits that decide.
    queries = torch.full((1, 50), 1000.0)
    rows = torch.full((64, 50), 1000.0)
    rows += 2.0 ** torch.arange(-3, 61)[:, None].clamp(max=3).flip(0)
    rows[41, 0] = 1000.125
    index, distance = brute_force(queries, rows)
    nearest = search(queries, rows)
    assert (nearest.index.item(), nearest.distance.item()) == (index.item(), distance.item())


def test_black_against_white_is_beyond_the_integers_of_float32_and_still_exact():
    queries, rows = torch.zeros(2, 1024, dtype=torch.uint8), torch.full((5, 1024), 255, dtype=torch.uint8)
    rows[3, 0] = 254
    nearest = search(queries, rows)
    assert nearest.index.tolist() == [3, 3]
    assert nearest.distance.tolist() == [1023 * 255**2 + 254**2] * 2


def test_of_equal_rows_the_first_counts_also_when_it_comes_last():
    rows = torch.tensor([[5, 5]] * 6, dtype=torch.uint8)
    nearest = search(torch.tensor([[0, 0]], dtype=torch.uint8), rows, cuts=(2, 4), order=(2, 1, 0))
    assert (nearest.index.item(), nearest.distance.item()) == (0, 50)


def test_what_others_found_is_merged_by_distance_then_by_index():
    queries = random_rows(20, 30, torch.uint8, 3)
    rows = random_rows(60, 30, torch.uint8, 4)
    rows[40:60] = rows[:20]
    whole, left, right = search(queries, rows), NearestNeighbours(queries), NearestNeighbours(queries)
    left.update(rows[:30], start=0)
    right.update(rows[30:], start=30)
    right.merge(left.distance, left.index)
    assert torch.equal(right.index, whole.index)
    assert torch.equal(right.distance, whole.distance)


def test_before_the_first_row_nothing_is_nearest():
    nearest = NearestNeighbours(torch.zeros(2, 3))
    assert nearest.index.tolist() == [-1, -1]
    assert nearest.distance.tolist() == [float("inf")] * 2


@pytest.mark.parametrize("rows", [torch.zeros(2, 4), torch.zeros(2, 3, dtype=torch.uint8)])
def test_rows_of_another_shape_or_type_are_refused(rows):
    with pytest.raises(AnalysisError, match=r"Rows must be float32 \(n, 3\), got"):
        NearestNeighbours(torch.zeros(2, 3)).update(rows, start=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_numbers_that_cannot_be_compared_are_refused(value):
    with pytest.raises(AnalysisError, match="the rows hold numbers that are not finite, or too large"):
        NearestNeighbours(torch.zeros(2, 3)).update(torch.full((1, 3), value), start=0)


def test_bfloat16_products_are_for_bytes():
    with pytest.raises(AnalysisError, match="Products in bfloat16 are for rows of bytes"):
        NearestNeighbours(torch.zeros(2, 3), product=torch.bfloat16)


def test_distances_indices_and_work_are_the_same_for_any_number_of_workers(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(0, 256, (3000, 64), dtype=torch.uint8, generator=generator)
    queries = rows[:1300] // 2
    found = []
    for count in (1, 2, 3):
        monkeypatch.setattr(parallel, "worker_count", lambda device=None, count=count: count)
        nearest = NearestNeighbours(queries)
        nearest.update(rows, start=0)
        found.append((nearest.index.tolist(), nearest.distance.tolist(), nearest.work))
    assert found[0] == found[1] == found[2]
