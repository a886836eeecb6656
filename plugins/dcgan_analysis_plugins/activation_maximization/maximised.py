"""Images that maximise filters, found by gradient ascent on the input and compared with real ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from dcgan_analysis.units.filters import FilterSettings, cut

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.models.receptive import Box
    from dcgan_analysis.units.attribution import Ascent
    from dcgan_analysis.units.filters import ImageStream
    from dcgan_analysis.units.responses import TapResponses

COMPARED = 128
"""Real images whose nearest others tell how far real images lie apart."""

_BLOCK = 512  # real images held as floats at once


class AscentSettings(FilterSettings):
    """Settings of the search; weights are those of penalties beside responses in standard deviations of real ones."""

    steps: PositiveInt = Field(default=96, description="steps of gradient ascent")
    rate: PositiveFloat = Field(default=0.05, description="learning rate of Adam; pixels count from -1 to 1")
    l2: NonNegativeFloat = Field(default=8.0, description="weight of the mean square distance from gray")
    tv: NonNegativeFloat = Field(default=2.0, description="weight of the total variation")
    jitter: NonNegativeInt = Field(
        default=2, description="pixels of random shift in each step, at most an eighth of the receptive field"
    )
    blur: NonNegativeFloat = Field(
        default=0.5, description="std in pixels of the blur, at most a thirty-second of the receptive field; 0: none"
    )
    blur_every: PositiveInt = Field(default=4, description="steps between two blurs")
    start: NonNegativeFloat = Field(default=0.05, description="std of the noise that the search starts from")

    def ascent(self, field: int, receptive_pixels: int) -> Ascent:
        """Return the settings of the search for a unit whose field has ``field`` pixels per side, ``seen`` in all."""
        from dcgan_analysis.units.attribution import Ascent

        return Ascent(
            steps=self.steps,
            rate=self.rate,
            l2=self.l2,
            tv=self.tv,
            seen=receptive_pixels,
            jitter=min(self.jitter, field // 8),
            blur=min(self.blur, field / 32),
            blur_every=self.blur_every,
            start=self.start,
        )


@dataclass(frozen=True)
class Maximised:
    """What was found for F filters of one layer of one network.

    Attributes:
        images: Images found, uint8 (F, C, H, W).
        box: What the maximised units see.
        reached: Responses to them, the strongest of all positions (F,).
        responses: Responses to the real images.
        ratios: Responses reached over the strongest real ones (F,), NaN where those are not positive.
        distances: Distance to the nearest real image, in units of that between real ones (F,).
    """

    images: NDArray[np.uint8]
    box: Box
    reached: NDArray[np.float64]
    responses: TapResponses
    ratios: NDArray[np.float64]
    distances: NDArray[np.float64]


def maximise_filters(
    context: RunContext,
    settings: AscentSettings,
    label: str,
    network: nn.Module,
    tap: str,
    responses: TapResponses,
    images: ImageStream,
) -> Maximised:
    """Search the images that the filters shown respond to most, and compare them with real ones.

    The unit in the middle of each filter's map is maximised, under the label of the filter's strongest real image where
    the network is conditional.

    Args:
        context: The run.
        settings: Filters, and the search.
        label: What the progress bar calls the network.
        network: With frozen statistics, as of ``settled_network``.
        tap: Which layer.
        responses: Its responses to the real images.
        images: The real images.
    """
    import numpy as np
    import torch

    from dcgan_analysis.models.receptive import receptive_field
    from dcgan_analysis.units.attribution import UnitResponse, Units, ascend
    from dcgan_analysis.units.attribution.closeness import relative_distances
    from dcgan_analysis.units.responses import stream_responses

    features = list(settings.features)
    height, width = responses.map_size
    architecture = context.checkpoint.architecture
    field = receptive_field(architecture, tap)
    box = field.box(height // 2, width // 2)
    labels = images.arguments(responses.top.images[features, 0])[1:]
    stds = torch.from_numpy(responses.sums.std[features]).float()

    def step(done: int) -> None:
        context.progress(f"{label}: {tap} (steps of the ascent)", done, settings.steps)

    ascended = ascend(
        UnitResponse(network, tap),
        Units.of(features, [height // 2 * width + width // 2] * len(features)),
        architecture.image_shape,
        settings.ascent(min(field.extent), box.height * box.width),
        context.torch_generator("ascent", tap),
        image_range=context.checkpoint.metadata.image_range,
        scales=torch.where(stds > 0, stds, 1.0),
        labels=labels[0] if labels else None,
        device=context.device,
        step=step,
    )
    # What is shown and saved is what is measured: bytes.
    shown = images.prepare.to_bytes(ascended)
    batch = next(stream_responses(network, [tap], [(images.prepare(shown).to(context.device), *labels)]))[tap]
    reached = batch.values[np.arange(len(features)), features].astype(np.float64)
    highest = responses.top.values[features, 0].astype(np.float64)
    ratios = np.divide(reached, highest, out=np.full(len(features), np.nan), where=highest > 0)
    compared = context.rng("compared").permutation(len(images))[:COMPARED]
    distances = relative_distances(cut(shown, box), _real_parts(images, box), compared)
    return Maximised(shown, box, reached, responses, ratios, distances)


def _real_parts(images: ImageStream, box: Box) -> NDArray[np.uint8]:
    """Return what the maximised units see of every image, as bytes."""
    import numpy as np

    blocks = (images.split.images[start : start + _BLOCK] for start in range(0, len(images), _BLOCK))
    return np.concatenate([cut(images.prepare.to_bytes(images.prepare(block)), box) for block in blocks])
