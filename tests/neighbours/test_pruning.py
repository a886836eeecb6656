from __future__ import annotations

import pytest
import torch

from dcgan_analysis.neighbours import NearestNeighbours, exact, pruning
from dcgan_analysis.neighbours.bound import ProjectionBound
from dcgan_analysis.neighbours.pairs import Rows


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Make tiles so small that few queries and rows fill several."""
    monkeypatch.setattr(exact, "_TILE", 40)
    monkeypatch.setattr(exact, "_ROWS", 64)


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def clustered(n, size, seed, scale=0.02, centres=8):
    """Return points near a few centres that lie in few dimensions, as images do."""
    middles = torch.rand(centres, 5, generator=draw(99)) @ torch.rand(5, size, generator=draw(98))
    picks = torch.randint(0, centres, (n,), generator=draw(seed))
    return middles[picks] + scale * torch.randn(n, size, generator=draw(seed + 1))


def spread(n, size, seed):
    """Return points spread over three dimensions, with little noise: the nearest is nearer than nearly all others."""
    inside = torch.rand(n, 3, generator=draw(seed)) @ torch.rand(3, size, generator=draw(97))
    return as_bytes(inside + 0.02 * torch.rand(n, size, generator=draw(seed + 1)))


def as_bytes(values):
    return (values * 60).clamp(0, 255).round().byte()


def brute_force(queries, rows):
    distances = torch.stack([(query.double() - rows.double()).square().sum(1) for query in queries])
    least = distances.amin(1)
    return (distances == least[:, None]).int().argmax(1), least


def search(queries, rows, cuts=(), order=None, **options):
    nearest = NearestNeighbours(queries, **options)
    edges = [0, *cuts, len(rows)]
    for block in order or range(len(edges) - 1):
        nearest.update(rows[edges[block] : edges[block + 1]], start=edges[block])
    return nearest


def uniform_bytes(n, size, seed, levels=256):
    return torch.randint(0, levels, (n, size), generator=draw(seed)).byte()


def repeated(rows):
    """Return rows that all occur three times, near and far from one another."""
    return torch.cat([rows, rows.flip(0), rows])


CASES = {
    "random bytes": (uniform_bytes(80, 256, 1), uniform_bytes(400, 256, 2)),
    "few gray levels, ties everywhere": (uniform_bytes(80, 16, 1, 3), uniform_bytes(400, 16, 2, 3)),
    "random float32": (torch.rand(80, 100, generator=draw(1)), torch.rand(400, 100, generator=draw(2))),
    "clustered float32": (clustered(80, 96, 1), clustered(400, 96, 3)),
    "clustered bytes": (as_bytes(clustered(80, 256, 1)), as_bytes(clustered(400, 256, 3))),
    "bytes too long for whole products": (as_bytes(clustered(40, 1100, 1)), as_bytes(clustered(160, 1100, 3))),
    "duplicated rows": (as_bytes(clustered(80, 64, 1)), repeated(as_bytes(clustered(140, 64, 3)))),
    "rows that are queries": (clustered(80, 64, 1), torch.cat([clustered(300, 64, 3), clustered(80, 64, 1)])),
    "queries of no length": (torch.zeros(80, 64), clustered(400, 64, 3)),
    "everything of no length": (torch.zeros(80, 64), torch.zeros(200, 64)),
    "all at one distance": (torch.zeros(80, 64), torch.eye(64).repeat(4, 1)),
    "far from the origin": (clustered(80, 64, 1) + 1e4, clustered(400, 64, 3) + 1e4),
    "too small for squares in float32": (clustered(80, 64, 1) * 1e-24, clustered(400, 64, 3) * 1e-24),
    "large": (clustered(80, 64, 1) * 1e17, clustered(400, 64, 3) * 1e17),
    "queries in fewer dimensions than directions": (
        torch.rand(80, 1, generator=draw(1)).expand(80, 64).contiguous(),
        clustered(400, 64, 3),
    ),
    "one query": (clustered(1, 64, 1), clustered(400, 64, 3)),
    "few columns": (torch.rand(80, 2, generator=draw(1)), torch.rand(400, 2, generator=draw(2))),
}


@pytest.mark.parametrize("name", CASES)
def test_with_and_without_pruning_and_in_any_blocks_the_nearest_is_that_of_brute_force(name):
    queries, rows = CASES[name]
    index, distance = brute_force(queries, rows)
    for pruned in (True, False):
        for cuts, order in (((), None), ((70, 75, 150), None), ((70, 75, 150), (3, 1, 2, 0))):
            nearest = search(queries, rows, cuts, order, pruning=pruned)
            assert torch.equal(nearest.index, index)
            assert torch.equal(nearest.distance, distance)


@pytest.mark.parametrize("kind", ["clustered float32", "clustered bytes", "rows that are queries"])
def test_a_bound_that_is_always_used_is_as_good_as_the_product(kind, monkeypatch):
    monkeypatch.setattr(pruning, "_MOST", 1.0)
    queries, rows = CASES[kind]
    nearest = search(queries, rows, pruning=True)
    assert nearest.work.bounded == len(queries) * (len(rows) - 64)
    index, distance = brute_force(queries, rows)
    assert torch.equal(nearest.index, index)
    assert torch.equal(nearest.distance, distance)


def test_of_data_in_few_dimensions_only_the_first_block_is_multiplied_and_few_pairs_are_measured(monkeypatch):
    monkeypatch.setattr(pruning, "_MOST", 1 / 8)  # in the second of two blocks of 64 every query finds one nearer
    work = search(spread(160, 256, 1), spread(1920, 256, 3), pruning=True).work
    assert work.multiplied == 160 * 64
    assert work.bounded == 160 * (1920 - 64)
    assert 0 < work.measured < 0.02 * work.bounded


def test_of_random_bytes_everything_is_multiplied():
    work = search(uniform_bytes(80, 256, 1), uniform_bytes(640, 256, 2), pruning=True).work
    assert (work.multiplied, work.bounded, work.measured) == (80 * 640, 0, 0)


def test_vain_attempts_become_rare_and_are_taken_up_again(monkeypatch):
    tried = []
    original = ProjectionBound.rows
    monkeypatch.setattr(ProjectionBound, "rows", lambda self, rows: tried.append(None) or original(self, rows))
    nearest = NearestNeighbours(uniform_bytes(80, 256, 99, levels=128), pruning=True)
    attempts = []
    for block in range(34):
        nearest.update(uniform_bytes(64, 256, block, levels=128), start=64 * block)
        attempts.append(len(tried))
    assert [block for block in range(1, 34) if attempts[block] > attempts[block - 1]] == [1, 3, 7, 15, 31]
    assert nearest.work.bounded == 0
    white = torch.full((64, 256), 255, dtype=torch.uint8)
    for block in range(34, 70):
        nearest.update(white, start=64 * block)
    assert len(tried) == 5 + 70 - 63  # from block 63 on, without a pause
    assert nearest.work.bounded == 80 * 64 * (70 - 63)


def test_what_was_found_before_excludes_from_the_first_block_on():
    queries, rows = spread(80, 256, 1), spread(1000, 256, 3)
    first, second = search(queries, rows[:960]), NearestNeighbours(queries, pruning=True)
    second.merge(first.distance, first.index)
    second.update(rows[960:], start=960)
    assert (second.work.multiplied, second.work.bounded) == (0, 80 * 40)
    assert torch.equal(second.index, brute_force(queries, rows)[0])


def test_pruning_can_be_left_out():
    work = search(*CASES["clustered bytes"], pruning=False).work
    assert (work.multiplied, work.bounded) == (80 * 400, 0)


@pytest.mark.parametrize("kind", [name for name in CASES if name not in {"one query", "few columns"}])
def test_a_bound_is_never_above_the_distance(kind):
    queries, rows = (Rows(values.float(), whole=False) for values in CASES[kind])
    bound = ProjectionBound(queries)
    exactly = torch.stack([(row.double() - queries.values.double()).square().sum(1) for row in rows.values])
    columns = bound.rows(rows)
    everyone = slice(0, len(queries.values))
    for number, distances in enumerate(exactly[:50]):
        # Exactly as far as this row is: the row itself must be among those that may be nearest.
        query, row = bound.within(everyone, columns, rows.longest, distances, 1.0)
        assert torch.equal(query[row == number], torch.arange(len(queries.values)))


def test_along_directions_that_hold_everything_the_bound_is_the_distance():
    flat = (torch.rand(200, 4, generator=draw(1)) - 0.5) @ torch.rand(4, 64, generator=draw(2))
    queries, rows = Rows(flat[:100], whole=False), Rows(flat[100:], whole=False)
    bound = ProjectionBound(queries)
    assert bound.directions == 8
    distances = torch.cdist(queries.values.double(), rows.values.double()).square()
    best = distances.amin(1) * 0.95
    found = bound.within(slice(0, 100), bound.rows(rows), rows.longest, best, 1.0)
    assert len(found[0]) == 0
    found = bound.within(slice(0, 100), bound.rows(rows), rows.longest, best * 1.1, 1.0)
    assert torch.equal(torch.unique(found[0]), torch.arange(100))


@pytest.mark.parametrize(("queries", "size", "directions"), [(10_000, 784, 62), (10_000, 100, 12), (1, 784, 0)])
def test_the_fewer_queries_or_columns_the_fewer_directions(queries, size, directions):
    assert ProjectionBound.directions_for(queries, size) == directions
