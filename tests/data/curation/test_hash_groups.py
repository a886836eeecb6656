from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.data.curation import hash_groups
from dcgan_analysis.data.curation.hash_groups import near_groups, near_matches, near_pairs


def planted(n, most, *, seed=0, skewed=False):
    """Return n hashes of 128 bits, half of them copies of others with up to ``most`` bits flipped."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.02, 0.98, 128) if skewed else 0.5
    hashes = np.packbits(rng.random((n, 128)) < share, axis=1)
    flipped = np.arange(128) < rng.integers(0, most + 1, n // 2)[:, None]
    hashes[n // 2 :] = hashes[: n // 2] ^ np.packbits(rng.permuted(flipped, axis=1), axis=1)
    return hashes[rng.permutation(n)]


def differing(left, right):
    """Return in how many bits each differs from each."""
    return np.unpackbits(left[:, None] ^ right[None], axis=2).sum(axis=2)


def joined(near):
    """Return groups of two or more connected rows of a matrix, by walking."""
    left, groups = set(range(len(near))), []
    for start in range(len(near)):
        group, edge = set(), {start} & left
        while edge:
            group |= edge
            edge = {int(i) for i in np.flatnonzero(near[sorted(edge)].any(axis=0))} - group
        left -= group
        if len(group) > 1:
            groups.append(sorted(group))
    return groups


@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize("bits", [0, 1, 3, 8])
def test_groups_are_those_of_comparing_every_pair(bits, skewed):
    hashes = planted(300, bits + 2, seed=bits, skewed=skewed)
    found = [group.tolist() for group in near_groups(hashes, bits)]
    assert found == joined(differing(hashes, hashes) <= bits)
    assert len(found) > 20


@pytest.mark.parametrize("taken", [0, 1, 2, 3])
def test_each_way_of_searching_finds_every_pair(taken, monkeypatch):
    monkeypatch.setattr(hash_groups, "_TAKEN", (taken,) if taken else ())
    monkeypatch.setattr(hash_groups, "_SORTING", 0)
    hashes = np.unique(planted(200, 6, seed=5, skewed=True), axis=0)
    assert hash_groups._plan(hashes, 5)[1] == taken
    pairs = {(min(i, j), max(i, j)): bits for found in near_pairs(hashes, 5) for i, j, bits in zip(*found, strict=True)}
    bits = differing(hashes, hashes)
    wanted = {(i, j): bits[i, j] for i, j in zip(*np.nonzero(np.triu(bits <= 5, 1)), strict=True)}
    assert len(wanted) > 50
    assert pairs == wanted


def test_what_is_done_in_blocks_is_the_same(monkeypatch):
    hashes = planted(300, 4)
    whole = [group.tolist() for group in near_groups(hashes, 3)]
    monkeypatch.setattr(hash_groups, "_BLOCK", 16)
    monkeypatch.setattr(hash_groups, "_PAIRS", 5)
    assert [group.tolist() for group in near_groups(hashes, 3)] == whole


def test_near_groups_are_joined_by_chains():
    hashes = np.array([[0b000], [0b001], [0b011], [0b11110000]], np.uint8)
    assert [group.tolist() for group in near_groups(hashes, 1)] == [[0, 1, 2]]
    assert near_groups(hashes[[0, 2]], 1) == []


def test_groups_of_no_bits_are_those_of_equal_hashes():
    hashes = np.random.default_rng(1).integers(0, 4, (60, 1), dtype=np.uint8)
    first = {value: int(np.flatnonzero(hashes[:, 0] == value)[0]) for value in range(4)}
    expected = [np.flatnonzero(hashes[:, 0] == value).tolist() for value in sorted(first, key=first.__getitem__)]
    assert [group.tolist() for group in near_groups(hashes, 0)] == expected
    assert near_groups(hashes[:0], 3) == []


def test_planted_groups_are_found_among_many_hashes_and_nothing_else():
    hashes = np.random.default_rng(2).integers(0, 256, (50_000, 16), dtype=np.uint8)
    hashes[-1] = hashes[5]
    hashes[-2] = hashes[9]
    hashes[-2, [0, 7, 15]] ^= np.array([1, 128, 16], np.uint8)
    assert [group.tolist() for group in near_groups(hashes, 0)] == [[5, 49_999]]
    assert [group.tolist() for group in near_groups(hashes, 4)] == [[5, 49_999], [9, 49_998]]


def test_few_pairs_are_compared_where_hashes_are_many(monkeypatch):
    compared = []
    runs = hash_groups._runs
    monkeypatch.setattr(
        hash_groups, "_runs", lambda same: (compared.append(len(at)) or (at, k) for at, k in runs(same))
    )
    hashes = np.random.default_rng(3).integers(0, 256, (20_000, 16), dtype=np.uint8)
    near_groups(hashes, 4)
    assert sum(compared) < 20_000  # of 200 million


@pytest.mark.parametrize("bits", [0, 2, 6])
def test_matches_across_two_sets_are_the_nearest(bits):
    hashes = planted(200, bits + 1, seed=bits)
    known, asked = hashes[:120], np.concatenate([hashes[120:], hashes[120:130], hashes[:3]])
    positions, of, found = near_matches(asked, known, bits)
    distances = differing(asked, known)
    np.testing.assert_array_equal(positions, np.flatnonzero(distances.min(axis=1) <= bits))
    np.testing.assert_array_equal(of, distances[positions].argmin(axis=1))
    np.testing.assert_array_equal(found, distances[positions].min(axis=1))
    assert len(positions) > 10
