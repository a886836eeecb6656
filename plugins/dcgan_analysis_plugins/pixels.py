"""pixels: how well does a linear classifier do on pixels, without any network?

1. Raw: every pixel of every channel, scaled to [-1, 1]: 3,072 numbers for a 32x32 colour image.
2. Whitened: ZCA, ``(x - mean) V (L + epsilon)^-1/2 V.T`` with V and L from the covariance ``V L V.T`` of the training
   images; no test image and no label takes part in it.
3. Both are probed like the features in svm-cifar: C on held-out training images, refit on all, the test set once; and
   with few labels per class. The best C may be far from that of network features, so the grid is wide.

Consumes a labelled dataset with a training and a test split; no checkpoint.
Produces ``accuracy`` (raw), ``whitened_accuracy``, ``few_label_accuracy``, ``whitened_few_label_accuracy``,
predictions.npz and draws.npz.

Reference: ZCA of whole images: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field, PositiveFloat

from dcgan_analysis import hookimpl
from dcgan_analysis.api import Demo, Metric, Needs
from dcgan_analysis.probing import ProbeSettings, images_and_draws, run_study, save_class_figures

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from torch import Tensor

    from dcgan_analysis.api import Analysis, Result, RunContext

RAW, WHITENED = "raw pixels", "whitened pixels"
# Rows per product: bounds the memory beside the pixels themselves.
_BLOCK = 2048


class PixelsConfig(ProbeSettings):
    """Settings; the probe's are those of svm-cifar, on a wider grid."""

    C: tuple[PositiveFloat, ...] = Field(
        default=(1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1), min_length=1, description="grid of C"
    )
    whitening: bool = Field(default=True, description="whether ZCA-whitened pixels are tried beside the raw ones")
    epsilon: PositiveFloat = Field(default=0.1, description="added to the eigenvalues; pixels lie in [-1, 1]")


@dataclass(frozen=True)
class Whitening:
    """A linear map that decorrelates.

    Attributes:
        mean: (D,) of the training images.
        matrix: (D, D), symmetric.
    """

    mean: Tensor
    matrix: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Map features (N, D)."""
        import torch

        return torch.cat([(block - self.mean) @ self.matrix for block in torch.split(features, _BLOCK)])


def pixel_features(images: np.ndarray) -> Tensor:
    """Return uint8 images (N, C, H, W) as float32 rows (N, C x H x W) in [-1, 1]."""
    import numpy as np
    import torch

    rows = torch.from_numpy(np.require(images, requirements=["C", "W"])).flatten(1)
    return rows.to(torch.float32).div_(127.5).sub_(1)


def learn_whitening(features: Tensor, epsilon: float) -> Whitening:
    """Learn ZCA from training features (N, D), float32.

    Args:
        features: The only images that take part.
        epsilon: Added to each eigenvalue of the covariance: directions of less variance are not blown up.

    Example:
        >>> import torch
        >>> x = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> learn_whitening(x, 1e-9)(x).square().mean(0).round(decimals=3)
        tensor([1., 1.])
    """
    import torch

    n, size = features.shape
    mean = torch.stack([block.double().sum(0) for block in torch.split(features, _BLOCK)]).sum(0) / n
    covariance = torch.zeros(size, size, dtype=torch.float64)
    for block in torch.split(features, _BLOCK):
        centred = block - mean.float()
        covariance += (centred.T @ centred).double() / n
    values, vectors = torch.linalg.eigh(covariance)
    # Rounding may leave an eigenvalue slightly below 0.
    matrix = (vectors * (values.clamp_min(0) + epsilon).rsqrt()) @ vectors.T
    return Whitening(mean.float(), matrix.float())


class Pixels:
    """Linear classification of pixels, raw and whitened."""

    name = "pixels"
    summary = "L2-SVM on raw and on ZCA-whitened pixels: no network at all"
    question = "How well are the classes of images told apart by a linear classifier on their pixels?"
    reference = "The protocol of Radford, Metz, Chintala 2016, section 5.1, on pixels: https://arxiv.org/abs/1511.06434"
    config_type = PixelsConfig
    needs = Needs(dataset="cifar10", splits=("train", "test"), labels=True)
    demo = Demo(dataset="digits", settings={"C": (1e-5, 1e-4, 1e-3, 1e-2), "draws": 2, "whitening": False}, limit=400)

    def requires(self, config: PixelsConfig) -> Needs:
        """Return what it consumes under these settings."""
        return config.needs(self.needs)

    def checks(self, context: RunContext, config: PixelsConfig) -> list[Callable[[], object]]:
        """Draw the subsets that may not be there."""
        return [partial(images_and_draws, context, config)]

    def run(self, context: RunContext, config: PixelsConfig) -> Result:
        """Probe raw pixels, then whitened ones."""
        images, draws = images_and_draws(context, config)
        with context.stage("pixels"):
            train, test = pixel_features(images.train.images), pixel_features(images.test.images)
        features = {RAW: (train, test)}
        if config.whitening:
            with context.stage(f"{WHITENED}: learn on {len(train):,} training images, apply"):
                whitening = learn_whitening(train, config.epsilon)
                features[WHITENED] = (whitening(train), whitening(test))
        studies = run_study(context, config, features, images, draws)
        with context.stage("figures"):
            studies.save(context)
            save_class_figures(context, images, studies.predictions[RAW])
        metrics: dict[str, Metric] = {}
        for prefix, name in zip(("", "whitened_"), features, strict=False):
            metrics |= studies.metrics(name, prefix=prefix)
        return context.result(
            title=f"Pixels + L2-SVM on {context.dataset.name}",
            headline="accuracy",
            metrics=metrics,
            tables=studies.tables(),
        )


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Register the analysis."""
    register(Pixels())
