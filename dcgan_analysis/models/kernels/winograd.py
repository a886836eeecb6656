"""3x3 convolutions of stride 1 with a quarter of the multiplications: Winograd's minimal filtering, F(4x4, 3x3).

An output tile of 4x4 pixels comes of 36 products for each pair of maps instead of 144,
``Y = A' [(G g G') * (B' d B)] A`` for kernel g and input tile d of 6x6 pixels; the sums over the input maps are 36
matrix products. For processors without units for bfloat16, where convolutions in float32 take most of a network's time
and torch's run close to the peak of the machine. The rounding error is some five times that of the direct sum: 3e-6 of
the norm of the output.

The gradients by images and by kernels have the same form and save as much.

Reference: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, arXiv 1509.09308, section 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

Network = TypeVar("Network", bound=nn.Module)

# Output pixels and input pixels of a tile, along either axis.
_OUT, _IN = 4, 6
# Section 4.3 of the reference: transforms of an input tile, a kernel and an output tile along one axis.
_INPUT = [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
          [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]]  # fmt: skip
_KERNEL = [[1 / 4, 0.0, 0.0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6],
           [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0.0, 0.0, 1.0]]  # fmt: skip
_OUTPUT = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
# With fewer maps the transforms cost what the products save: from 64 to 128 maps a step of training gains nothing.
_MAPS = 128
# Elements of the largest intermediate result of images that pass together: 16 MB stay in the cache.
_ELEMENTS = 1 << 22
# Output pixels computed, over those wanted, from which on the direct convolution is used.
_WASTE = 1.5


def transform_kernels(kernels: Tensor) -> Tensor:
    """Transform kernels (O, I, 3, 3) for ``convolve``: (36, I, O)."""
    outputs, inputs = kernels.shape[:2]
    # Rows of input maps lie together in channels-last kernels, so this copy is cheap.
    flat = kernels.permute(2, 3, 0, 1).reshape(3, 3, outputs * inputs)
    return _both_axes(_KERNEL, flat).view(_IN * _IN, outputs, inputs).transpose(1, 2)


def convolve(images: Tensor, transformed: Tensor) -> Tensor:
    """Convolve maps with 3x3 kernels, stride 1, one pixel of zeros around.

    Args:
        images: (N, I, H, W).
        transformed: (36, I, O), of ``transform_kernels``.

    Returns:
        (N, O, H, W), channels last.

    Example:
        >>> images, kernels = torch.rand(2, 3, 8, 8), torch.rand(5, 3, 3, 3)
        >>> direct = torch.nn.functional.conv2d(images, kernels, padding=1)
        >>> torch.allclose(convolve(images, transform_kernels(kernels)), direct, atol=1e-4)
        True
    """
    _, inputs, height, width = images.shape
    outputs = transformed.shape[2]
    down, across = -(-height // _OUT), -(-width // _OUT)
    parts = []
    for part in _parts(images, max(inputs, outputs)):
        products = torch.bmm(_spectra(part), transformed).view(_IN, _IN, -1)
        tiles = _both_axes(_OUTPUT, products).view(_OUT, _OUT, len(part), down, across, outputs)
        image = tiles.permute(2, 3, 0, 4, 1, 5).reshape(len(part), _OUT * down, _OUT * across, outputs)
        parts.append(image[:, :height, :width])
    return torch.cat(parts).permute(0, 3, 1, 2)


def kernel_gradient(images: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient by the kernels, (O, I, 3, 3).

    Args:
        images: (N, I, H, W), what was convolved.
        gradient: (N, O, H, W), by the output.
    """
    inputs, outputs = images.shape[1], gradient.shape[1]
    largest = max(inputs, outputs)
    total = images.new_zeros(_IN * _IN, inputs, outputs)
    for part, own in zip(_parts(images, largest), _parts(gradient, largest), strict=True):
        tiles = F.pad(own, (0, 0, 0, -own.shape[2] % _OUT, 0, -own.shape[1] % _OUT))
        tiles = tiles.unfold(1, _OUT, _OUT).unfold(2, _OUT, _OUT).permute(4, 5, 0, 1, 2, 3).reshape(_OUT, _OUT, -1)
        products = _both_axes(_transposed(_OUTPUT), tiles).view(_IN * _IN, -1, outputs)
        total.baddbmm_(_spectra(part).transpose(1, 2), products)
    kernels = _both_axes(_transposed(_KERNEL), total.view(_IN, _IN, -1))
    return kernels.view(3, 3, inputs, outputs).permute(3, 2, 0, 1)


def _parts(maps: Tensor, channels: int) -> tuple[Tensor, ...]:
    """Split maps (N, C, H, W) into channels-last parts (n, H, W, C) whose spectra of so many maps stay in the cache."""
    tiles = -(-maps.shape[2] // _OUT) * -(-maps.shape[3] // _OUT)
    return torch.split(maps.permute(0, 2, 3, 1), max(1, _ELEMENTS // (_IN * _IN * tiles * channels)))


def _spectra(part: Tensor) -> Tensor:
    """Transform the input tiles of maps (n, H, W, C): (36, tiles, C)."""
    height, width, channels = part.shape[1:]
    padded = F.pad(part, (0, 0, 1, 1 + -width % _OUT, 1, 1 + -height % _OUT))
    tiles = padded.unfold(1, _IN, _OUT).unfold(2, _IN, _OUT).permute(4, 5, 0, 1, 2, 3).reshape(_IN, _IN, -1)
    return _both_axes(_INPUT, tiles).view(_IN * _IN, -1, channels)


def _transposed(transform: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    return list(zip(*transform, strict=True))


def _both_axes(transform: Sequence[Sequence[float]], values: Tensor) -> Tensor:
    """Transform the first two axes of ``values`` (n, n, P), one after the other."""
    matrix = torch.tensor(transform, dtype=values.dtype, device=values.device)
    rows = torch.matmul(matrix, values)
    return (matrix @ rows.flatten(1)).view(len(matrix), len(matrix), -1)


def _pays(images: Tensor) -> bool:
    """Whether these maps stay in float32 and fill the tiles that cover them."""
    height, width = images.shape[2:]
    covered = (-(-height // _OUT) * _OUT) * (-(-width // _OUT) * _OUT)
    return not torch.is_autocast_enabled(images.device.type) and covered <= _WASTE * height * width


class WinogradConv2d(nn.Conv2d):
    """A 3x3 convolution of stride 1 with one pixel of padding; direct where this does not pay.

    Attributes:
        transformed: Kernels transformed once, where they will not change; None: at every pass.
    """

    transformed: Tensor | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, I, H, W) to (N, O, H, W)."""
        if not _pays(input):
            return super().forward(input)
        return _apply(input, self.weight, self.transformed, self.bias)


class WinogradConvTranspose2d(nn.ConvTranspose2d):
    """A 3x3 transposed convolution of stride 1 with one pixel of padding: a convolution with turned kernels.

    Attributes:
        transformed: Kernels transformed once, where they will not change; None: at every pass.
    """

    transformed: Tensor | None = None

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Map (N, I, H, W) to (N, O, H, W)."""
        if not _pays(input):
            return super().forward(input, output_size)
        return _apply(input, _turned(self.weight), self.transformed, self.bias)


class _Convolution(torch.autograd.Function):
    """``convolve`` with kernels (O, I, 3, 3); the gradient by the images is a convolution with the turned kernels."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, kernels: Tensor) -> Tensor:
        ctx.save_for_backward(images, kernels)
        return convolve(images, transform_kernels(kernels))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        images, kernels = ctx.saved_tensors
        by_images, by_kernels = ctx.needs_input_grad
        return (
            convolve(gradient, transform_kernels(_turned(kernels))) if by_images else None,
            kernel_gradient(images, gradient) if by_kernels else None,
        )


def _apply(images: Tensor, kernels: Tensor, transformed: Tensor | None, bias: Tensor | None) -> Tensor:
    """Convolve with kernels (O, I, 3, 3), transformed before or now."""
    maps = _Convolution.apply(images, kernels) if transformed is None else convolve(images, transformed)
    if bias is None:
        return maps
    bias = bias[:, None, None]
    return maps + bias if maps.requires_grad else maps.add_(bias)


def _turned(kernels: Tensor) -> Tensor:
    """Kernels (I, O, 3, 3) of a transposed convolution as those (O, I, 3, 3) of a convolution, and back."""
    return kernels.flip(2, 3).transpose(0, 1)


def with_winograd(network: Network, *, frozen: bool = False) -> Network:
    """Let a network's 3x3 convolutions of stride 1 and enough maps use the fast algorithm, in float32 on a CPU.

    Parameters stay the same objects under the same names.

    Args:
        network: Changed in place.
        frozen: Whether its kernels will not change any more: they are transformed now.

    Returns:
        The network.
    """
    for parent in list(network.modules()):
        for name, module in list(parent.named_children()):
            if _suits(module):
                setattr(parent, name, _replaced(module, frozen=frozen))
    return network


def _suits(module: nn.Module) -> TypeGuard[nn.Conv2d | nn.ConvTranspose2d]:
    # Exactly these types: a subclass, such as a parametrised convolution, computes its kernels in its own way.
    if type(module) not in (nn.Conv2d, nn.ConvTranspose2d):
        return False
    assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    placed = module.weight.dtype == torch.float32 and module.weight.device.type == "cpu"
    plain = module.dilation == (1, 1) and module.groups == 1 and module.padding_mode == "zeros"
    shape = (module.kernel_size, module.stride, module.padding) == ((3, 3), (1, 1), (1, 1))
    enough = min(module.in_channels, module.out_channels) >= _MAPS
    return placed and plain and shape and enough and set(module.output_padding) == {0}


def _replaced(module: nn.Conv2d | nn.ConvTranspose2d, *, frozen: bool) -> WinogradConv2d | WinogradConvTranspose2d:
    """Return the fast layer with the mode and the very parameters of ``module``."""
    kind = WinogradConvTranspose2d if isinstance(module, nn.ConvTranspose2d) else WinogradConv2d
    layer = kind(module.in_channels, module.out_channels, 3, 1, 1, bias=module.bias is not None, device="meta")
    layer.weight, layer.bias = module.weight, module.bias
    layer.train(module.training)
    if frozen:
        kernels = _turned(module.weight) if isinstance(module, nn.ConvTranspose2d) else module.weight
        layer.transformed = transform_kernels(kernels).detach()
    return layer
