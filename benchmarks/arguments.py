"""What the programs here have in common: where they compute, sizes to try them with, and a clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from dcgan_analysis.core.device import choose_device
from dcgan_analysis.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def parse(parser: argparse.ArgumentParser, quick: Mapping[str, object], *, gpu: bool = True) -> argparse.Namespace:
    """Add ``--quick`` and ``--device`` to a parser, and read the command line.

    Args:
        parser: With the program's own options.
        quick: Option -> its value under ``--quick``.
        gpu: Whether there is anything to compute on one: else there is no ``--device``.
    """
    parser.add_argument("--quick", action="store_true", help="sizes so small that the numbers mean nothing")
    if gpu:
        parser.add_argument("--device", default="cpu", help="cpu or cuda; nothing was tested on a GPU")
    options = parser.parse_args()
    try:
        choose_device(options.device if gpu else "cpu")
    except ConfigError as error:
        parser.error(str(error))
    if options.quick:
        vars(options).update(quick)
    return options


def seconds(device: str = "cpu", *, processor: bool = False) -> float:
    """Return the time, once the device has done what it was told to do: of the clock, or of the processor.

    On a GPU it is the clock's in either case: the processor only waits.
    """
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time() if processor else time.perf_counter()
