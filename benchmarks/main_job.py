"""The whole main job at the paper's full size: svm-cifar on all images of a dataset, stage by stage.

    python benchmarks/main_job.py --data-root DATA                    # full-size dcgan32, random weights, CIFAR-10
    python benchmarks/main_job.py --checkpoint cifar10-dcgan32        # a real checkpoint
    python benchmarks/main_job.py --limit 5000                        # a smaller try

A random network costs what a trained one costs, but for the number of solver steps. The job is run twice: the second
time the feature stores are warm. Printed: seconds of each stage, the whole, and the peak memory of the process.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

from arguments import parse, seconds

import dcgan_analysis as da
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.core.text import duration
from dcgan_analysis.models.tables import dcgan32


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", help="name or path; a random full-size dcgan32 by default")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--width", type=int, default=128, help="of the random network")
    options = parse(parser, {"dataset": "digits", "limit": 60, "width": 4})

    checkpoint = options.checkpoint or Checkpoint.random(
        dcgan32(width=options.width), seed=1, name=f"dcgan32, width {options.width}, random"
    )
    with tempfile.TemporaryDirectory() as folder:
        for turn in ("cold", "warm"):
            started = seconds()
            result = da.run(
                "svm-cifar",
                checkpoint=checkpoint,
                dataset=options.dataset,
                data_root=options.data_root,
                limit=options.limit,
                device=options.device,
                out=Path(folder) / turn,
                cache_dir=Path(folder) / "cache",
            )
            print(f"{turn}: {duration(seconds() - started)}")
            for stage in result.stages:
                print(f"  {stage.seconds:8.1f} s  {stage.name}  {stage.note}")
            for name, metric in result.metrics.items():
                print(f"  {name} {metric.value:.4f} [{metric.low:.4f}, {metric.high:.4f}]")
            # On Linux ru_maxrss is in KiB; mapped feature stores count as far as they are in memory.
            print(f"  peak memory so far {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
