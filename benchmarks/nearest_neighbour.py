"""Our streamed exact nearest-neighbour search against faiss and scikit-learn on the same data.

    pip install faiss-cpu                                   # optional; left out where it is not installed
    python benchmarks/nearest_neighbour.py                  # 100,000 x 784 bytes against 10,000 queries
    python benchmarks/nearest_neighbour.py --size 1000000   # needs 4 GB: the others want all rows in float32

All take turns in one run, each round in another order, and all use ``OMP_NUM_THREADS`` threads. Times are of the clock,
or with ``--cpu`` of the processor: on a machine where other work runs, those still compare. Ours gets the rows as
bytes, 2,000 at a time, as samples come; the others get one float32 matrix, and what they copy it into is not timed. A
matrix product of 2048 x 2048 x 2048 in float32 is timed in between: the peak that the share refers to.
"""

from __future__ import annotations

import argparse
import random
import time

import numpy as np
import torch

BLOCK = 2000
PEAK = 2048


def ours(queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Let the rows stream by."""
    from dcgan_analysis.neighbours import NearestNeighbours

    nearest = NearestNeighbours(torch.from_numpy(queries))
    for start in range(0, len(rows), BLOCK):
        nearest.update(torch.from_numpy(rows[start : start + BLOCK]), start)
    return nearest.index.numpy()


def product(left: torch.Tensor, right: torch.Tensor) -> None:
    """Multiply four times."""
    for _ in range(4):
        left @ right


def contenders(queries: np.ndarray, rows: np.ndarray, names: list[str]) -> dict:
    """Return name -> call that returns the nearest row of each query."""
    found = {"ours": lambda: ours(queries, rows)}
    matrix, asked = rows.astype(np.float32), queries.astype(np.float32)
    if "faiss" in names:
        try:
            import faiss
        except ImportError:
            print("faiss is not installed: pip install faiss-cpu")
        else:
            index = faiss.IndexFlatL2(rows.shape[1])
            index.add(matrix)
            found["faiss"] = lambda: index.search(asked, 1)[1][:, 0]
    if "sklearn" in names:
        from sklearn.neighbors import KNeighborsClassifier

        machine = KNeighborsClassifier(n_neighbors=1, algorithm="brute").fit(matrix, np.arange(len(rows)) % 10)
        found["sklearn"] = lambda: machine.kneighbors(asked, return_distance=False)[:, 0]
    return found


def main() -> None:
    """Alternate all and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=100_000, help="rows")
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--columns", type=int, default=784)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cpu", action="store_true", help="count processor time")
    parser.add_argument("--against", nargs="*", default=["faiss", "sklearn"], choices=["faiss", "sklearn"])
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (options.size, options.columns), dtype=np.uint8)
    queries = rng.integers(0, 256, (options.queries, options.columns), dtype=np.uint8)
    calls = contenders(queries, rows, options.against)
    squares = torch.randn(2, PEAK, PEAK)
    calls["peak"] = lambda: product(*squares)
    product(*squares)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    answers = {}
    order, clock = list(calls), time.process_time if options.cpu else time.perf_counter
    for _ in range(options.repeats):
        random.shuffle(order)
        for name in order:
            start = clock()
            answers[name] = calls[name]()
            seconds[name].append(clock() - start)
    flops = {name: 2.0 * options.size * options.queries * options.columns for name in calls} | {"peak": 8.0 * PEAK**3}
    speed = {name: flops[name] / min(seconds[name]) for name in calls}
    print(
        f"{options.size:,} x {options.columns} against {options.queries:,}, {torch.get_num_threads()} threads, "
        f"{'processor' if options.cpu else 'clock'} time"
    )
    for name in calls:
        print(f"{name:8} {min(seconds[name]):8.2f} s (best of {options.repeats}), {speed[name] / 1e9:6.1f} GFLOPS")
    print(f"ours, share of the peak: {speed['ours'] / speed['peak']:.0%}")
    for name in options.against:
        if name in calls:
            same = (answers[name] == answers["ours"]).mean()
            print(f"{name} / ours, time: {speed['ours'] / speed[name]:.2f}; equal answers: {same:.3%}")


if __name__ == "__main__":
    main()
