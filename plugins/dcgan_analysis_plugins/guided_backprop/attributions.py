"""Attributions of the strongest responses of filters, measured: how concentrated they are, and how well they keep.

What ``dcgan_analysis.units.attribution`` says of single units is gathered here for the filters of a layer, of the
checkpoint or of any other network, with progress and the randomness of the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt, field_validator

from dcgan_analysis.units.attribution.methods import check_method
from dcgan_analysis.units.filters import FilterSettings, cut, find_responses

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.models.receptive import Box
    from dcgan_analysis.units.attribution import Units
    from dcgan_analysis.units.filters import ImageStream
    from dcgan_analysis.units.responses import TapResponses

TOP_SHARE = 0.05
"""``concentration`` is the share of an attribution in so many of the pixels, the strongest ones."""

_SHIFTS = ((0, 1), (1, 0))  # rows and columns, in pixels


class AttributionSettings(FilterSettings):
    """How responses are attributed to pixels, and how the attributions are tried."""

    method: str = Field(
        default="guided-backprop",
        description="guided-backprop, guided-backprop-leaky, deconvolution, saliency, smoothgrad, input-x-gradient, "
        "integrated-gradients, gradient-shap or occlusion",
    )
    top: PositiveInt = Field(default=6, description="images of the strongest responses, for each feature")
    measured: PositiveInt = Field(
        default=48, description="features that the numbers rest on: those shown, and the first others"
    )
    noise: float = Field(default=0.05, gt=0, le=1, description="std of the added noise, as a share of the image range")
    noise_draws: PositiveInt = Field(default=2, description="noisy copies of each image")

    @field_validator("method")
    @classmethod
    def _method_is_known(cls, value: str) -> str:
        return check_method(value)


@dataclass(frozen=True)
class Attributions:
    """What was found for one network: F features, the M strongest responses of each, in row-major order.

    Attributes:
        features: Numbers of the features (F,); those shown come first.
        responses: All responses of the layer.
        boxes: What each unit sees, F x M.
        maps: Attributions, float32 (F x M, C, H, W).
        columns: Measure -> values (F, M), NaN where an attribution is zero everywhere, or that on the other image is,
            where it counts. Measures: ``concentration``, ``gini``, ``entropy``; correlations with the attributions of
            noisy images (``stability``), of images shifted by a pixel (``shift_stability``), of the same unit on
            another image (``other_image_agreement``), and ``stability_margin``, the first less the last;
            ``gradient_agreement``, the correlation with the plain gradient; ``margin``, how far the strongest responses
            stand out.
    """

    features: tuple[int, ...]
    responses: TapResponses
    boxes: list[Box]
    maps: NDArray[np.float32]
    columns: dict[str, NDArray[np.float64]]

    def units(self, row: int) -> range:
        """Return which maps and boxes are those of the feature in a row."""
        per_filter = self.responses.top.values.shape[1]
        return range(row * per_filter, (row + 1) * per_filter)


def measured_features(shown: Sequence[int], measured: int, available: int) -> tuple[int, ...]:
    """Return the features shown, then the first others, as many as are measured.

    Example:
        >>> measured_features((5, 1), measured=4, available=8)
        (5, 1, 0, 2)
    """
    others = (feature for feature in range(available) if feature not in shown)
    return (*shown, *list(others)[: max(measured - len(shown), 0)])


def attribute_strongest(
    context: RunContext,
    settings: AttributionSettings,
    label: str,
    network: nn.Module,
    tap: str,
    images: ImageStream,
) -> Attributions:
    """Find the strongest responses of one network, attribute them, and measure the attributions.

    Args:
        context: The run.
        settings: Method, features, and how attributions are tried.
        label: What stages and the progress bar call the network.
        network: With frozen statistics, as of ``settled_network``.
        tap: Which layer's features.
        images: All images looked at.
    """
    from dcgan_analysis.models.receptive import receptive_field
    from dcgan_analysis.units.attribution import Units

    with context.stage(f"{label}: strongest responses"):
        responses = find_responses(context, label, network, [tap], images, settings.top)[tap]
    features = measured_features(settings.features, settings.measured, responses.features)
    chosen, per_filter = list(features), responses.top.values.shape[1]
    units = Units.of([f for f in features for _ in range(per_filter)], responses.top.positions[chosen].ravel().tolist())
    field = receptive_field(context.checkpoint.architecture, tap)
    boxes = [field.box(*responses.place(f, rank)) for f in features for rank in range(per_filter)]
    inputs = images.arguments(responses.top.images[chosen].ravel())
    with context.stage(f"{label}: attributions"):
        maps, columns = _Trial(context, settings, label, network, tap, units).measure(inputs, boxes)
    columns["margin"] = responses.margins(settings.top)[chosen].repeat(per_filter)
    shaped = {name: values.reshape(len(features), per_filter) for name, values in columns.items()}
    return Attributions(features, responses, boxes, maps, shaped)


def other_image_agreement(
    maps: NDArray[np.float32], elsewhere: NDArray[np.float32], boxes: Sequence[Box]
) -> NDArray[np.float64]:
    """Return how much attributions (N, C, H, W) agree with those of the same units on other images, (N,).

    NaN where a unit is silent on the other image: that its attribution there is zero everywhere does not say that it
    depends on the image, and an agreement of 0 would count as if it did.
    """
    import numpy as np

    from dcgan_analysis.units.attribution.stability import agreement

    silent = [not cut(sample, box).any() for sample, box in zip(elsewhere, boxes, strict=True)]
    return np.where(silent, np.nan, agreement(maps, elsewhere, boxes))


class _Trial:
    """Attributes units on versions of their images."""

    def __init__(
        self,
        context: RunContext,
        settings: AttributionSettings,
        label: str,
        network: nn.Module,
        tap: str,
        units: Units,
    ) -> None:
        from dcgan_analysis.units.attribution import UnitResponse

        self._context, self._settings, self._label, self._units = context, settings, label, units
        self._response = UnitResponse(network, tap)
        self._range = context.checkpoint.metadata.image_range
        # As it is, by the plain gradient, on another image; noisy; shifted.
        self._todo, self._done = 3 + settings.noise_draws + len(_SHIFTS), 0

    def _maps(self, images: Tensor, labels: Sequence[Tensor], method: str = "") -> NDArray[np.float32]:
        from dcgan_analysis.units.attribution import attribute

        result = attribute(
            method or self._settings.method,
            self._response,
            images,
            self._units,
            image_range=self._range,
            labels=labels[0] if labels else None,
        )
        self._done += 1
        self._context.progress(f"{self._label}: attributions (versions of the images)", self._done, self._todo)
        return result.numpy()

    def measure(
        self, inputs: tuple[Tensor, ...], boxes: Sequence[Box]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float64]]]:
        """Return the attributions (N, C, H, W) of images and labels, and each measure (N,)."""
        import numpy as np
        import torch

        from dcgan_analysis.units.attribution.measures import measure_maps
        from dcgan_analysis.units.attribution.stability import agreement, shifted

        pixels, *labels = inputs
        low, high = self._range
        source, std = self._context.torch_generator("noise"), self._settings.noise * (high - low)
        noise = [
            torch.randn(pixels.shape, generator=source).to(pixels.device) for _ in range(self._settings.noise_draws)
        ]
        maps = self._maps(pixels, labels)
        measures = measure_maps([cut(sample, box) for sample, box in zip(maps, boxes, strict=True)], TOP_SHARE)
        disturbed = [(pixels + std * sample).clamp(low, high) for sample in noise]
        noisy = [agreement(maps, self._maps(changed, labels), boxes) for changed in disturbed]
        moved = [agreement(maps, self._maps(shifted(pixels, *by), labels), boxes, by) for by in _SHIFTS]
        # The same units on other images: mostly the feature's next strongest, of which each unit's neighbour has one.
        rolled = [torch.roll(sample, 1, dims=0) for sample in inputs]
        other = other_image_agreement(maps, self._maps(rolled[0], rolled[1:]), boxes)
        columns = {
            "concentration": measures.top_share,
            "gini": measures.gini,
            "entropy": measures.entropy,
            "stability": np.mean(noisy, axis=0),
            "shift_stability": np.mean(moved, axis=0),
            "other_image_agreement": other,
            "stability_margin": np.mean(noisy, axis=0) - other,
            "gradient_agreement": agreement(maps, self._maps(pixels, labels, "saliency"), boxes),
        }
        silent = np.isnan(measures.top_share)
        return maps, {name: np.where(silent, np.nan, values) for name, values in columns.items()}
