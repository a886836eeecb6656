"""What analyses of single filters share: their settings, images, networks, responses, and how they are shown.

A filter (a *feature*) is one map of a tap. Every analysis looks at the same filters of the checkpoint and of its
random-weight twin, on the same images, each network with BatchNorm statistics re-estimated for itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from dcgan_analysis.api.analysis import AnalysisConfig
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.probing.study import learned_and_twin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from dcgan_analysis.api.analysis import Needs
    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data import DatasetSplit, Preprocessing
    from dcgan_analysis.models.receptive import Box
    from dcgan_analysis.units.responses import TapResponses

# Images per forward pass, and per re-estimation batch as in the protocol of features.
_BATCH, _BATCHNORM_BATCH = 64, 128


class FilterSettings(AnalysisConfig):
    """Which filters are shown, which images are looked at, and with which BatchNorm statistics."""

    features: tuple[NonNegativeInt, ...] = Field(
        default=(0, 1, 2, 3, 4, 5), min_length=1, description="numbers of the filters shown"
    )
    split: Literal["train", "validation", "test", "extra", "unlabeled"] = Field(
        default="train", description="split whose images are looked at"
    )
    images: NonNegativeInt = Field(default=10_000, description="images looked at, drawn by seed; 0: the whole split")
    batchnorm: Literal["reestimated", "running"] = Field(
        default="reestimated", description="BatchNorm statistics: reestimated on the training split, or running"
    )
    batchnorm_images: PositiveInt = Field(
        default=10_000, ge=2, description="training images at most, drawn by seed, for the re-estimation"
    )
    fit: Literal["exact", "resize"] = Field(default="exact", description="images of another shape: exact refuses")

    def needs(self, needs: Needs) -> Needs:
        """Return what an analysis needs, with the splits and the images of these settings."""
        settling = ("train",) if self.batchnorm == "reestimated" else ()
        return replace(needs, splits=tuple(dict.fromkeys((*settling, self.split))), fit=self.fit)

    @field_validator("features")
    @classmethod
    def _features_differ(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            msg = "must name each filter once"
            raise ValueError(msg)
        return value


@dataclass(frozen=True)
class ImageStream:
    """The images looked at, as the arguments of a network.

    Attributes:
        split: The images as bytes.
        prepare: Bytes to what the network takes.
        conditional: Whether the network takes the labels too.
        device: Where it computes.
    """

    split: DatasetSplit
    prepare: Preprocessing
    conditional: bool
    device: torch.device

    def __len__(self) -> int:
        return len(self.split)

    def arguments(self, indices: Any) -> tuple[Tensor, ...]:
        """Return images (n, C, H, W), and labels (n,) where the network is conditional."""
        import torch

        images = self.prepare(self.split.images[indices]).to(self.device)
        if not self.conditional or self.split.labels is None:
            return (images,)
        return images, torch.from_numpy(self.split.labels[indices]).to(self.device)

    def batches(self, size: int = _BATCH) -> Iterator[tuple[Tensor, ...]]:
        """Yield all images in order."""
        for start in range(0, len(self), size):
            yield self.arguments(slice(start, start + size))

    def shown(self, index: int) -> NDArray[np.uint8]:
        """Return one image (C, H, W) as bytes, as the network sees it."""
        seen = self.prepare.to_bytes(self.prepare(self.split.images[index : index + 1]))
        image: NDArray[np.uint8] = seen[0]
        return image


def open_images(context: RunContext, settings: FilterSettings, name: str, limit: int) -> ImageStream:
    """Return images of a split, drawn by seed, in the order of the file.

    Args:
        context: The run.
        settings: Whether images of another shape are converted.
        name: Which split.
        limit: How many at most; 0: all.

    Raises:
        AnalysisError: If the discriminator is conditional and the images have no labels of its classes.
        DatasetError: If the dataset has no such split, or its images do not fit.
    """
    import numpy as np

    from dcgan_analysis.checkpoints.fitting import image_problems
    from dcgan_analysis.data import Preprocessing

    checkpoint = context.checkpoint
    architecture = checkpoint.architecture
    split = context.split(name)
    for problem in image_problems(checkpoint, split, context.dataset.name, settings.fit):
        raise problem
    prepare = Preprocessing.for_range(architecture.image_shape, checkpoint.metadata.image_range, settings.fit)
    by_label = architecture.takes_labels("discriminator")
    if 0 < limit < len(split):
        chosen = np.sort(context.rng("images", name).permutation(len(split))[:limit])
        split = split.take(chosen, source=f"{split.source}, {limit:,} of {len(split):,} drawn by seed")
    return ImageStream(split, prepare, by_label, context.device)


def subjects(context: RunContext) -> dict[str, Checkpoint]:
    """Return the checkpoint and its random twin by the names under which reports show them; say which twin it is."""
    context.note(
        "Intervals are over filters and images of this one random twin. Random networks differ among themselves: "
        "another seed draws another one."
    )
    return learned_and_twin(context)


def settled_network(
    context: RunContext, settings: FilterSettings, label: str, checkpoint: Checkpoint, taps: Sequence[str]
) -> nn.Module:
    """Return a copy of the discriminator with frozen statistics, ready for single units to be looked at.

    Statistics are re-estimated as for features: means over whole batches of 128 training images in a fixed order.

    Args:
        context: The run.
        settings: BatchNorm mode, and how many training images.
        label: What the progress bar calls the network.
        checkpoint: Whose discriminator; it is left as it is.
        taps: Taps that will be read.

    Raises:
        DcganAnalysisError: If the dataset has no training images to re-estimate on.
    """
    import copy

    import torch

    from dcgan_analysis.models.batchnorm import reestimate, reference_batches
    from dcgan_analysis.models.kernels.folding import fold_batchnorm

    network = copy.deepcopy(checkpoint.discriminator()).requires_grad_(False).to(context.device)
    network = network.to(memory_format=torch.channels_last)
    if settings.batchnorm == "reestimated":
        images = open_images(context, settings, "train", settings.batchnorm_images)
        batches = reference_batches(len(images), _BATCHNORM_BATCH)

        def arguments() -> Iterator[tuple[Tensor, ...]]:
            for done, chosen in enumerate(batches, start=1):
                yield images.arguments(chosen)
                context.progress(f"{label}: BatchNorm statistics (batches)", done, len(batches))

        reestimate(network, arguments(), lambda own, batch: own(*batch))
    return fold_batchnorm(network, taps)


def find_responses(
    context: RunContext, label: str, network: nn.Module, taps: Sequence[str], images: ImageStream, k: int
) -> dict[str, TapResponses]:
    """Stream the images through a network and keep the strongest responses of every filter of the taps."""
    from dcgan_analysis.units.responses import collect_responses, stream_responses

    def done(n: int) -> None:
        context.progress(f"{label}: responses (images)", n, len(images))

    labels = images.split.labels
    stream = stream_responses(network, taps, images.batches())
    return collect_responses(stream, k, labels, len(images.split.classes), done)


def last_conv(checkpoint: Checkpoint) -> str:
    """Return the tap after a discriminator's last convolution; without any, after its last hidden layer.

    Raises:
        AnalysisError: If it has neither, or none that a tap can name.
    """
    from dcgan_analysis.models.tracing import trace_role

    taps = trace_role(checkpoint.discriminator(), checkpoint.architecture, "discriminator").feature_taps
    if not taps:
        msg = f"The discriminator of '{checkpoint.name}' has no layer that a tap can name. Name a module by tap=PATH."
        raise AnalysisError(msg)
    return taps[-1]


def check_filters(context: RunContext, taps: Sequence[str], features: Sequence[int]) -> None:
    """Refuse taps and filters that the discriminator does not have.

    Raises:
        AnalysisError: If a layer has fewer filters.
        UnknownNameError: If a tap is no module of the network.
    """
    import torch

    from dcgan_analysis.models.hooks import capture

    network, architecture = context.checkpoint.discriminator(), context.checkpoint.architecture
    labels = [torch.zeros(2, dtype=torch.long)] if architecture.classes else []
    with torch.no_grad(), capture(network, taps) as outputs:
        network(torch.zeros(2, *architecture.image_shape), *labels)
    for tap in taps:
        available = outputs[tap].shape[1]
        if max(features) >= available:
            msg = (
                f"Tap '{tap}' has features 0 to {available - 1}, got {max(features)}. "
                "Choose others by the setting features=[0,1,2], or other layers."
            )
            raise AnalysisError(msg)


def cut(image: NDArray[Any], box: Box) -> NDArray[Any]:
    """Return what lies inside a box of an image (..., H, W)."""
    return image[..., box.rows, box.columns]
