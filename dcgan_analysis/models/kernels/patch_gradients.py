"""Convolutions of stride 2 whose gradient by the kernels is a product of patches with the output's gradient.

``dL/dK[o, i] = sum of g[n, o, y, x] * (patch of image n around (2y, 2x))[i]``: patches of some images laid side by
side make this one product of two matrices, which runs at the processor's peak. torch's own gradient of convolutions
with stride 2, many maps and small images reaches a third of it on CPUs (benchmarks/kernel_gradients.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn import grad

from dcgan_analysis.models.kernels.replacing import Network, is_plain, remade, replace_layers

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PatchConv2d", "PatchConvTranspose2d", "kernel_gradient", "with_patch_gradients"]

# With fewer maps torch's gradient runs near the peak too.
_MAPS = 128
# Elements of the patches laid out at a time: 8 MB stay in the cache.
_ELEMENTS = 1 << 21


def kernel_gradient(images: Tensor, gradient: Tensor, size: int, stride: int, padding: int) -> Tensor:
    """Return the gradient by the kernels of a convolution, (O, I, size, size).

    Args:
        images: (N, I, H, W), what was convolved.
        gradient: (N, O, h, w), by the output.
        size: Height and width of a kernel.
        stride: Of the convolution.
        padding: Zeros around the images.

    Example:
        >>> images, gradient = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2)
        >>> kernel_gradient(images, gradient, 3, 2, 1)[0, 0]
        tensor([[1., 2., 2.],
                [2., 4., 4.],
                [2., 4., 4.]])
    """
    inputs, (outputs, height, width) = images.shape[1], gradient.shape[1:]
    total = images.new_zeros(size * size * inputs, outputs)
    images, gradient = images.permute(0, 2, 3, 1), gradient.permute(0, 2, 3, 1)
    at_once = max(1, _ELEMENTS // (height * width * len(total)))
    for part, own in zip(torch.split(images, at_once), torch.split(gradient, at_once), strict=True):
        padded = F.pad(part, (0, 0, padding, padding, padding, padding))
        # Rows and columns beyond the last whole stride belong to no output.
        patches = padded.unfold(1, size, stride).unfold(2, size, stride)[:, :height, :width]
        patches = patches.permute(0, 1, 2, 4, 5, 3).reshape(-1, len(total))
        total.addmm_(patches.t(), own.reshape(-1, outputs))
    return total.view(size, size, inputs, outputs).permute(3, 2, 0, 1)


class PatchConv2d(nn.Conv2d):
    """A convolution of stride 2; its kernels' gradient comes of patches, in float32."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, I, H, W) to (N, O, h, w)."""
        if not _pays(input, self):
            return super().forward(input)
        maps: Tensor = _Convolution.apply(input, self.weight, self.stride[0], self.padding[0])
        return maps if self.bias is None else maps + self.bias[:, None, None]


class PatchConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution of stride 2; its kernels' gradient comes of patches, in float32."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Map (N, I, H, W) to (N, O, h, w)."""
        if output_size is not None or not _pays(input, self):
            return super().forward(input, output_size)
        settings = self.stride[0], self.padding[0], self.output_padding[0]
        maps: Tensor = _TransposedConvolution.apply(input, self.weight, *settings)
        return maps if self.bias is None else maps + self.bias[:, None, None]


class _Convolution(torch.autograd.Function):
    """``conv2d`` with kernels (O, I, k, k)."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, kernels: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(images, kernels)
        ctx.settings = stride, padding
        return F.conv2d(images, kernels, stride=stride, padding=padding)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, kernels = ctx.saved_tensors
        stride, padding = ctx.settings
        by_images, by_kernels = ctx.needs_input_grad[:2]
        by_image = None
        if by_images:
            by_image = grad.conv2d_input(images.shape, kernels, gradient, stride, padding)  # type: ignore[no-untyped-call]
        return (
            by_image,
            kernel_gradient(images, gradient, kernels.shape[2], stride, padding) if by_kernels else None,
            None,
            None,
        )


class _TransposedConvolution(torch.autograd.Function):
    """``conv_transpose2d`` with kernels (I, O, k, k): the gradient by the images is a convolution."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, kernels: Tensor, stride: int, padding: int, output_padding: int) -> Tensor:
        ctx.save_for_backward(images, kernels)
        ctx.settings = stride, padding
        return F.conv_transpose2d(images, kernels, None, stride, padding, output_padding)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, kernels = ctx.saved_tensors
        stride, padding = ctx.settings
        by_images, by_kernels = ctx.needs_input_grad[:2]
        return (
            F.conv2d(gradient, kernels, stride=stride, padding=padding) if by_images else None,
            # The roles turn round: what came out is cut into patches, what went in is their factor.
            kernel_gradient(gradient, images, kernels.shape[2], stride, padding) if by_kernels else None,
            None,
            None,
            None,
        )


def with_patch_gradients(network: Network) -> Network:
    """Let a network's convolutions of stride 2 and enough maps compute their kernels' gradients from patches.

    Parameters stay the same objects under the same names. Elsewhere than in float32 on a CPU nothing changes.

    Args:
        network: Changed in place.

    Returns:
        The network.
    """
    return replace_layers(network, _replaced)


def _replaced(module: nn.Module) -> nn.Module | None:
    if not is_plain(module, _MAPS) or module.stride != (2, 2) or isinstance(module.padding, str):
        return None
    if any(len({*lengths}) > 1 for lengths in (module.kernel_size, module.padding, module.output_padding)):
        return None
    return remade(module, PatchConvTranspose2d if isinstance(module, nn.ConvTranspose2d) else PatchConv2d)


def _pays(images: Tensor, module: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Whether a gradient by the kernels will be asked for, in float32."""
    return module.weight.requires_grad and torch.is_grad_enabled() and not torch.is_autocast_enabled(images.device.type)
