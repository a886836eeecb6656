"""Whose features are compared: a classifier trained on the dataset, a discriminator, random weights, or Inception."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from dcgan_analysis.core.randomness import seeded
from dcgan_analysis.data.preprocessing import Preprocessing
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.models.hooks import capture
from dcgan_analysis.models.replicas import run_batches
from dcgan_analysis.training.classifier import outputs, strided_network, train_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dcgan_analysis.api import RunContext
    from dcgan_analysis.data.dataset import DatasetSplit

__all__ = ["INCEPTION_FILE", "FeatureJudge", "classifier", "discriminator", "inception", "random_network"]

INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
"""The weights of FID's Inception, as torch-fidelity publishes them and torch's hub cache calls them."""

_FEATURES = 128  # fewer than the images that a covariance is estimated from
_BATCH, _JUDGED = 64, 256
_LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class FeatureJudge:
    """Maps images to rows of features.

    Attributes:
        name: Who judges, for tables and reports.
        features: Maps images uint8 (N, C, H, W) to rows (N, D) in float32.
    """

    name: str
    features: Callable[[np.ndarray], Tensor]


def _maps(image_shape: tuple[int, int, int]) -> list[int]:
    """Maps of convolutions of stride 2 down to 4x4 or less, the last with as many as there are features."""
    layers = max(2, int(np.ceil(np.log2(max(1, min(image_shape[1:]) / 4)))))
    return [_FEATURES // 2 ** (layers - 1 - layer) for layer in range(layers)]


def _scaled(images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images)).float().div_(127.5).sub_(1)


def _by_batches(
    judged: Callable[[nn.Module, np.ndarray], Tensor], network: nn.Module, size: int
) -> Callable[[np.ndarray], Tensor]:
    """Return what maps any number of images to features by a function of so many at a time."""
    return lambda images: torch.cat(
        list(run_batches(judged, network, (images[start : start + size] for start in range(0, len(images), size))))
    )


def _pooled(network: nn.Sequential, prepare: Callable[[np.ndarray], Tensor]) -> Callable[[np.ndarray], Tensor]:
    """Return the mean of each of the last maps; the last two modules flatten and classify."""
    trunk = nn.Sequential(*network[:-2], nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return lambda images: outputs(trunk, images, prepare, batch=_JUDGED)


def random_network(context: RunContext, image_shape: tuple[int, int, int]) -> FeatureJudge:
    """Convolutions of random weights: a weak judge that has seen nothing."""
    with seeded("fidelity judge", context.seed):
        network = strided_network(image_shape, _maps(image_shape), 1, kernel=3, batchnorm=True)
    return FeatureJudge("a network of random weights", _pooled(network, _scaled))


def classifier(
    context: RunContext, train: DatasetSplit, epochs: int
) -> tuple[FeatureJudge, Callable[[np.ndarray], Tensor]]:
    """Train a small convolutional network to tell the classes apart; its last maps, averaged, are the features.

    Convolutions of stride 2 down to 4x4, batch normalisation, ReLU; cross entropy, Adam with a step size of at most
    1e-3 (one cycle), minibatches of 64, mirrored at random where images are in colour.

    Args:
        context: The run: seed and progress.
        train: Labelled images, none of which is compared later.
        epochs: Passes over them.

    Returns:
        The judge, and what maps images to the classes (N,) that it takes them for.
    """
    images, labels, shape = train.images, torch.from_numpy(np.asarray(train.labels)).long(), train.image_shape
    with seeded("fidelity judge", context.seed):
        network = strided_network(shape, _maps(shape), len(train.classes), kernel=3, batchnorm=True)
    rng = context.rng("judge", "order")
    whole = max(1, len(images) // _BATCH)
    optimizer = torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=epochs * whole)
    steps = count(1)

    def minibatches() -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(epochs):
            order = rng.permutation(len(images))
            for start in range(whole):
                # Not sorted: what a memory map reads slower is little beside the training.
                chosen = order[start * _BATCH : (start + 1) * _BATCH]
                inputs = _scaled(images[chosen])
                if shape[0] == 3:
                    mirrored = torch.from_numpy(rng.random(len(chosen)) < 0.5)
                    inputs = torch.where(mirrored[:, None, None, None], inputs.flip(3), inputs)
                yield inputs, labels[chosen]

    def after() -> None:
        schedule.step()
        context.progress("judge (steps)", next(steps), epochs * whole)

    train_network(network, optimizer, minibatches(), nn.functional.cross_entropy, after=after)
    name = f"a classifier of the {len(train.classes)} classes, trained on {len(train):,} images"
    judge = FeatureJudge(name, _pooled(network, _scaled))
    return judge, lambda asked: outputs(network, asked, _scaled, batch=_JUDGED).argmax(1)


def discriminator(context: RunContext, name: str | None = None) -> FeatureJudge:
    """Return the discriminator of the run's checkpoint, or of another: its last tap, averaged over positions.

    Raises:
        CheckpointError: If there is none.
        AnalysisError: If it is conditional, or judges images of another shape.
    """
    checkpoint = context.checkpoint if name is None else context.load_checkpoint(name)
    architecture = checkpoint.architecture
    whose = "the checkpoint" if name is None else f"'{checkpoint.name}'"
    if architecture.takes_labels("discriminator"):
        msg = (
            f"judge: the discriminator of {whose} is conditional, and features must not depend on a class. Choose "
            "classifier, random or inception."
        )
        raise AnalysisError(msg)
    if architecture.image_shape != context.checkpoint.architecture.image_shape:
        msg = (
            f"judge: the discriminator of {whose} judges images of shape {architecture.image_shape}, samples have "
            f"{context.checkpoint.architecture.image_shape}. Choose one that fits."
        )
        raise AnalysisError(msg)
    network = checkpoint.discriminator().eval().requires_grad_(False).to(context.device)
    tap = architecture.taps[-1]
    prepare = Preprocessing.for_range(architecture.image_shape, architecture.image_range)

    @torch.inference_mode()
    def judged(own: nn.Module, part: np.ndarray) -> Tensor:
        with capture(own, (tap,)) as captured:
            own(prepare(part).to(context.device))
        maps = captured[tap].float()
        return (maps.mean((2, 3)) if maps.dim() == 4 else maps.flatten(1)).cpu()

    return FeatureJudge(f"the discriminator of {whose} ({tap})", _by_batches(judged, network, _JUDGED))


def inception(context: RunContext) -> FeatureJudge:
    """Return FID's own Inception (2,048 features) where its weights lie in torch's hub cache; nothing is downloaded.

    Raises:
        DcganAnalysisError: If torch-fidelity is not installed, or the weights are absent.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError:
        msg = "judge=inception: the package torch-fidelity is not installed: pip install 'dcgan-analysis[fidelity]'"
        raise AnalysisError(msg) from None
    path = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    if not path.is_file():
        msg = (
            f"judge=inception: the weights are not in torch's hub cache: '{path}' is absent. Put the file there (it is "
            "on the releases page of torch-fidelity), or choose judge=classifier."
        )
        raise AnalysisError(msg)
    network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path))
    network = network.eval().to(context.device)

    @torch.inference_mode()
    def judged(own: nn.Module, part: np.ndarray) -> Tensor:
        colour = np.repeat(part, 3, axis=1) if part.shape[1] == 1 else np.ascontiguousarray(part)
        rows: Tensor = own(torch.from_numpy(colour).to(context.device))[0]
        return rows.float().cpu()

    return FeatureJudge("Inception", _by_batches(judged, network, _BATCH))
