"""A step of the page's explorer: from a moved slider or a switched map to the pictures, without the browser.

    python benchmarks/explore.py                            # dcgan64 of width 128, as the paper's, random weights
    python benchmarks/explore.py --checkpoint bedrooms64

Steps along a walk, with no map and with a quarter of the second-highest layer's maps switched off, and the pictures of
that layer's maps. Milliseconds of the clock: median and worst. The mark is 200 a step for a 64x64 generator.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from arguments import parse, seconds
from dcgan_analysis_annotate.explorer import POINTS, Explorer
from dcgan_analysis_annotate.workspace import Workspace

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.models.tables import dcgan64
from dcgan_analysis.runs.library import load_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable


def measure(what: str, steps: int, step: Callable[[float], object]) -> None:
    """Time steps at places of the walk and print one line."""
    step(0.0)
    times = []
    for number in range(steps):
        start = seconds()
        step((POINTS - 1) * number / steps)
        times.append(1000 * (seconds() - start))
    print(f"{what:44} {statistics.median(times):6.0f} ms, worst {max(times):4.0f} ms")


def main() -> None:
    """Walk, walk with maps off, show maps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", help="random weights of dcgan64, width 128, where none is named")
    parser.add_argument("--steps", type=int, default=50)
    options = parse(parser, {"checkpoint": "digits-dcgan32", "steps": 1}, gpu=False)
    if options.checkpoint:
        checkpoint = load_checkpoint(options.checkpoint)
    else:
        checkpoint = Checkpoint.random(dcgan64(width=128), seed=0)
    with tempfile.TemporaryDirectory() as folder:
        explorer = Explorer(Workspace(checkpoint, Path(folder)))
        layer = explorer.layers[-1]

        def step(place: float) -> object:
            explorer.walk(place)
            return explorer.images()

        measure("a step of the walk", options.steps, step)
        maps = len(explorer.maps(layer))
        explorer.off = {layer: set(range(maps // 4))}
        measure(f"the same, {maps // 4} of {maps} maps of {layer} off", options.steps, step)
        explorer.off = {}
        measure(f"pictures of the {maps} maps of {layer}", options.steps, lambda place: explorer.maps(layer))


if __name__ == "__main__":
    main()
