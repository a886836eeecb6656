"""Are generated images as bright as real ones?

1. The brightness of an image is the mean of its pixels, 0 for black and 1 for white.
2. It is measured on the dataset's images and on as many samples of the generator.
3. The gap is the absolute difference of the two means, with the interval of a difference of means.

Consumes: a checkpoint with a generator, and the test split of a dataset. Produces: the metric
``brightness_gap`` and one table. A generator can close this gap and still draw nonsense: it is a
first check, not a measure of quality.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from dcgan_analysis import hookimpl
from dcgan_analysis.api import AnalysisConfig, Demo, Metric, Needs, Table
from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dcgan_analysis.api import Analysis, Result, RunContext
    from dcgan_analysis.checkpoints import Checkpoint

__all__ = ["Hello", "HelloConfig", "brightness", "brightness_gap", "sample_brightness"]

METRIC_GAP = "brightness_gap"
BATCH = 100

# The version of the plugin API that this was written for; see docs/plugin-api.md of dcgan-analysis.
DCGAN_ANALYSIS_API = 1


class HelloConfig(AnalysisConfig):
    """Settings of ``hello``."""

    images: int = Field(default=256, ge=2, description="how many real and how many generated images")


def brightness(images: NDArray[np.number], low: float, high: float) -> NDArray[np.float64]:
    """Return the mean pixel of each image as a fraction of the range.

    Args:
        images: Array of shape (N, C, H, W) with values in [low, high].
        low: The value of black.
        high: The value of white.

    Returns:
        Array of shape (N,) in [0, 1].

    Example:
        >>> brightness(np.zeros((1, 3, 2, 2)), low=-1, high=1).tolist()
        [0.5]
    """
    means: NDArray[np.float64] = images.mean(axis=(1, 2, 3), dtype=np.float64)
    return (means - low) / (high - low)


def brightness_gap(real: NDArray[np.float64], generated: NDArray[np.float64]) -> Metric:
    """Compare the brightness of two sets of images.

    Args:
        real: Brightness of real images, shape (N,), N of at least 2.
        generated: Brightness of generated images, shape (M,), M of at least 2.

    Returns:
        The absolute difference of the means; its interval is 1.96 standard errors to both sides,
        cut at 0.

    Example:
        >>> brightness_gap(np.array([0.5, 0.5]), np.array([0.25, 0.25])).value
        0.25
    """
    gap = abs(float(real.mean() - generated.mean()))
    error = float(np.sqrt(real.var(ddof=1) / len(real) + generated.var(ddof=1) / len(generated)))
    return Metric(
        value=gap,
        low=max(0.0, gap - 1.96 * error),
        high=gap + 1.96 * error,
        interval="1.96 standard errors of the difference",
        n=len(real),
        higher_is_better=False,
        description="difference of mean brightness, generated against real",
    )


def sample_brightness(checkpoint: Checkpoint, n: int, context: RunContext) -> NDArray[np.float64]:
    """Draw ``n`` samples of a generator, batch by batch, and return their brightness.

    Raises:
        AnalysisError: If the generator is conditioned on a class.
    """
    import torch

    architecture = checkpoint.architecture
    if architecture.classes:
        msg = (
            "Analysis 'hello' needs an unconditional generator; "
            f"'{checkpoint.name}' is conditioned on {architecture.classes} classes. "
            "Choose another checkpoint."
        )
        raise AnalysisError(msg)
    generator = checkpoint.generator().to(context.device)
    found = []
    with torch.inference_mode():
        for z in torch.split(checkpoint.latents(n, seed=context.seed), BATCH):
            images = generator(z.to(context.device)).float().cpu().numpy()
            found.append(brightness(images, *checkpoint.metadata.image_range))
            context.progress("samples", sum(map(len, found)), n)
    return np.concatenate(found)


class Hello:
    """The analysis: reads images, draws samples, compares their brightness."""

    name = "hello"
    summary = "Mean brightness of generated against real images"
    question = "Are generated images as bright as real ones?"
    reference = "An example; see docs/writing-an-analysis.md"
    config_type = HelloConfig
    needs = Needs(checkpoint="cifar10-dcgan32-w64", dataset="digits", splits=("test",), images=2, samples=2)
    demo = Demo(settings={"images": 64})

    def run(self, context: RunContext, config: HelloConfig) -> Result:
        """Compare ``config.images`` images of either kind."""
        with context.stage("real images"):
            split = context.split("test")
            chosen = context.rng("images").permutation(len(split))[: config.images]
            real = brightness(split.images[chosen], low=0, high=255)
        with context.stage("samples"):
            generated = sample_brightness(context.checkpoint, len(real), context)
        means = Table(
            name="brightness",
            title="Mean brightness",
            columns=["images", "mean", "n"],
            rows=[
                ["real", float(real.mean()), len(real)],
                ["generated", float(generated.mean()), len(generated)],
            ],
            percent=["mean"],
        )
        return context.result(
            title="Brightness of generated images",
            headline=METRIC_GAP,
            metrics={METRIC_GAP: brightness_gap(real, generated)},
            tables=[means],
        )


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Add ``hello``."""
    register(Hello())
