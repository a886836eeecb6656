"""Our L2-SVM against scikit-learn's ``LinearSVC`` on the same data, and alone on a large store.

    python benchmarks/l2svm.py                      # 5,000 x 28,672, ten classes, against LinearSVC
    python benchmarks/l2svm.py --store 50000        # a bfloat16 file of 50,000 rows, ours alone
    python benchmarks/l2svm.py --passes             # passes over 16-bit rows converted in tiles of several shapes

Every fit runs in a process of its own, so that its peak memory can be read; both fits alternate in
one run. Data resemble pooled LeakyReLU features: a large common mean, correlated, ten classes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import timeit
from pathlib import Path

import numpy as np
import torch
from arguments import parse, seconds

CLASSES, LATENT = 10, 300
GRID = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2)


class FileRows:
    """A raw bfloat16 file (N, D), memory-mapped, as a row source."""

    dtype = torch.bfloat16
    chunk_rows = 512

    def __init__(self, path: str, columns: int) -> None:
        rows = Path(path).stat().st_size // (2 * columns)
        self.shape = (rows, columns)
        flat = torch.from_file(path, shared=True, size=rows * columns, dtype=torch.bfloat16)
        self._values = flat.view(rows, columns)

    def read(self, start: int, stop: int) -> torch.Tensor:
        """Return a view of some rows."""
        return self._values[start:stop]


def features(rows: int, columns: int, labels: torch.Tensor, seed: int) -> torch.Tensor:
    """Draw features (rows, columns) in bfloat16; the classes do not depend on the seed."""
    fixed = torch.Generator().manual_seed(0)
    scale = torch.arange(1, LATENT + 1) ** -0.5
    mixing = torch.randn(LATENT, columns, generator=fixed)
    centres = 0.35 * torch.randn(CLASSES, LATENT, generator=fixed) * scale
    own = torch.Generator().manual_seed(seed)
    latent = torch.randn(rows, LATENT, generator=own) * scale + centres[labels]
    values = 0.5 * latent @ mixing + 0.6 * torch.randn(rows, columns, generator=own) + 0.8
    return torch.nn.functional.leaky_relu(values, 0.2).bfloat16()


def fit(options: argparse.Namespace) -> dict[str, object]:
    """Fit one machine in this process; the result is what the parent prints."""
    folder = Path(options.folder)
    labels = np.load(folder / "labels.npy")
    source = FileRows(str(folder / "train.bin"), options.columns)
    start_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if options.fit == "path":
        from dcgan_analysis.linear import l2svm_path

        start = seconds(options.device)
        held_out = np.arange(len(labels)) % 5 == 0
        path = l2svm_path(source, labels, GRID, sample_weight=~held_out, tol=options.tol, device=options.device)
        result = {"passes": path.passes, "steps": path.iterations.max(1).tolist()}
        result["accuracy"] = (path.predict(held_out) == labels[held_out]).mean(1).tolist()
        elapsed = seconds(options.device) - start
    else:
        result, elapsed = fit_one(options, folder, source, labels)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {**result, "seconds": elapsed, "peak": peak / 2**20, "before": start_memory / 2**20}


def fit_one(options, folder: Path, source: FileRows, labels: np.ndarray):
    """Fit LinearSVC or ours for one C; leave coefficients for the comparison."""
    if options.fit == "theirs":
        from sklearn.svm import LinearSVC

        machine = LinearSVC(C=options.c, random_state=0)
    else:
        from dcgan_analysis.linear import L2SVM

        machine = L2SVM(C=options.c, tol=options.tol, device=options.device)
    stored = options.fit == "store"
    matrix = source if stored else source.read(0, source.shape[0]).float().numpy()
    start, busy = seconds(options.device), seconds(processor=True)
    machine.fit(matrix, labels)
    elapsed, busy = seconds(options.device) - start, seconds(processor=True) - busy
    coef = np.concatenate([machine.coef_, machine.intercept_[:, None]], axis=1)
    np.save(folder / f"{options.fit}.npy", coef.astype(np.float64))
    return {"steps": int(machine.n_iter_), "processor": busy}, elapsed


def child(options: argparse.Namespace, what: str) -> dict:
    """Run one fit in a process of its own."""
    command = [sys.executable, __file__, "--fit", what, "--folder", options.folder]
    command += [
        "--columns",
        str(options.columns),
        "--c",
        str(options.c),
        "--tol",
        str(options.tol),
        "--device",
        options.device,
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def write(options: argparse.Namespace, rows: int) -> None:
    """Write the training file block by block, and its labels."""
    folder = Path(options.folder)
    labels = torch.randint(CLASSES, (rows,), generator=torch.Generator().manual_seed(1))
    np.save(folder / "labels.npy", labels.numpy())
    with (folder / "train.bin").open("wb") as file:
        for number, part in enumerate(labels.split(1024)):
            block = features(len(part), options.columns, part, 100 + number)
            file.write(block.view(torch.int16).numpy().tobytes())


def objectives(matrix: np.ndarray, labels: np.ndarray, coef: np.ndarray, c: float) -> np.ndarray:
    """Return liblinear's objective per class, in float64."""
    scores = np.concatenate([part.astype(np.float64) @ coef[:, :-1].T for part in np.array_split(matrix, 64)])
    signs = np.where(labels[:, None] == np.arange(len(coef)), 1.0, -1.0)
    loss = (np.maximum(0, 1 - signs * (scores + coef[:, -1])) ** 2).sum(0)
    return 0.5 * (coef**2).sum(1) + c * loss


def compare(options: argparse.Namespace) -> None:
    """Alternate both fits and print ratios."""
    write(options, options.rows)
    folder = Path(options.folder)
    runs: dict[str, list[dict]] = {"theirs": [], "ours": []}
    for number in range(options.repeats):
        for what in runs:
            runs[what].append(child(options, what))
            last = runs[what][-1]
            print(
                f"run {number + 1} {what:6}: {last['seconds']:7.2f} s, of the processor {last['processor']:.2f} s, "
                f"peak {last['peak']:.2f} GB"
            )
    labels = np.load(folder / "labels.npy")
    matrix = FileRows(str(folder / "train.bin"), options.columns).read(0, options.rows)
    coef = {what: np.load(folder / f"{what}.npy") for what in runs}
    objective = {what: objectives(matrix.float().numpy(), labels, coef[what], options.c) for what in runs}
    excess = objective["ours"] / objective["theirs"] - 1
    test_labels = torch.randint(CLASSES, (options.test,), generator=torch.Generator().manual_seed(2))
    test = features(options.test, options.columns, test_labels, 7).double().numpy()
    chosen = {what: (test @ values[:, :-1].T + values[:, -1]).argmax(1) for what, values in coef.items()}
    wall, busy = ({what: min(run[kind] for run in runs[what]) for what in runs} for kind in ("seconds", "processor"))
    print(
        f"times, LinearSVC / ours (best of each): {wall['theirs'] / wall['ours']:.1f}, "
        f"of the processor {busy['theirs'] / busy['ours']:.1f}"
    )
    print(f"objective, ours / LinearSVC - 1: {excess.min():+.1e} to {excess.max():+.1e}")
    print(f"equal predictions: {(chosen['ours'] == chosen['theirs']).mean():.4%}")
    for what, predicted in chosen.items():
        print(f"accuracy, {what}: {(predicted == test_labels.numpy()).mean():.4f}")


def store(options: argparse.Namespace) -> None:
    """Fit one C, then the whole grid, from a file."""
    write(options, options.store)
    one = child(options, "store")
    print(
        f"{options.store} x {options.columns}, C = {options.c:g}: {one['seconds']:.1f} s, "
        f"{one['steps']} steps, peak memory {one['peak']:.2f} GB with the mapping"
    )
    grid = child(options, "path")
    print(
        f"grid of {len(GRID)} C, a fifth held out: {grid['seconds']:.1f} s, "
        f"{grid['passes']:.0f} passes ({grid['passes'] / len(GRID):.1f} per C), "
        f"steps {grid['steps']}, peak memory {grid['peak']:.2f} GB"
    )
    print("held-out accuracy:", " ".join(f"{value:.4f}" for value in grid["accuracy"]))


def passes(options: argparse.Namespace) -> None:
    """Time both products of a pass over rows stored in float16, for the 70 problems of ten classes and seven C."""
    from dcgan_analysis.linear import design
    from dcgan_analysis.linear.rows import ArrayRows

    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(options.rows, options.columns, generator=generator).half()
    problems = CLASSES * len(GRID)
    coef = torch.randn(problems, options.columns + 1, generator=generator)
    dual = torch.randn(problems, options.rows, generator=generator)
    both = design.Design(ArrayRows(matrix), 1.0, options.device)
    shortest = max(design._TILE_ELEMENTS // options.columns, 1)
    best: dict[int, float] = {}
    for _ in range(max(options.repeats, 3)):
        for rows in (shortest, 128, 256, 512, 1024):
            design._TILE_ROWS = rows
            start = seconds(options.device)
            both.scores(coef)
            both.adjoint(dual)
            best[rows] = min(best.get(rows, float("inf")), seconds(options.device) - start)
    work = 4e-9 * options.rows * options.columns * problems
    for rows, least in best.items():
        shape = f"{rows} x {min(design._TILE_ELEMENTS // rows, options.columns)}"
        print(f"tiles of {shape:>10}: {least:.2f} s, {work / least:.0f} GFLOP/s, {best[shortest] / least:.2f} times")
    square = torch.randn(2048, 2048, generator=generator)
    fastest = min(timeit.repeat(lambda: square @ square, number=1, repeat=9))
    print(f"product of two 2048 x 2048 matrices: {2e-9 * 2048**3 / fastest:.0f} GFLOP/s")


def main() -> None:
    """Parse the command line and run one of the modes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--columns", type=int, default=28672)
    parser.add_argument("--test", type=int, default=2000)
    parser.add_argument("--c", type=float, default=1e-4)
    parser.add_argument("--tol", type=float, default=1e-5)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--store", type=int, metavar="N", help="rows of a file; ours alone")
    parser.add_argument("--passes", action="store_true", help="tiles of several shapes, on --rows rows")
    parser.add_argument("--fit", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parse(parser, {"rows": 60, "columns": 40, "test": 20})
    if options.fit:
        print(json.dumps(fit(options)))
        return
    if options.passes:
        passes(options)
        return
    with tempfile.TemporaryDirectory(prefix="l2svm-") as folder:
        options.folder = folder
        store(options) if options.store else compare(options)


if __name__ == "__main__":
    main()
