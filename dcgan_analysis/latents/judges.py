"""Who judges how different two images look: a discriminator, another checkpoint's, random weights, VGG-19 or pixels.

Distances between images need an embedding, and a generator alone brings none. The same setting, ``judge``, chooses one
in every analysis that measures distances, and the report says which it was: distances of two judges do not compare.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from dcgan_analysis.api.analysis import AnalysisConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from torch import Tensor, nn

    from dcgan_analysis.api.analysis import Needs
    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint

__all__ = ["JUDGES", "JudgeSettings", "PerceptualJudge", "choose_judge"]

JUDGES = ("auto", "discriminator", "random", "pixels", "vgg19")
"""Judges by name; besides these ``checkpoint:NAME``, the discriminator of another checkpoint."""

_OTHER = "checkpoint:"
_WIDTH = 64


class JudgeSettings(AnalysisConfig):
    """Who judges how different images look."""

    judge: str = Field(
        default="auto",
        description="whose features measure how different images look: discriminator; checkpoint:NAME, the "
        "discriminator of another checkpoint; random, a network of random weights; pixels; vgg19, from torch's hub "
        "cache; auto: the discriminator where there is one, else random",
    )

    def needs(self, needs: Needs) -> Needs:
        """Return what an analysis needs, with a discriminator where that is to judge."""
        return replace(needs, discriminator=True) if self.judge == "discriminator" else needs

    @field_validator("judge")
    @classmethod
    def _judge_is_known(cls, value: str) -> str:
        if value not in JUDGES and not (value.startswith(_OTHER) and value != _OTHER):
            msg = f"must be one of {', '.join(JUDGES)}, or {_OTHER}NAME"
            raise ValueError(msg)
        return value


@dataclass(frozen=True)
class PerceptualJudge:
    """An embedding of images whose Euclidean distance says how different they look.

    Attributes:
        name: Who judges, for tables and reports: ``"discriminator"``.
        embed: Maps images uint8 (N, C, H, W), and labels (N,) or None, to rows (N, D) in float32.
    """

    name: str
    embed: Callable[[np.ndarray, Tensor | None], Tensor]

    def __call__(self, images: np.ndarray, labels: Tensor | None = None) -> Tensor:
        """Embed images uint8 (N, C, H, W); labels (N,) serve a conditional discriminator."""
        return self.embed(images, labels)


def choose_judge(context: RunContext, settings: JudgeSettings, *, grid: int | None = None) -> PerceptualJudge:
    """Return the judge that the settings name, and say in the result who it is.

    Args:
        context: The run, whose checkpoint's samples are judged.
        settings: Name the judge.
        grid: Cells per side that maps are max-pooled to, so that small shifts count less; None: every position.

    Raises:
        CheckpointError: If the judge is a discriminator that is not there, or makes nothing of images of this shape.

    Example:
        >>> judge = choose_judge(context, JudgeSettings(judge="pixels"))  # doctest: +SKIP
        >>> torch.cdist(judge(images), judge(images))  # doctest: +SKIP
    """
    checkpoint, name = context.checkpoint, settings.judge
    if name == "auto":
        name = "discriminator" if checkpoint.has("discriminator") else "random"
    if name == "discriminator":
        judge = _of_discriminator(checkpoint, "discriminator", context, grid)
    elif name.startswith(_OTHER):
        judge = _of_other(context, name.removeprefix(_OTHER), grid)
    elif name == "random":
        judge = _of_random_weights(context, grid)
    elif name == "vgg19":
        from dcgan_analysis.latents.perceptual import vgg19_embedding

        vgg19 = vgg19_embedding(context.device, grid=grid)
        judge = PerceptualJudge("VGG-19", lambda images, _: vgg19(images))
    else:
        judge = PerceptualJudge("pixels", lambda images, _: _pixel_rows(images))
    context.note(f"How different images look is judged by: {judge.name}.")
    return judge


def _of_discriminator(checkpoint: Checkpoint, name: str, context: RunContext, grid: int | None) -> PerceptualJudge:
    from dcgan_analysis.latents.perceptual import discriminator_embedding

    network = checkpoint.discriminator()
    return PerceptualJudge(name, discriminator_embedding(network, checkpoint.architecture, context.device, grid=grid))


def _of_other(context: RunContext, name: str, grid: int | None) -> PerceptualJudge:
    from dcgan_analysis.errors import CheckpointError

    other = context.load_checkpoint(name)
    ours, theirs = context.checkpoint.architecture, other.architecture
    if ours.image_shape != theirs.image_shape or theirs.classes:
        kind = f"images of {theirs.classes} classes" if theirs.classes else f"images of shape {theirs.image_shape}"
        msg = (
            f"judge: checkpoint '{name}' judges {kind}; here they are of shape {ours.image_shape} and without labels. "
            "Choose one that fits, or judge=random."
        )
        raise CheckpointError(msg)
    return _of_discriminator(other, f"discriminator of {other.name}", context, grid)


def _of_random_weights(context: RunContext, grid: int | None) -> PerceptualJudge:
    """A convolutional network of random weights: a known, if weak, perceptual embedding."""
    from dcgan_analysis.data.preprocessing import Preprocessing
    from dcgan_analysis.latents.perceptual import PerceptualEmbedding

    architecture = context.checkpoint.architecture
    network, taps = _random_network(architecture.image_shape, context)
    prepare = Preprocessing.for_range(architecture.image_shape, (-1.0, 1.0))
    embedding = PerceptualEmbedding(network, taps, prepare, context.device, grid=grid)
    return PerceptualJudge("a network of random weights", lambda images, _: embedding(images))


def _random_network(image_shape: tuple[int, int, int], context: RunContext) -> tuple[nn.Module, list[str]]:
    """Return convolutions of stride 2 down to 4x4 or less, and the names of their activations."""
    from torch import nn

    source = context.torch_generator("random judge")
    channels, size, width = image_shape[0], min(image_shape[1:]), _WIDTH
    layers: list[nn.Module] = []
    while size > 4 or not layers:
        conv = nn.Conv2d(channels, width, 5, 2, 2, bias=False)
        # Activations keep their size from layer to layer (He et al. 2015).
        nn.init.kaiming_normal_(conv.weight, a=0.2, generator=source)
        layers += [conv, nn.LeakyReLU(0.2)]
        channels, size, width = width, -(-size // 2), 2 * width
    return nn.Sequential(*layers), [str(place) for place in range(1, len(layers), 2)]


def _pixel_rows(images: np.ndarray) -> Tensor:
    """Return rows whose distance is the root mean square difference of pixels in [0, 1]."""
    import torch

    rows = torch.from_numpy(images.reshape(len(images), -1)).float() / 255
    scaled: Tensor = rows / max(rows.shape[1], 1) ** 0.5
    return scaled
