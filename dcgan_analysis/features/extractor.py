"""Discriminator features: every layer's activation, max-pooled to a 4x4 grid, flattened, joined (section 5.1)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch
from pydantic import Field, PositiveInt
from torch import nn

from dcgan_analysis.core.device import Precision, choose_precision
from dcgan_analysis.core.settings import Settings
from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.features.pooling import pool_to_grid, pooled_shape
from dcgan_analysis.models.batchnorm import batchnorm_layers, reestimate
from dcgan_analysis.models.builder import Discriminator
from dcgan_analysis.models.hooks import capture
from dcgan_analysis.models.kernels.folding import fold_batchnorm
from dcgan_analysis.models.kernels.winograd import with_winograd
from dcgan_analysis.models.replicas import run_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor

    from dcgan_analysis.models.architecture import Architecture

__all__ = ["EXTRACTION_VERSION", "BatchNormMode", "FeatureExtractor", "FeatureSpec", "PrecisionError"]

EXTRACTION_VERSION = 3
"""Grows whenever a change to this package changes the numbers; part of every feature store's key."""

Item = TypeVar("Item")

BatchNormMode = Literal["reestimated", "running", "batch"]


class FeatureSpec(Settings):
    """Which features: taps, pooling, BatchNorm mode, arithmetic."""

    taps: tuple[str, ...] = Field(default=(), description="taps, in order; empty: all conv layers of the discriminator")
    grid: PositiveInt = Field(default=4, description="cells per side of the max-pooling grid")
    batchnorm: BatchNormMode = Field(
        default="reestimated",
        description="reestimated on the training split and frozen (protocol), running statistics of the "
        "checkpoint, or batch statistics (features then depend on batch-mates)",
    )
    batchnorm_batch: int = Field(default=128, ge=2, description="images per minibatch of the re-estimation")
    precision: Precision = Field(
        default="auto", description="arithmetic of the forward pass: auto, float32, bfloat16 or float16"
    )
    dtype: Literal["bfloat16", "float16", "float32"] = Field(
        default="bfloat16", description="type in which features are stored"
    )


@dataclass(frozen=True)
class PrecisionError:
    """How far reduced precision is from float32 on the same images.

    Attributes:
        relative: Norm of the difference over the norm of the float32 features.
        largest: Largest absolute difference of one feature.
        images: Number of images compared.
    """

    relative: float
    largest: float
    images: int


class FeatureExtractor:
    """Maps images to pooled features; an image's features never depend on its batch-mates, save in mode ``batch``.

    Args:
        network: A discriminator; it is copied, never changed.
        architecture: Gives image shape and the default taps.
        spec: Which features.
        device: Where to compute. On GPUs the code is written with care but untested.

    Attributes:
        largest_map: Numbers in the largest activation of one image, before pooling.

    Raises:
        ArchitectureError: For a conditional discriminator: its features would hold the label.
        UnknownNameError: For a tap that the network does not have.

    Example:
        >>> from dcgan_analysis.models.initialisation import initialise
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> architecture = dcgan32(width=8)
        >>> network = architecture.discriminator()
        >>> initialise(network, torch.Generator().manual_seed(0))
        >>> spec = FeatureSpec(batchnorm="running", precision="float32")
        >>> extractor = FeatureExtractor(network, architecture, spec, torch.device("cpu"))
        >>> extractor(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 1792])
    """

    def __init__(
        self,
        network: nn.Module,
        architecture: Architecture,
        spec: FeatureSpec,
        device: torch.device,
    ) -> None:
        if architecture.takes_labels("discriminator"):
            msg = (
                f"Architecture '{architecture.name}' is conditional: its features would depend on the label. "
                "Use an unconditional discriminator."
            )
            raise ArchitectureError(msg)
        self.spec = spec
        self.taps = spec.taps or architecture.taps
        if not self.taps:
            msg = f"Architecture '{architecture.name}' names no taps to read features from. Use the setting taps."
            raise ArchitectureError(msg)
        self.device = device
        self._network = copy.deepcopy(network).eval().requires_grad_(False).to(device)
        self.dtype = self._usable(choose_precision(spec.precision, device), architecture.image_shape)
        self.shapes = self._trace_shapes(architecture.image_shape)
        self._fast: nn.Module | None = None

    @property
    def size(self) -> int:
        """D, number of features of an image."""
        return sum(c * h * w for c, h, w in self.shapes.values())

    def reestimate(
        self,
        batches: Iterable[Any],
        read: Callable[[Any], Tensor] | None = None,
        gather: Callable[[Tensor], Tensor] | None = None,
    ) -> int:
        """Re-estimate the BatchNorm statistics on batches of images; returns their number.

        Args:
            batches: Prepared images (n, C, H, W), or what ``read`` makes them of; this process's share where ``gather``
                is given.
            read: Called in threads.
            gather: See ``reestimate``.
        """
        network = _in_precision(copy.deepcopy(self._network), self.dtype)
        with_winograd(network, frozen=True)

        def forward(own: nn.Module, batch: Any) -> object:
            return own(self._place(batch if read is None else read(batch), self.dtype))

        used = reestimate(network, batches, forward, gather=gather)
        for name, layer in batchnorm_layers(self._network).items():
            source = batchnorm_layers(network)[name]
            layer.running_mean, layer.running_var = source.running_mean, source.running_var
        self._fast = None
        return used

    def network_state(self) -> dict[str, Tensor]:
        """Return the state dict of the network with its present statistics."""
        return self._network.state_dict()

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return the features of prepared images.

        Args:
            images: Shape (N, C, H, W) in the architecture's ``image_range``.

        Returns:
            Features (N, D) in the arithmetic's dtype, on the device; columns tap by tap in the order of ``taps``.
        """
        return self._features(self._ready(), images, self.dtype)

    def stream(
        self, items: Iterable[Item], read: Callable[[Item], Tensor], dtype: torch.dtype = torch.float32
    ) -> Iterator[Tensor]:
        """Yield the features (n, D) of one batch after the other, on the CPU; batches are worked on side by side.

        Args:
            items: What the batches are made of.
            read: Makes prepared images (n, C, H, W) of an item; called in threads.
            dtype: Of the features.
        """

        def features(network: nn.Module, item: Item) -> Tensor:
            with torch.no_grad():
                return self._features(network, read(item), self.dtype).to("cpu", dtype)

        return run_batches(features, self._ready(), items)

    def columns(self) -> dict[str, slice]:
        """Return which columns belong to which tap."""
        result, start = {}, 0
        for tap, (channels, height, width) in self.shapes.items():
            stop = start + channels * height * width
            result[tap] = slice(start, stop)
            start = stop
        return result

    @torch.no_grad()
    def precision_error(self, images: Tensor) -> PrecisionError:
        """Compare with the same network in float32 on a few images (N, C, H, W)."""
        exact = self._features(self._prepare(torch.float32), images, torch.float32)
        difference = self(images).float() - exact
        norm = float(exact.norm())
        relative = float(difference.norm()) / norm if norm else 0.0
        return PrecisionError(relative, float(difference.abs().max()), len(images))

    def _trace_shapes(self, image_shape: tuple[int, int, int]) -> dict[str, tuple[int, int, int]]:
        with torch.no_grad(), capture(self._network, self.taps) as outputs:
            self._network(torch.zeros(1, *image_shape, device=self.device))
            self.largest_map = max(outputs[tap].numel() for tap in self.taps)
            return {tap: pooled_shape(tuple(outputs[tap].shape[1:]), self.spec.grid) for tap in self.taps}

    @torch.no_grad()
    def _usable(self, dtype: torch.dtype, image_shape: tuple[int, int, int]) -> torch.dtype:
        """Return float32 where precision is ours to choose and a plugin's network runs in no other."""
        if self.spec.precision != "auto" or dtype == torch.float32 or isinstance(self._network, Discriminator):
            return dtype
        try:
            _in_precision(copy.deepcopy(self._network), dtype)(self._place(torch.zeros(1, *image_shape), dtype))
        except RuntimeError:  # tensors of its own, in float32
            return torch.float32
        return dtype

    def _ready(self) -> nn.Module:
        if self._fast is None:
            self._fast = with_winograd(self._prepare(self.dtype), frozen=True)
        return self._fast

    def _prepare(self, dtype: torch.dtype) -> nn.Module:
        network = copy.deepcopy(self._network)
        if self.spec.batchnorm == "batch":
            for layer in batchnorm_layers(network).values():
                layer.train()
                layer.track_running_stats = False
                layer.running_mean = layer.running_var = None
        else:
            fold_batchnorm(network, self.taps)
        return _in_precision(network, dtype)

    def _place(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        return images.to(self.device, dtype, non_blocking=True, memory_format=torch.channels_last)

    def _features(self, network: nn.Module, images: Tensor, dtype: torch.dtype) -> Tensor:
        images = self._place(images, dtype)
        with capture(network, self.taps) as outputs:
            network(images)
            return torch.cat([pool_to_grid(outputs[tap], self.spec.grid) for tap in self.taps], dim=1)


def _in_precision(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    # BatchNorm keeps float32 parameters and statistics; torch normalises reduced-precision maps with them.
    network = network.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for layer in batchnorm_layers(network).values():
        layer.float()
    return network
