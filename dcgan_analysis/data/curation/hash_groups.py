"""Binary hashes that are equal or differ in a few bits, found without comparing every pair.

Of any k + r bands of bits, two hashes that differ in at most k bits agree in r or more (pigeonhole). So hashes are
sorted once for each choice of r bands, and only those that agree there are compared: the tables of Manku, Jain and Das
Sarma, "Detecting near-duplicates for web crawling" (2007). Nothing is missed. A larger r means more sortings and fewer
comparisons; the cheapest is chosen by counting. Bits that are nearly always the same tell nothing: each band gets its
share of them.
"""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis.core.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

# How many bands a sorting may take.
_TAKEN = (1, 2, 3)
_BLOCK = 1 << 18
_WIDEST = 40  # bits of a band: exact as float64
# Time of bringing one hash into its place, in comparisons of two hashes.
_SORTING = 3
# Pairs collected before they are joined: a bound for memory.
_PAIRS = 1 << 21


def near_groups(hashes: NDArray[np.uint8], bits: int, progress: Progress = silent) -> list[NDArray[np.int64]]:
    """Return the groups of two or more images connected by hashes that differ in at most so many bits.

    Args:
        hashes: uint8 (N, B).
        bits: How many bits may differ.
        progress: Called with the number of sortings done.

    Returns:
        Positions in ascending order, groups in the order of their first image.

    Example:
        >>> [group.tolist() for group in near_groups(np.array([[1], [3], [255]], np.uint8), 1)]
        [[0, 1]]
    """
    first = _first_equal(hashes)
    if bits == 0:
        return _groups(first)
    distinct = np.flatnonzero(first == np.arange(len(first)))
    labels = np.arange(len(distinct))
    waiting: list[NDArray[np.int64]] = []
    for left, right, _ in near_pairs(hashes[distinct], bits, progress):
        waiting.append(np.stack([left, right]))
        if sum(pairs.shape[1] for pairs in waiting) > _PAIRS:
            labels, waiting = _joined(labels, waiting), []
    labels = _joined(labels, waiting)
    # Of each group the first image stands for all; distinct hashes are in the order of their first image.
    _, leader = np.unique(labels, return_index=True)
    to_first = np.empty(len(hashes), np.int64)
    to_first[distinct] = distinct[leader[labels]]
    return _groups(to_first[first])


def moved_groups(
    hashes: NDArray[np.uint8], moved: Iterable[NDArray[np.uint8]], bits: int, progress: Progress = silent
) -> list[NDArray[np.int64]]:
    """Return the groups of images connected by hashes, of which one may be that of a moved image.

    Args:
        hashes: uint8 (N, B).
        moved: The same for the images moved, once for each move; asked for one after another.
        bits: How many bits may differ.
        progress: Called with the number of sortings done.

    Returns:
        Positions in ascending order, groups in the order of their first image.

    Example:
        >>> hashes = np.array([[0], [15], [255]], np.uint8)
        >>> [group.tolist() for group in moved_groups(hashes, [np.array([[7], [255], [63]], np.uint8)], 0)]
        [[1, 2]]
    """
    n = len(hashes)
    labels = np.arange(n)
    for other in moved:
        groups = near_groups(np.concatenate([hashes, other]), bits, progress)
        labels = _joined(labels, [np.stack([np.full(len(group) - 1, group[0]), group[1:]]) % n for group in groups])
    _, leader = np.unique(labels, return_index=True)
    return _groups(leader[labels].astype(np.int64))


def near_matches(
    hashes: NDArray[np.uint8], known: NDArray[np.uint8], bits: int, progress: Progress = silent
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return which hashes differ from a known one in at most so many bits, and from which: the first of the nearest.

    Args:
        hashes: uint8 (N, B).
        known: uint8 (M, B).
        bits: How many bits may differ.
        progress: Called with the number of sortings done.

    Returns:
        Positions of the hashes (K,) in ascending order, of the known ones (K,), differing bits (K,).

    Example:
        >>> known = np.array([[0], [6]], np.uint8)
        >>> [array.tolist() for array in near_matches(np.array([[7], [255]], np.uint8), known, 1)]
        [[0], [1], [1]]
    """
    both = np.concatenate([known, hashes])
    first, edge = _first_equal(both), len(known)
    distinct = np.flatnonzero(first == np.arange(len(both)))
    # Distance and position in one number: the least is the nearest, and of these the first.
    best = np.full(len(both), np.iinfo(np.int64).max)
    best[distinct[distinct < edge]] = distinct[distinct < edge]
    for left, right, distance in near_pairs(both[distinct], bits, progress):
        low, high = distinct[np.minimum(left, right)], distinct[np.maximum(left, right)]
        across = (low < edge) & (high >= edge)
        np.minimum.at(best, high[across], (distance[across] << 40) | low[across])
    nearest = best[first[edge:]]
    positions = np.flatnonzero(nearest != np.iinfo(np.int64).max)
    return positions, nearest[positions] & ((1 << 40) - 1), nearest[positions] >> 40


def near_pairs(
    hashes: NDArray[np.uint8], bits: int, progress: Progress = silent
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Yield all pairs that differ in at most so many bits, as positions (P,), positions (P,), differing bits (P,).

    A pair may come more than once.

    Args:
        hashes: uint8 (N, B), each but once: many equal ones are many pairs.
        bits: How many bits may differ.
        progress: Called with the number of sortings done.
    """
    if len(hashes) < 2:
        return
    words = _words(hashes).T
    bands, taken = _plan(hashes, bits)
    chosen = list(combinations(range(len(bands)), taken))
    for done, which in enumerate(chosen):
        order, same = _sorted([bands[band] for band in which], len(hashes))
        # In this order neighbours are compared, not numbers from all over the memory.
        near_by = [word[order] for word in words]
        for at, offset in _runs(same):
            distance = np.zeros(len(at), np.int64)
            for word in near_by:
                distance += _ones(word[at] ^ word[at + offset]).astype(np.int64)
                at, distance = at[distance <= bits], distance[distance <= bits]
            if len(at):
                yield order[at], order[at + offset], distance
        progress("near hashes (sortings)", done + 1, len(chosen))


def _words(hashes: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(np.pad(hashes, ((0, 0), (0, -hashes.shape[1] % 8)))).view(np.uint64)


def _ones(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Count the bits that are set, in pairs, fours and eights (Warren, Hacker's Delight, 5-1)."""
    words = words - ((words >> np.uint64(1)) & np.uint64(0x5555555555555555))
    words = (words & np.uint64(0x3333333333333333)) + ((words >> np.uint64(2)) & np.uint64(0x3333333333333333))
    words = (words + (words >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (words * np.uint64(0x0101010101010101)) >> np.uint64(56)


def _plan(hashes: NDArray[np.uint8], bits: int) -> tuple[list[NDArray[np.uint64]], int]:
    """Return bands (N,) and how many of them a sorting takes; 0: every pair is compared."""
    n, length = len(hashes), hashes.shape[1] * 8
    balance = np.zeros(length)
    for start in range(0, n, _BLOCK):
        balance += np.unpackbits(hashes[start : start + _BLOCK], axis=1).sum(axis=0)
    telling = np.argsort(np.abs(balance / n - 0.5), kind="stable")
    best: tuple[list[NDArray[np.uint64]], int] = [], 0
    least = n * (n - 1) // 2
    for taken in _TAKEN:
        count = bits + taken
        if count > length or comb(count, taken) * n * _SORTING >= least:
            break
        width = min(_WIDEST, (63 - n.bit_length()) // taken)
        bands = _bands(hashes, [telling[band::count][:width] for band in range(count)])
        _, same = _sorted(bands[:taken], n)
        edges = np.flatnonzero(~same)
        runs = np.diff(edges, prepend=-1)
        cost = comb(count, taken) * (n * _SORTING + int((runs * (runs - 1) // 2).sum()))
        if cost < least:
            best, least = (bands, taken), cost
    return best


def _bands(hashes: NDArray[np.uint8], columns: list[NDArray[np.int64]]) -> list[NDArray[np.uint64]]:
    """Return for each list of bits the number (N,) that they make."""
    bands = [np.empty(len(hashes), np.uint64) for _ in columns]
    weights = np.zeros((hashes.shape[1] * 8, len(columns)))
    for band, chosen in enumerate(columns):
        weights[chosen, band] = 2.0 ** np.arange(len(chosen))
    for start in range(0, len(hashes), _BLOCK // 8):
        rows = slice(start, start + _BLOCK // 8)
        numbers = np.unpackbits(hashes[rows], axis=1).astype(np.float64) @ weights
        for band, values in enumerate(numbers.T):
            bands[band][rows] = values.astype(np.uint64)
    return bands


def _sorted(bands: list[NDArray[np.uint64]], n: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return positions (N,) sorted by the bands, and (N,) whether the next one agrees in all of them."""
    # Bands and position in one number: sorting numbers is several times faster than sorting positions by them.
    room = np.uint64(n.bit_length())
    key = np.zeros(n, np.uint64)
    width = np.uint64((63 - n.bit_length()) // max(1, len(bands)))
    for band in bands:
        key = (key << width) | band
    key = (key << room) | np.arange(n, dtype=np.uint64)
    key.sort()
    order = (key & ((np.uint64(1) << room) - np.uint64(1))).astype(np.int64)
    key >>= room
    return order, np.append(key[1:] == key[:-1], False)


def _runs(same: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Yield all pairs of a run as first positions and offset of the second."""
    at, offset = np.flatnonzero(same), 1
    while len(at):
        for start in range(0, len(at), _BLOCK):
            yield at[start : start + _BLOCK], offset
        at = at[same[at + offset]]
        offset += 1


def _joined(labels: NDArray[np.int64], pairs: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not pairs:
        return labels
    edges = labels[np.concatenate(pairs, axis=1)]
    graph = coo_array((np.ones(edges.shape[1], bool), (edges[0], edges[1])), shape=(len(labels), len(labels)))
    _, component = connected_components(graph, directed=False)
    joined: NDArray[np.int64] = component.astype(np.int64)[labels]
    return joined


def _first_equal(hashes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return for each hash the position (N,) of the first that is equal."""
    if not len(hashes):
        return np.empty(0, np.int64)
    words = _words(hashes)
    order = np.lexsort(words.T)  # stable: equal ones stay in their order
    fresh = np.append(True, (words[order[1:]] != words[order[:-1]]).any(axis=1))
    first = np.empty(len(hashes), np.int64)
    first[order] = order[np.flatnonzero(fresh)[np.cumsum(fresh) - 1]]
    return first


def _groups(first: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return groups of two or more, given for each image the first one of its group."""
    counts = np.bincount(first, minlength=len(first)) if len(first) else np.empty(0, np.int64)
    members = np.flatnonzero(counts[first] > 1)
    members = members[np.argsort(first[members], kind="stable")]
    groups: list[NDArray[np.int64]] = np.split(members, np.cumsum(counts[counts > 1])[:-1]) if len(members) else []
    return groups
