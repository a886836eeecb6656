"""What samples of known class are worth: what can be learned from them, and how much of each class they reach."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dcgan_analysis.api.metrics import accuracy_metric
from dcgan_analysis.core.text import count

if TYPE_CHECKING:
    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.api.result import Metric
    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis_plugins.mnist_nn.modes import ClassCoverage
    from dcgan_analysis_plugins.mnist_nn.source import SampleSource

__all__ = ["cas_metrics", "coverage_metrics"]


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
    import numpy as np

    from dcgan_analysis.core.distributed import divided
    from dcgan_analysis_plugins.mnist_nn.classifier import train_classifier
    from dcgan_analysis_plugins.mnist_nn.source import take

    n = min(samples, real.size or samples)
    if not n:
        return {}
    first = np.arange(n)

    def right(images: SampleSource, what: str) -> int:
        predicted = train_classifier(
            take(images, first),
            images.labels(first),
            test.images,
            classes=len(test.classes),
            seed=context.seed,
            progress=context.progress,
            what=f"training on {what}",
        )
        return int((predicted == test.labels).sum())

    trained = {"cas_accuracy": (source, "samples"), "real_cas_accuracy": (real, "real images")}
    found = divided([partial(right, *given) for given in trained.values()])
    return {
        name: accuracy_metric(hits, len(test), f"small network trained on {count(n)} {what}")
        for (name, (_, what)), hits in zip(trained.items(), found, strict=True)
    }


def coverage_metrics(covered: ClassCoverage) -> dict[str, Metric]:
    """Return ``coverage`` by samples and, as control, ``real_coverage`` by other real images, over all classes."""
    n = covered.images * len(covered.samples)
    return {
        name: accuracy_metric(int(hits.sum()), n, f"real images with one of as many {what} in their neighbourhood")
        for name, what, hits in (
            ("coverage", "samples", covered.samples),
            ("real_coverage", "other real images", covered.control),
        )
    }
