"""Every hand-made speed-up against the plain way that it replaces, on the same data, in one run.

    OMP_NUM_THREADS=1 python benchmarks/speedups.py            # all of them, some two minutes
    OMP_NUM_THREADS=1 python benchmarks/speedups.py gram fold  # those whose names hold one of these words

Both ways alternate; printed is the least processor time of each, and their ratio. A speed-up worth less than a tenth
is taken out of the code. Those of float32 are measured in float32 also where the processor has units for bfloat16,
which compute in their place unless float32 is asked for.
"""

from __future__ import annotations

import argparse
import copy
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from arguments import parse, seconds
from sklearn.datasets import load_digits

from dcgan_analysis import load_dataset
from dcgan_analysis.core.device import has_bfloat16_units
from dcgan_analysis.linear import l2svm_path
from dcgan_analysis.linear.design import Design
from dcgan_analysis.linear.path import as_problems
from dcgan_analysis.linear.rows import ArrayRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Pair = tuple[str, Callable[[], object], Callable[[], object]]

CPU = torch.device("cpu")
OPTIONS = argparse.Namespace(quick=False)


def size(full: int) -> int:
    """Return a size, or under ``--quick`` a small share of it."""
    return max(8, full // 128) if OPTIONS.quick else full


@contextmanager
def replaced(module, **values) -> Iterator[None]:
    """Set attributes while the block lasts."""
    kept = {name: getattr(module, name) for name in values}
    with ExitStack() as stack:
        for name, value in values.items():
            stack.callback(setattr, module, name, kept[name])
            setattr(module, name, value)
        yield


def within(call: Callable[[], object], module, **values) -> Callable[[], object]:
    """Return a call that runs with attributes set."""

    def run() -> object:
        with replaced(module, **values):
            return call()

    return run


def leave(network, *_: object, **__: object):
    """Leave a network as it is."""
    return network


def features(rows: int, columns: int, seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """Return rows in bfloat16 like pooled LeakyReLU features (a large common mean, correlated), and ten classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, (rows,), generator=generator)
    scale = torch.arange(1, 301) ** -0.5
    centres = 0.35 * torch.randn(10, 300, generator=generator)
    latent = (torch.randn(rows, 300, generator=generator) + centres[labels]) * scale
    values = 0.5 * latent @ torch.randn(300, columns, generator=generator) + 0.8
    values += 0.6 * torch.randn(rows, columns, generator=generator)
    return torch.nn.functional.leaky_relu(values, 0.2).bfloat16(), labels.numpy()


def extraction() -> Iterator[Pair]:
    """Networks that are only read: the discriminator of ``dcgan32``, width 128, 64 images."""
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.features import extractor as module
    from dcgan_analysis.features.extractor import FeatureExtractor, FeatureSpec
    from dcgan_analysis.models.tables import dcgan32

    architecture = dcgan32(width=size(128))
    network = Checkpoint.random(architecture, seed=0).discriminator()
    images = torch.rand(size(64), 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1

    def extract(precision: str, **off) -> Callable[[], object]:
        made = FeatureExtractor(network, architecture, FeatureSpec(precision=precision), CPU)
        with replaced(module, **off):
            made(images[:2])  # the fast network is made with the first images
        return lambda: made(images)

    fast = "bfloat16" if has_bfloat16_units(CPU) else "float32"
    yield f"folded batch normalisation, features in {fast}", extract(fast, fold_batchnorm=leave), extract(fast)
    yield "Winograd convolutions, features in float32", extract("float32", with_winograd=leave), extract("float32")


def training() -> Iterator[Pair]:
    """A step of training ``dcgan32`` of width 128 in float32, minibatches of 32."""
    from dcgan_analysis.models.tables import dcgan32
    from dcgan_analysis.training import networks
    from dcgan_analysis.training.config import TrainingConfig
    from dcgan_analysis.training.networks import AdversarialPair

    config = TrainingConfig(architecture="dcgan32", precision="float32", batch_size=size(32))
    source = torch.Generator().manual_seed(0)
    architecture = dcgan32(width=size(128))
    z, images = (
        torch.rand(size(32), *shape, generator=source) * 2 - 1 for shape in ((architecture.z_size,), (3, 32, 32))
    )

    def step(**off) -> Callable[[], object]:
        with replaced(networks, **off):
            pair = AdversarialPair(architecture, config, CPU)

        def run() -> object:
            _, fake = pair.update_generator(z, None)
            return pair.update_discriminator(images, fake, None)

        return run

    yield "Winograd convolutions, a training step in float32", step(with_winograd=leave), step()


def products() -> Iterator[Pair]:
    """Passes over features in 16 bits, 2,000 x 28,672, for the 70 problems of ten classes and seven C."""
    from dcgan_analysis.linear import design as module

    values, _ = features(size(2000), size(28672))
    generator = torch.Generator().manual_seed(1)
    coef = torch.randn(70, values.shape[1] + 1, generator=generator)
    dual = torch.randn(70, len(values), generator=generator)
    fast, plain = Design(ArrayRows(values), 1.0, "cpu"), Design(ArrayRows(values), 1.0, "cpu")
    plain._exact = plain._fast = torch.float32

    def tiles() -> object:
        return plain.exact_scores(coef), plain.exact_adjoint(dual)

    yield "conversion to float32 in tiles instead of whole rows", within(tiles, module, _TILE_ROWS=1), tiles
    if not fast.rounds:
        print("products in bfloat16: this processor has no units for them")
        return
    for name, call in (
        ("accurate products in bfloat16, scores", lambda design: design.exact_scores(coef)),
        ("accurate products in bfloat16, adjoint", lambda design: design.exact_adjoint(dual)),
        ("rounded products in bfloat16, scores", lambda design: design.scores(coef)),
    ):
        yield name, lambda call=call: call(plain), lambda call=call: call(fast)


def gram() -> Iterator[Pair]:
    """The Gram matrix of 2,000 rows, its factor, and all of the solver through it against passes over the rows."""
    from dcgan_analysis.linear import gram as module

    values, labels = features(size(2000), size(28672))
    design, used = Design(ArrayRows(values), 1.0, "cpu"), torch.arange(len(values))
    matrix = module.gram(design, used)

    def make() -> object:
        return module.gram(design, used)

    yield "Gram matrix in bfloat16, 2,000 x 28,672", within(make, module, _in_bfloat16=lambda *_: None), make
    right = torch.randn(10, len(values), generator=torch.Generator().manual_seed(2))
    factor = module.ShiftedFactor(matrix, 2e-3)
    lower = torch.linalg.cholesky(2e-3 * matrix + torch.eye(len(matrix)))
    yield (
        "blocked solves with the Cholesky factor, 2,000 x 2,000, ten right sides",
        lambda: torch.cholesky_solve(right.T, lower).T,
        lambda: factor.solve(right),
    )
    problems = as_problems(design, labels, np.ones(len(values)), [1e-4, 2e-4, 5e-4], 10)

    def solve() -> object:
        return module.solve_gram(design, problems, tol=1e-4, max_iter=250, product=matrix)

    newton = within(solve, module, prefers_one_factor=lambda *_: False)
    yield "one factor of all rows instead of one a class and step, 2,000 rows, three C", newton, solve
    few, their = ArrayRows(values[: size(1000), : size(7168)].contiguous()), labels[: size(1000)]
    yield (
        "few labels through the Gram matrix, 1,000 x 7,168, one C",
        lambda: l2svm_path(few, their, [1e-3], solver="primal"),
        lambda: l2svm_path(few, their, [1e-3], solver="dual"),
    )


def solvers() -> Iterator[Pair]:
    """The solver by passes: its preconditioner, and Newton's method on narrow matrices."""
    from dcgan_analysis.linear import solve

    class Without(solve.Preconditioner):
        """Leaves gradients as they are."""

        def __init__(self, *_: object, **__: object) -> None:
            return

        def apply(self, gradient: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
            return gradient.clone()

    values, labels = features(size(4000), size(2048))
    wide = ArrayRows(values.float())

    def fit() -> object:
        return l2svm_path(wide, labels, [1e-4, 1e-3], solver="primal", tol=1e-4)

    yield "preconditioner, 4,000 x 2,048, two C", within(fit, solve, Preconditioner=Without), fit
    pixels, classes = load_digits(return_X_y=True)
    pixels = ((pixels - pixels.mean(0)) / (pixels.std(0) + 0.1)).astype(np.float32)

    def fit_narrow() -> object:
        return l2svm_path(pixels, classes, [1.0, 10.0, 100.0], solver="primal")

    passes = within(fit_narrow, solve, fits_newton=lambda *_: False)
    yield "Newton's method, 1,797 x 64 (digits), C = 1, 10, 100", passes, fit_narrow


def neighbours() -> Iterator[Pair]:
    """Nearest neighbours of 2,000 digits among 20,000, deformed, 28x28."""
    from dcgan_analysis_plugins.mnist_nn.elastic import ElasticSamples
    from dcgan_analysis_plugins.mnist_nn.source import take

    from dcgan_analysis.data import Preprocessing
    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis.neighbours import NearestNeighbours

    prepare, data = Preprocessing((1, 28, 28), fit="resize"), load_dataset("digits")

    def deformed(name: str, seed: int, n: int) -> torch.Tensor:
        split = data.split(name)
        images = prepare.to_bytes(prepare(split.images))
        source = ElasticSamples(DatasetSplit(images, split.labels, split.ids, classes=split.classes), seed)
        return torch.from_numpy(take(source, range(n)).reshape(n, -1))

    queries, rows = deformed("test", 1, size(2000)), deformed("train", 0, size(20000))

    def search(**settings) -> object:
        nearest = NearestNeighbours(queries, **settings)
        for start in range(0, len(rows), 2000):
            nearest.update(rows[start : start + 2000], start)
        return nearest

    yield "bounds before products", lambda: search(pruning=False), search
    if has_bfloat16_units(CPU):
        yield (
            "products of bytes in bfloat16, without bounds",
            lambda: search(pruning=False, product=torch.float32),
            lambda: search(pruning=False, product=torch.bfloat16),
        )


def generation() -> Iterator[Pair]:
    """A block of 500 samples of a conditional generator."""
    from dcgan_analysis_plugins.mnist_nn import folded

    from dcgan_analysis import load_checkpoint

    generator = torch.Generator().manual_seed(0)
    for name in ("mnist-conditional", "mnist-conditional-mlp"):
        checkpoint = load_checkpoint(name)
        network = checkpoint.generator().eval()
        z = torch.rand(size(500), checkpoint.architecture.z_size, generator=generator) * 2 - 1
        labels = torch.arange(len(z)) % checkpoint.architecture.classes
        plain = copy.deepcopy(network).to(memory_format=torch.channels_last)
        faster = folded.faster_copy(network)

        def draw(made, z=z, labels=labels) -> object:
            with torch.inference_mode():
                return made(z, labels)

        calls = [partial(draw, plain), partial(draw, faster)]
        yield f"folded generator, {name}", *calls
        if name == "mnist-conditional":
            with replaced(folded, _has_few_maps=lambda _: False):
                calls[0] = partial(draw, folded.faster_copy(network))
            yield "of it: the last layer, to one map, as a product", *calls


GROUPS = (extraction, training, products, gram, solvers, neighbours, generation)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only those whose names hold one of these; all by default")
    parser.add_argument("--repeats", type=int, default=5)
    options = parse(parser, {"repeats": 1}, gpu=False)
    vars(OPTIONS).update(vars(options))
    units = "with" if has_bfloat16_units(CPU) else "without"
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {units} units for bfloat16")
    for group in GROUPS:
        whole = not options.words or any(word in group.__name__ for word in options.words)
        for name, plain, fast in group():
            if not whole and not any(word in name for word in options.words):
                continue
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(options.repeats + 1):  # the first is warming up
                for kept, call in zip(times, (plain, fast), strict=True):
                    start = seconds(processor=True)
                    call()
                    kept.append(seconds(processor=True) - start)
            one, other = (1e3 * min(kept[1:]) for kept in times)
            print(f"{name:75} {one:8.1f} ms plain, {other:8.1f} ms, {one / other:5.2f} times as fast", flush=True)


if __name__ == "__main__":
    main()
