"""Receptive fields of networks without a layer table, measured: by the gradient of a unit with respect to the image.

Weights and activations must not hide a pixel that a unit could see, so a copy of the network is run in which every
convolution averages, every activation and normalisation lets all through, and pooling takes means. Where the gradient
of a unit is not zero then is what it sees, as kernels, strides and padding say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from dcgan_analysis.models.builder import build
from dcgan_analysis.models.hooks import capture
from dcgan_analysis.models.operations import ACTIVATIONS, NORMALISATIONS, operation_name
from dcgan_analysis.models.receptive import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dcgan_analysis.models.architecture import Architecture

_CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_POOLING = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")


@dataclass(frozen=True)
class MeasuredField:
    """What the units of a tap see of an image.

    Attributes:
        rows: First row and the one after the last, for each row of the map.
        columns: The same of columns, for each column of the map.
    """

    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns of the largest box."""
        return max(b - a for a, b in self.rows), max(b - a for a, b in self.columns)

    def box(self, row: int, column: int) -> Box:
        """Return what the unit at a place of the map sees."""
        (top, bottom), (left, right) = self.rows[row], self.columns[column]
        return Box(top, left, bottom, right)


def measure_field(architecture: Architecture, tap: str) -> MeasuredField:
    """Measure the receptive field of a discriminator's tap; see the module's description.

    A unit that depends on the image in a way that does not follow its pixels' places sees the whole image.

    Args:
        architecture: Whose discriminator.
        tap: Its name.

    Example:
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> measure_field(dcgan32(width=2), "conv6").extent
        (29, 29)
    """
    network = build(architecture.discriminator).eval().requires_grad_(False)
    labels = [torch.zeros(1, dtype=torch.long)] if architecture.classes else []
    with torch.no_grad(), capture(network, [tap]) as outputs:
        network(torch.zeros(1, *architecture.image_shape), *labels)
    _, height, width = architecture.image_shape
    shape = outputs[tap].shape
    if len(shape) != 4:
        return MeasuredField(((0, height),), ((0, width),))
    places = [(row, shape[3] // 2) for row in range(shape[2])] + [(shape[2] // 2, column) for column in range(shape[3])]
    images = torch.ones(len(places), *architecture.image_shape).requires_grad_(True)
    labels = [label.expand(len(places)) for label in labels]
    # The outer mode first: the taps are found by what the network calls, not by what is computed instead.
    with torch.enable_grad(), _Averaging(), capture(network, [tap]) as outputs:
        network(images, *labels)
    rows, columns = zip(*places, strict=True)
    units = outputs[tap].transpose(0, 1)[:, range(len(places)), rows, columns].sum()
    (gradient,) = torch.autograd.grad(units, images, allow_unused=True) if units.requires_grad else (None,)
    if gradient is None:
        return MeasuredField(((0, height),) * shape[2], ((0, width),) * shape[3])
    reached = gradient.abs().sum(1) > 0
    down = tuple(_ends(reached_by_pixel.any(1), height) for reached_by_pixel in reached[: shape[2]])
    return MeasuredField(down, tuple(_ends(reached_by_pixel.any(0), width) for reached_by_pixel in reached[shape[2] :]))


def _ends(seen: Tensor, size: int) -> tuple[int, int]:
    positions = seen.nonzero()
    return (int(positions[0]), int(positions[-1]) + 1) if len(positions) else (0, size)


class _Averaging(TorchFunctionMode):
    """Computes means in place of what a network calls, so that every pixel counts that could count."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        keywords = dict(kwargs or {})
        name = operation_name(func)
        if name in ("conv2d", "conv_transpose2d"):
            return _convolve(name, args, keywords)
        if name == "linear":
            return args[0].mean(-1, keepdim=True).expand(*args[0].shape[:-1], len(args[1]))
        if name in ACTIVATIONS or name in NORMALISATIONS:
            return args[0]
        if name == "max_pool2d":
            arguments = dict(zip(_POOLING, args, strict=False)) | keywords
            optional = ("stride", "padding", "ceil_mode")
            chosen = {key: arguments[key] for key in optional if arguments.get(key) is not None}
            return F.avg_pool2d(arguments["input"], arguments["kernel_size"], **chosen)
        if name == "adaptive_max_pool2d":
            return F.adaptive_avg_pool2d(*args[:2])
        return func(*args, **keywords)


def _convolve(name: str, args: tuple[Any, ...], keywords: dict[str, Any]) -> Tensor:
    """Average over the kernel's places, and over all maps."""
    names = _CONVOLUTION if name == "conv2d" else _TRANSPOSED
    arguments = dict(zip(names, args, strict=False)) | keywords
    weight: Tensor = arguments["weight"]
    maps = weight.shape[0] if name == "conv2d" else weight.shape[1] * int(arguments.get("groups", 1))
    mean = arguments["input"].mean(1, keepdim=True)
    kernel = weight.new_full((1, 1, *weight.shape[2:]), 1 / weight[0, 0].numel())
    convolve: Callable[..., Tensor] = getattr(F, name)
    options = {key: arguments[key] for key in names[3:] if key in arguments and key != "groups"}
    result = convolve(mean, kernel, **options)
    return result.expand(-1, maps, -1, -1)
