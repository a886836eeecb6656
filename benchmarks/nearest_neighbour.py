"""Our streamed exact nearest-neighbour search against faiss and scikit-learn on the same data.

    pip install faiss-cpu                                   # optional; left out where it is not installed
    python benchmarks/nearest_neighbour.py                  # 100,000 images of 28x28 against 10,000
    python benchmarks/nearest_neighbour.py --size 1000000   # needs 5 GB: the others want all rows in float32
    python benchmarks/nearest_neighbour.py --data random    # the worst case: nothing can be excluded

Rows are images as the search is made for: training digits, shifted and elastically deformed, asked for by test digits;
MNIST's where it is in the data root, else scikit-learn's at 28x28. All take turns in one run, each round in another
order, and all use ``OMP_NUM_THREADS`` threads. Times are of the clock, or with ``--cpu`` of the processor: on a machine
where other work runs, those still compare. Ours gets the rows as bytes, 2,000 at a time, as samples come; the others
get one float32 matrix, and what they copy it into is not timed. A matrix product of 2048 x 2048 x 2048 in float32 is
timed in between: the peak that the share refers to, which counts every pair as if it had been multiplied.
"""

from __future__ import annotations

import argparse
import random
from typing import TYPE_CHECKING

import numpy as np
import torch
from arguments import parse, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dcgan_analysis.neighbours import NearestNeighbours

BLOCK = 2000
PEAK = 2048
SIDE = 28


def digits(size: int, queries: int) -> tuple[str, NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a name, deformed training digits (size, 784), and as many test digits as asked for, where there are."""
    from dcgan_analysis_plugins.mnist_nn.elastic import ElasticSamples
    from dcgan_analysis_plugins.mnist_nn.source import take

    from dcgan_analysis import load_dataset
    from dcgan_analysis.data import Preprocessing
    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis.errors import DatasetError

    try:
        data = load_dataset("mnist", download=False)
    except DatasetError:
        data = load_dataset("digits")
    prepare = Preprocessing((1, SIDE, SIDE), fit="resize")

    def deformed(split: DatasetSplit, seed: int, n: int) -> NDArray[np.uint8]:
        images = prepare.to_bytes(prepare(split.images))
        source = ElasticSamples(DatasetSplit(images, split.labels, split.ids, classes=split.classes), seed)
        return take(source, range(n)).reshape(n, -1)

    rows, test = deformed(data.split("train"), 0, size), data.split("test")
    if len(test) < queries:
        return f"{data.name}, deformed", rows, deformed(test, 1, queries)
    asked = prepare.to_bytes(prepare(test.images[:queries])).reshape(queries, -1)
    return f"{data.name}, deformed", rows, asked


def random_bytes(size: int, queries: int) -> tuple[str, NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a name, rows (size, 784) and queries."""
    rng = np.random.default_rng(0)
    rows, asked = (rng.integers(0, 256, (n, SIDE * SIDE), dtype=np.uint8) for n in (size, queries))
    return "random bytes", rows, asked


DATA = {"digits": digits, "random": random_bytes}


def ours(
    queries: NDArray[np.uint8], rows: NDArray[np.uint8], device: str, *, pruning: bool | None = None
) -> NearestNeighbours:
    """Let the rows stream by."""
    from dcgan_analysis.neighbours import NearestNeighbours

    nearest = NearestNeighbours(torch.from_numpy(queries), device=torch.device(device), pruning=pruning)
    for start in range(0, len(rows), BLOCK):
        nearest.update(torch.from_numpy(rows[start : start + BLOCK]), start)
    return nearest


def product(left: torch.Tensor, right: torch.Tensor) -> None:
    """Multiply four times."""
    for _ in range(4):
        left @ right


def contenders(
    queries: NDArray[np.uint8], rows: NDArray[np.uint8], names: list[str], device: str
) -> dict[str, Callable[[], NDArray[np.int64]]]:
    """Return name -> call that returns the nearest row of each query."""
    searches: dict[str, Callable[[], NDArray[np.int64]]] = {
        "ours": lambda: ours(queries, rows, device).index.cpu().numpy()
    }
    if "full" in names:
        searches["full"] = lambda: ours(queries, rows, device, pruning=False).index.cpu().numpy()
    asked = queries.astype(np.float32)
    matrix = rows.astype(np.float32) if {"faiss", "sklearn"} & set(names) else None
    if "faiss" in names:
        try:
            import faiss
        except ImportError:
            print("faiss is not installed: pip install faiss-cpu")
        else:
            index = faiss.IndexFlatL2(rows.shape[1])
            index.add(matrix)
            searches["faiss"] = lambda: index.search(asked, 1)[1][:, 0]
    if "sklearn" in names:
        from sklearn.neighbors import KNeighborsClassifier

        machine = KNeighborsClassifier(n_neighbors=1, algorithm="brute").fit(matrix, np.arange(len(rows)) % 10)
        searches["sklearn"] = lambda: machine.kneighbors(asked, return_distance=False)[:, 0]
    return searches


def main() -> None:
    """Alternate all and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=list(DATA), default="digits")
    parser.add_argument("--size", type=int, default=100_000, help="rows")
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cpu", action="store_true", help="count processor time")
    others = ["full", "faiss", "sklearn"]
    parser.add_argument("--against", nargs="*", default=others[1:], choices=others, help="full: ours without bounds")
    options = parse(parser, {"size": 200, "queries": 20, "repeats": 1, "against": ["full", "sklearn"]})
    name, rows, queries = DATA[options.data](options.size, options.queries)
    calls = contenders(queries, rows, options.against, options.device)
    squares = torch.randn(2, *[PEAK // 32 if options.quick else PEAK] * 2, device=options.device)
    product(*squares)
    times: dict[str, list[float]] = {key: [] for key in (*calls, "peak")}
    answers = {}
    order = list(times)
    for _ in range(options.repeats):
        random.shuffle(order)
        for key in order:
            start = seconds(options.device, processor=options.cpu)
            if key == "peak":
                product(*squares)
            else:
                answers[key] = calls[key]()
            times[key].append(seconds(options.device, processor=options.cpu) - start)
    best = {key: min(spent) for key, spent in times.items()}
    flops = 2.0 * rows.size * len(queries)
    peak = 8.0 * len(squares[0]) ** 3 / best.pop("peak")
    print(
        f"{name}: {len(rows):,} x {rows.shape[1]} against {len(queries):,}, {torch.get_num_threads()} threads, "
        f"{'processor' if options.cpu else 'clock'} time, best of {options.repeats}; peak {peak / 1e9:.1f} GFLOPS"
    )
    for key, time_ in best.items():
        print(f"{key:8} {time_:8.2f} s, {flops / time_ / peak:5.2f} of the peak", end="")
        if key != "ours":
            same = (answers[key] == answers["ours"]).mean()
            print(f", {time_ / best['ours']:5.2f} times ours; equal answers: {same:.3%}", end="")
        print()
    work = ours(queries, rows, options.device).work
    pairs = rows.shape[0] * len(queries)
    print(
        f"ours: {work.multiplied / pairs:.2%} of all pairs multiplied, {work.bounded / pairs:.2%} bounded, "
        f"{work.measured / max(1, work.bounded):.3%} of those left over and measured"
    )


if __name__ == "__main__":
    main()
