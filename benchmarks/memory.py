"""Peak memory of the parts of the main job on a store of full size, 50,000 x 28,672, measured from outside.

    python benchmarks/memory.py                     # needs 2.9 GB of disk; minutes
    python benchmarks/memory.py --rows 10000 refit  # a smaller store, one part

Each part runs in a process of its own, whose memory is read every twentieth of a second from /proc (Linux). The mapped
store counts as far as it is in memory, but the system takes its pages back when others need them; what the program
itself holds stands beside it. The solver stops after a few steps: it holds the same from the first to the last.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from l2svm import CLASSES, GRID, FileRows, features

STEPS, DRAWS, PER_CLASS = 3, 4, 400
_BLOCK = 1000


def grid(rows: FileRows, labels: np.ndarray) -> None:
    """Choose C: fits for the whole grid, a fifth of the rows held out."""
    from dcgan_analysis.linear import l2svm_path

    l2svm_path(rows, labels, GRID, sample_weight=np.arange(len(labels)) % 5 > 0, max_iter=STEPS)


def refit(rows: FileRows, labels: np.ndarray) -> None:
    """Fit all rows with one C, and predict them."""
    from dcgan_analysis.linear import L2SVM

    L2SVM(C=1e-4, max_iter=STEPS).fit(rows, labels).predict(rows)


def few(rows: FileRows, labels: np.ndarray) -> None:
    """Fit draws of 400 labels a class for the whole grid, as the choice of C does, judged on a fifth of the rows."""
    from dcgan_analysis.linear.selection import held_out_draws

    held = np.arange(len(labels)) % 5 == 0
    kept, rng = np.flatnonzero(~held), np.random.default_rng(0)
    size = min(PER_CLASS * CLASSES, len(kept) // 2)
    draws = [np.sort(rng.choice(kept, size, replace=False)) for _ in range(DRAWS)]
    held_out_draws(rows, labels, held, draws, GRID, products={})


PARTS = {"grid": grid, "refit": refit, "few": few}


def write(folder: Path, rows: int, columns: int) -> None:
    """Write a store of copies of a thousand rows: memory does not depend on the values."""
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(CLASSES, (_BLOCK,), generator=generator)
    block = features(_BLOCK, columns, codes, 1).view(torch.int16).numpy()
    with (folder / "train.bin").open("wb") as file:
        for start in range(0, rows, _BLOCK):
            file.write(block[: rows - start].tobytes())
    np.save(folder / "labels.npy", np.resize(codes.numpy(), rows))


def peaks(command: list[str]) -> tuple[float, float, float]:
    """Run a command; return seconds, and the peaks of all its memory and of what it holds itself, in GB."""
    started, whole, own = time.perf_counter(), 0, 0
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
            sizes = {name: int(size) for name, size in re.findall(r"(VmHWM|RssAnon):\s+(\d+) kB", status)}
            whole, own = max(whole, sizes.get("VmHWM", 0)), max(own, sizes.get("RssAnon", 0))
            time.sleep(0.05)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    return time.perf_counter() - started, whole * 1024 / 1e9, own * 1024 / 1e9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--columns", type=int, default=28_672)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part is named '{min(unknown)}'; there are {', '.join(PARTS)}")
    if options.folder:
        warnings.simplefilter("ignore")  # the solver says that it stopped short
        rows = FileRows(str(options.folder / "train.bin"), options.columns)
        PARTS[options.parts[0]](rows, np.load(options.folder / "labels.npy"))
        return
    print(f"{options.rows:,} x {options.columns:,} in bfloat16: {2e-9 * options.rows * options.columns:.2f} GB")
    with tempfile.TemporaryDirectory(prefix="memory-") as folder:
        write(Path(folder), options.rows, options.columns)
        for part in options.parts or PARTS:
            command = [sys.executable, __file__, part, "--folder", folder, "--columns", str(options.columns)]
            seconds, whole, own = peaks(command)
            print(f"{part:6} peak {whole:5.2f} GB, of its own {own:5.2f} GB, in {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
