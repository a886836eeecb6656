"""What samples of known class are worth: what can be learned from them, and how much of each class they reach."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from dcgan_analysis.api.metrics import accuracy_metric
from dcgan_analysis.core.distributed import divided
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.core.randomness import seeded
from dcgan_analysis.core.text import count as grouped
from dcgan_analysis.neighbours import coverage
from dcgan_analysis.training.classifier import outputs, strided_network, train_network
from dcgan_analysis_plugins.mnist_nn.source import take

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.api.result import Metric
    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis_plugins.mnist_nn.source import SampleSource

_BATCH, _JUDGED = 100, 500
_LEARNING_RATE = 1e-3
_MAPS = (32, 64)
_NEIGHBOUR = 5


def cas_metrics(
    context: RunContext, source: SampleSource, real: SampleSource, test: DatasetSplit, samples: int
) -> dict[str, Metric]:
    """Train one network on samples and one on as many real images; test both on the same real images.

    The first is the classification accuracy score of Ravuri and Vinyals, "Classification Accuracy Score for
    Conditional Generative Models", NeurIPS 2019, arXiv 1905.10887, with a network small enough for a laptop; the second
    is its control. Of several processes two train one each.

    Args:
        context: The run: seed and progress.
        source: Where samples come from.
        real: A finite source of real images.
        test: Test images with labels.
        samples: How many to train on, at most as many as there are real images; 0: nothing is measured.

    Returns:
        ``cas_accuracy`` and ``real_cas_accuracy``.
    """
    n = min(samples, real.size or samples)
    if not n:
        return {}
    first = np.arange(n)

    def correct(images: SampleSource, label: str) -> int:
        predicted = train_classifier(
            take(images, first),
            images.labels(first),
            test.images,
            classes=len(test.classes),
            seed=context.seed,
            progress=context.progress,
            what=f"training on {label}",
        )
        return int((predicted == test.labels).sum())

    trained = {"cas_accuracy": (source, "samples"), "real_cas_accuracy": (real, "real images")}
    hits_of_all = divided([partial(correct, *arguments) for arguments in trained.values()])
    return {
        name: accuracy_metric(hits, len(test), f"small network trained on {grouped(n)} {label}")
        for (name, (_, label)), hits in zip(trained.items(), hits_of_all, strict=True)
    }


def train_classifier(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    test: NDArray[np.uint8],
    *,
    classes: int,
    passes: int = 3,
    seed: int = 0,
    progress: Progress = silent,
    what: str = "classifier",
) -> NDArray[np.int64]:
    """Train on one set of images and return what it takes the images of another for.

    Two 5x5 convolutions of stride 2 with 32 and 64 maps and ReLU, then one linear layer; cross entropy, Adam with
    learning rate 1e-3, minibatches of 100. The same images and seed give the same network.

    Args:
        images: uint8 (N, C, H, W), H and W at least 4.
        labels: (N,) class numbers 0 to K - 1.
        test: uint8 (M, C, H, W).
        classes: K.
        passes: Passes over the images.
        seed: Of initial weights and order.
        progress: Told of steps done.
        what: What to call the training there.

    Returns:
        (M,) class numbers.
    """
    _, channels, height, width = images.shape
    with seeded(seed):
        network = strided_network((channels, height, width), _MAPS, classes, kernel=5)
    rng = np.random.default_rng(seed)
    steps = count(1)

    def minibatches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for _ in range(passes):
            order = rng.permutation(len(images))
            for first in range(0, len(order), _BATCH):
                chosen = order[first : first + _BATCH]
                yield _scaled(images[chosen]), torch.from_numpy(labels[chosen])

    train_network(
        network,
        torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE, fused=True),
        minibatches(),
        nn.functional.cross_entropy,
        after=lambda: progress(f"{what} (steps)", next(steps), passes * -(-len(images) // _BATCH)),
    )
    return outputs(network, test, _scaled, batch=_JUDGED).argmax(1).numpy()


def _scaled(images: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images)).float().div_(127.5).sub_(1)


@dataclass(frozen=True)
class ClassCoverage:
    """Coverage class by class.

    Attributes:
        images: Real images of each class, and as many samples.
        samples: (K,) how many of the real images have a sample in their neighbourhood.
        control: (K,) how many have one of as many other real images there.
    """

    images: int
    samples: NDArray[np.int64]
    control: NDArray[np.int64]


def class_coverage(
    source: SampleSource, real: SampleSource, classes: int, images: int, *, k: int = _NEIGHBOUR
) -> ClassCoverage | None:
    """Measure coverage in the space of pixels, each class for itself.

    The first samples of each class are compared with real images, and with the real images that come before those as
    control. So for a source that is ``real`` itself both are the same. Several processes share the classes out.

    Args:
        source: Where samples come from.
        real: A finite source of real images.
        classes: K.
        images: Real images of all classes, at most; of each class as many are taken, and at most half of those that
            the smallest class has.
        k: The neighbourhood of a real image reaches to its k-th nearest other real one.

    Returns:
        What was found; None: there are too few images for neighbourhoods.
    """
    labels = real.labels(np.arange(real.size or 0))
    per_class = min(images // classes, int(np.bincount(labels, minlength=classes).min()) // 2)
    if per_class <= k:
        return None

    def covered(number: int) -> tuple[int, int]:
        members = np.flatnonzero(labels == number)[: 2 * per_class]
        control, reference = _rows(real, members[:per_class]), _rows(real, members[per_class:])
        samples = _rows(source, _first(source, number, per_class, classes))
        return int(coverage(reference, samples, k).sum()), int(coverage(reference, control, k).sum())

    covered_by_class = np.array(divided([partial(covered, number) for number in range(classes)]), dtype=np.int64)
    return ClassCoverage(per_class, covered_by_class[:, 0], covered_by_class[:, 1])


def _first(source: SampleSource, number: int, count: int, classes: int) -> NDArray[np.int64]:
    """Return the indices of the first samples of a class; sources without end take the classes in turn."""
    last = count * classes if source.size is None else source.size
    return np.flatnonzero(source.labels(np.arange(last)) == number)[:count]


def _rows(source: SampleSource, indices: NDArray[np.int64]) -> torch.Tensor:
    return torch.from_numpy(take(source, indices)).flatten(1)


def coverage_metrics(covered: ClassCoverage) -> dict[str, Metric]:
    """Return ``coverage`` by samples and, as control, ``real_coverage`` by other real images, over all classes."""
    n = covered.images * len(covered.samples)
    return {
        name: accuracy_metric(
            int(hits.sum()), n, f"real images with one of as many {description} in their neighbourhood"
        )
        for name, description, hits in (
            ("coverage", "samples", covered.samples),
            ("real_coverage", "other real images", covered.control),
        )
    }
