"""Peak memory of each analysis at full size, measured from outside its process: 50,000 images, 28,672 features.

    python benchmarks/memory.py                            # every analysis; 13 GB of disk, an hour of two cores
    python benchmarks/memory.py svm-cifar --memory 2       # one of them, bounded
    python benchmarks/memory.py --images 2000              # a smaller try
    python benchmarks/memory.py --out runs/memory          # and as a document, which pages take their numbers from

Each runs in a process of its own, whose memory is read every twentieth of a second from /proc (Linux). A mapped feature
store counts as far as it is in memory; what the program holds itself stands beside it. Images are the embedded photos,
repeated with noise.

What takes long and holds the same from its first step to its last is cut short: the solver of the L2-SVM stops after a
few steps, networks and dictionaries encode some batches and repeat them, draws of few labels are solved as the first.
Settings that do so for one analysis stand in ``SETTINGS``.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from unittest.mock import patch

from arguments import parse

IMAGES, CLASSES, STEPS, BATCHES = 50_000, 10, 3, 8
GRAY = "gray"
# What an analysis is measured with where that is not its default.
SETTINGS: dict[str, dict[str, object]] = {
    "activation-maximization": {"steps": 2},
    "directions": {"judges": 1, "classifier_steps": 10},
    "fidelity": {"draws": 2, "judge_epochs": 1},
    "guidelines": {"width": 64, "epochs": 1, "seeds": 2, "batch_size": 64, "n_jobs": 1},
    "invert": {"steps": 3},
    "kmeans-features": {"centroids": 4800, "epochs": 1, "protocol": "paper"},
    "latent-arithmetic": {"judges": 1, "classifier_steps": 10},
    "memorisation": {"hash_steps": 10},
    "mnist-nn": {"samples": 4000},
    "label-curve": {"protocol": "paper"},
    "pixels": {"protocol": "paper"},
    "random-features": {"networks": 2, "protocol": "paper"},
    "supervised-cnn": {"trials": 1, "epochs": 1},
    "svm-best": {"grids": (6,), "layers": False, "ablation": False, "protocol": "paper"},
    "svm-cifar": {"ablation": False, "protocol": "paper"},
    "svm-svhn": {"draws": 10, "protocol": "paper"},
    "turn-vector": {"judges": 1, "classifier_steps": 10},
}
CHECKPOINTS = {"svm-svhn": "cifar10-dcgan32"}
"""Networks in the place of an analysis's own: here one with 28,672 features."""


def images(count: int, *, gray: bool):
    """Return a dataset of so many training images and 1,000 test images, as large as CIFAR-10's or MNIST's."""
    import numpy as np

    from dcgan_analysis import load_dataset
    from dcgan_analysis.data import Dataset, DatasetSplit

    photos = load_dataset("digits" if gray else "cifar10-mini")
    rng = np.random.default_rng(0)

    def split(name: str, n: int, _progress: object) -> DatasetSplit:
        known = photos.split(name)
        chosen = np.arange(n) % len(known)
        pixels = known.images[chosen]
        pixels = pixels[:, :1, 2:30, 2:30] if gray else pixels
        for part in np.array_split(pixels, max(1, n // 1000)):
            part += rng.integers(0, 8, part.shape, dtype=np.uint8)
        return DatasetSplit(pixels, known.labels[chosen], [f"{name}-{i}" for i in range(n)], classes=known.classes)

    loaders = {"train": partial(split, "train", count), "test": partial(split, "test", min(count, 1000))}
    return Dataset("photos", loaders, classes=photos.classes)


def shortened() -> ExitStack:  # noqa: C901 - a list of stand-ins
    """Cut short, while the context lasts, what holds the same from its first step to its last."""
    from dcgan_analysis_plugins.kmeans_features.patches import PatchDictionary

    from dcgan_analysis.features.extractor import FeatureExtractor
    from dcgan_analysis.linear import draws, path

    stream, reestimate, encode = FeatureExtractor.stream, FeatureExtractor.reestimate, PatchDictionary.encode
    solve, solve_draw, gram = path.solve, draws._solve_draw, draws.gram
    codes, products, solved = [], {}, {}

    def some_batches(extractor, items, read, *dtype):
        items, made = iter(items), []
        for features in stream(extractor, islice(items, BATCHES), read, *dtype):
            made.append(features)
            yield features
        for number, item in enumerate(items):
            yield made[number % BATCHES][: len(read(item))].clone()

    def some_statistics(extractor, batches, read=None, gather=None):
        return reestimate(extractor, list(islice(batches, BATCHES)), read, gather)

    def some_codes(dictionary, blocks):
        if len(codes) < BATCHES or codes[0].shape[1] != dictionary.features:
            codes.insert(0, encode(dictionary, blocks))
            return codes[0]
        return codes[0][: len(blocks)].clone()

    def first_gram(design, used):
        size = (design.shape, len(used))
        if size not in products:
            products[size] = gram(design, used)
        return products[size].clone()

    def as_the_first(design, problems, *rest):
        size = (design.shape, len(problems))
        if size not in solved:
            solved[size] = solve_draw(design, problems, *rest)
        coef, outcome = solved[size]
        return coef.clone(), outcome

    stack = ExitStack()
    for target, name, stand_in in (
        (FeatureExtractor, "stream", some_batches),
        (FeatureExtractor, "reestimate", some_statistics),
        (PatchDictionary, "encode", some_codes),
        (path, "solve", lambda *args, max_iter, **rest: solve(*args, max_iter=min(max_iter, STEPS), **rest)),
        (draws, "gram", first_gram),
        (draws, "_solve_draw", as_the_first),
    ):
        stack.enter_context(patch.object(target, name, stand_in))
    return stack


def run(name: str, options: argparse.Namespace) -> None:
    """Run an analysis in this process."""
    import dcgan_analysis as da

    warnings.simplefilter("ignore")  # the solver says that it stopped short
    with shortened():
        da.run(
            name,
            checkpoint=CHECKPOINTS.get(name),
            dataset=images(options.images, gray=name == "mnist-nn"),
            settings=SETTINGS.get(name, {}),
            out=options.folder / name,
            cache_dir=options.folder / "cache",
            force=True,
            device=options.device,
            memory=options.memory,
        )


def settings_text(name: str) -> str:
    """Return what an analysis is measured with beside its defaults."""
    return ", ".join(f"{key}={value}" for key, value in SETTINGS.get(name, {}).items())


def peaks(command: list[str]) -> tuple[float, float, float]:
    """Run a command; return seconds, and the peaks of all its memory and of what it holds itself, in GB.

    Raises:
        SystemExit: If it fails.
    """
    started, whole, own = time.perf_counter(), 0, 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
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
    parser.add_argument("names", nargs="*", metavar="ANALYSIS", help="all by default")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--folder", type=Path, help="keep stores here, for the next time")
    parser.add_argument("--memory", type=float, metavar="GB", help="the limit that each is run with; none by default")
    parser.add_argument("--out", type=Path, help="folder for a result.json")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parse(parser, {"images": 100})
    if options.inside:
        run(options.names[0], options)
        return
    from report import document, load

    from dcgan_analysis.api import Metric, Table
    from dcgan_analysis.host.host import default_host

    known = default_host().analyses.names()
    if unknown := set(options.names) - set(known):
        parser.error(f"no analysis is named '{min(unknown)}'; there are {', '.join(known)}")
    rows, before, started = [], load(), datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="memory-") as temporary:
        folder = options.folder or Path(temporary)
        for name in options.names or known:
            command = [sys.executable, __file__, name, "--inside", "--folder", str(folder)]
            command += ["--images", str(options.images), "--device", options.device]
            command += [] if options.memory is None else ["--memory", str(options.memory)]
            try:
                seconds, whole, own = peaks(command)
            except SystemExit as error:
                print(error, file=sys.stderr, flush=True)
                continue
            rows.append([name, settings_text(name), whole, own])
            print(f"{name:24} peak {whole:5.2f} GB, of its own {own:5.2f} GB, in {seconds:.0f} s", flush=True)
    columns = ["analysis", "settings", "peak, GB", "of its own, GB"]
    table = Table(name="memory", title="Peak memory", columns=columns, rows=rows)
    metrics = {
        row[0].replace("-", "_"): Metric(
            value=row[2], unit="number", higher_is_better=False, description=f"{row[0]}, GB"
        )
        for row in rows
    }
    if not rows:
        sys.exit("Nothing was measured.")
    result = document("Peak memory", table, metrics, options.device, before, started)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        result.save(options.out)


if __name__ == "__main__":
    main()
