"""How the cost of the L2-SVM grows with rows, features and problems: processor seconds, and the exponent between sizes.

    OMP_NUM_THREADS=1 python benchmarks/scaling.py          # a minute
    OMP_NUM_THREADS=1 python benchmarks/scaling.py rows     # gram, rows, columns, problems or million

Features are those of ``l2svm.py``. ``gram`` are whole fits of ten classes through the Gram matrix. The others are one
pass over the rows, both products, of which every step of the solver for more rows is made; ``million`` is a pass over a
simulated store of a million rows, a block that is read again and again.
"""

from __future__ import annotations

import argparse
import math
from functools import partial
from typing import TYPE_CHECKING

import torch
from arguments import parse, seconds
from l2svm import features

from dcgan_analysis.linear import l2svm_path
from dcgan_analysis.linear.design import Design
from dcgan_analysis.linear.rows import ArrayRows

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = 1 << 14
REPEATS = 3


class RepeatedRows:
    """A block of rows that stands for many: row i is row i modulo its length."""

    dtype = torch.bfloat16

    def __init__(self, block: torch.Tensor, rows: int) -> None:
        self._block = block
        self.shape, self.chunk_rows = (rows, block.shape[1]), len(block)

    def read(self, start: int, stop: int) -> torch.Tensor:
        """Return rows of one block."""
        first = start % len(self._block)
        return self._block[first : first + stop - start]


def fit(rows: int, columns: int, device: str) -> float:
    """Return the least processor time of a fit of ten classes with one C."""
    codes = torch.arange(rows) % 10
    values = ArrayRows(features(rows, columns, codes, 1))
    return least(lambda: l2svm_path(values, codes.numpy(), [1e-4], device=device), device)


def one_pass(rows: int, columns: int, problems: int, device: str) -> float:
    """Return the least processor time of the scores and the adjoint of so many problems."""
    block = features(min(rows, BLOCK), columns, torch.arange(min(rows, BLOCK)) % 10, 1)
    design = Design(RepeatedRows(block, rows), 1.0, device)
    coef = torch.ones(problems, columns + 1, device=device)
    dual = torch.ones(problems, rows, device=device)
    return least(lambda: (design.scores(coef), design.adjoint(dual)), device)


def least(call: Callable[[], object], device: str) -> float:
    """Return the least processor time of a few calls."""
    times = []
    for _ in range(REPEATS):
        started = seconds(device, processor=True)
        call()
        times.append(seconds(device, processor=True) - started)
    return min(times)


SERIES = {
    "gram": [(f"{n:,} x 8,192, ten classes", n, partial(fit, n, 8192)) for n in (1000, 2000, 4000)],
    "rows": [(f"{n:,} x 2,048, 70 problems", n, partial(one_pass, n, 2048, 70)) for n in (2000, 8000, 32_000)],
    "columns": [(f"8,000 x {d:,}, 70 problems", d, partial(one_pass, 8000, d, 70)) for d in (1024, 4096, 16_384)],
    "problems": [(f"8,000 x 2,048, {m:,} problems", m, partial(one_pass, 8000, 2048, m)) for m in (10, 100, 1000)],
    "million": [("1,000,000 x 1,024, ten problems", 10**6, partial(one_pass, 10**6, 1024, 10))],
}
QUICK = {
    "gram": [("40 x 60", 40, partial(fit, 40, 60))],
    "rows": [(f"{n} x 8", n, partial(one_pass, n, 8, 2)) for n in (20, 40)],
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(SERIES)}; all by default")
    options = parse(parser, {})
    series = QUICK if options.quick else SERIES
    if unknown := set(options.names) - set(series):
        parser.error(f"'{min(unknown)}' is none of {', '.join(series)}")
    for name in options.names or series:
        before: tuple[float, float] | None = None
        for what, size, measure in series[name]:
            spent = measure(options.device)
            exponent = f", exponent {math.log(spent / before[1], size / before[0]):.2f}" if before else ""
            print(f"{name}: {what}: {spent:.2f} s{exponent}", flush=True)
            before = (size, spent)


if __name__ == "__main__":
    main()
