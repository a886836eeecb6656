"""A million hashes of 128 bits, groups planted among them: seconds and memory of grouping.

    python benchmarks/near_duplicates.py                    # a million, bits 0 to 8
    python benchmarks/near_duplicates.py --skewed           # bits as unequal as a learned hash's

A tenth of the hashes are copies of others, with as many bits flipped as may differ, at most. Every planted pair must be
found in one group; the others are random and far apart. Memory is the largest resident size of the process less that
before the grouping began; each number of bits has a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time

import numpy as np
from arguments import parse


def planted(n: int, bits: int, *, skewed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return hashes (N, 16), positions of copies and of what they were copied from."""
    rng = np.random.default_rng(0)
    share = rng.uniform(0.1, 0.9, 128) if skewed else np.full(128, 0.5)
    hashes = np.empty((n, 16), np.uint8)
    for start in range(0, n, 100_000):
        rows = hashes[start : start + 100_000]
        rows[:] = np.packbits(rng.random((len(rows), 128), dtype=np.float32) < share, axis=1)
    order = rng.permutation(n)
    copies, originals = order[: n // 10], order[n // 10 : n // 10 * 2]
    mask = np.zeros((len(copies), 128), bool)
    flips = rng.integers(0, bits + 1, len(copies))
    mask[np.arange(128) < flips[:, None]] = True
    hashes[copies] = hashes[originals] ^ np.packbits(rng.permuted(mask, axis=1), axis=1)
    return hashes, copies, originals


def measure(n: int, bits: int, skewed: bool) -> None:
    """Group and print one row."""
    from scipy.sparse import csgraph  # noqa: F401 - imported before the clock starts

    from dcgan_analysis.data.curation.hash_groups import near_groups

    hashes, copies, originals = planted(n, bits, skewed=skewed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clock, processor = time.perf_counter(), time.process_time()
    groups = near_groups(hashes, bits)
    seconds, cpu = time.perf_counter() - clock, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    label = np.arange(n)
    for group in groups:
        label[group] = group[0]
    found = (label[copies] == label[originals]).mean()
    print(
        f"{bits:4} {seconds:8.1f} {cpu:10.1f} {peak / 1024:10,.0f} {(peak - before) / 1024:10,.0f} {len(groups):10,} "
        f"{found:9.2%}",
        flush=True,
    )


def main() -> None:
    """Measure each number of bits in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1_000_000, help="hashes")
    parser.add_argument("--bits", type=int, nargs="*", default=[0, 1, 2, 4, 6, 8])
    parser.add_argument("--skewed", action="store_true", help="each bit set with its own probability, 0.1 to 0.9")
    options = parse(parser, {"size": 2000, "bits": [1]}, gpu=False)
    print(f"{options.size:,} hashes\nbits  seconds  processor  peak (MB)  more (MB)     groups     found")
    context = multiprocessing.get_context("spawn")
    for bits in options.bits:
        process = context.Process(target=measure, args=(options.size, bits, options.skewed))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
