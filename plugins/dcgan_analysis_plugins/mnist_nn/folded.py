"""A generator in evaluation mode, made of fewer and faster operations.

Batch normalisation with fixed statistics is a factor and a shift of each unit; the factors join the weights. A label
that joins a layer's input adds the same to every image of its class; that and the shift are a table with a row for
each class. So a layer is an operation on its input without the label, and the addition of a row.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from dcgan_analysis.models.builder import Block, Generator

if TYPE_CHECKING:
    from torch import Tensor

# Transposed convolutions to so few maps are slow in torch: most of their time goes into moving data.
_FEW_MAPS = 8
# Images that pass convolutions at a time on a processor: their maps stay in the cache.
_PART = 50


def faster_copy(network: nn.Module) -> nn.Module:
    """Copy a generator in evaluation mode so that it runs faster and gives the same images up to rounding.

    Batch normalisation and labels are folded (of networks of plain layers), weights are laid out channels
    last, and transposed convolutions to few maps become one product and an addition of overlapping patches.
    """
    copied = copy.deepcopy(network).eval()
    if type(copied) is Generator and all(isinstance(block, Block) and block.plain for block in copied.children()):
        copied = _FoldedGenerator(copied)
    for parent in list(copied.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, nn.ConvTranspose2d) and _has_few_maps(module):
                setattr(parent, name, _FewMapsDeconvolution(module))
    placed: nn.Module = copied.to(memory_format=torch.channels_last)
    return placed


class _FoldedGenerator(nn.Module):
    """Folded blocks: fully connected ones take a batch as a whole, the others a part at a time."""

    def __init__(self, network: Generator) -> None:
        super().__init__()
        blocks = [block for _, block in network.named_children()]
        x = torch.zeros(1, network.architecture.z_size)
        folded = []
        for block in blocks:
            folded.append(_FoldedBlock(block, x, network.architecture.classes))
            x = folded[-1](x, torch.zeros(1, dtype=torch.int64))
        maps = [number for number, block in enumerate(blocks) if not isinstance(block.operation, nn.Linear)]
        first = maps[0] if maps else len(blocks)
        self.dense, self.maps = nn.ModuleList(folded[:first]), nn.ModuleList(folded[first:])

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        labels = torch.zeros(len(z), dtype=torch.int64, device=z.device) if labels is None else labels
        for block in self.dense:
            z = block(z, labels)
        size = _PART if self.maps and z.device.type == "cpu" else len(z)
        parts = zip(torch.split(z, size), torch.split(labels, size), strict=True)
        return torch.cat([self._images(x, classes) for x, classes in parts])

    def _images(self, x: Tensor, labels: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
        for block in self.maps:
            x = block(x, labels)
        return x


class _FoldedBlock(nn.Module):
    """One layer with the factors of its batch normalisation in its weights.

    Args:
        block: The layer, in evaluation mode; changed.
        x: An input without label, (1, ...).
        classes: K; 0: there are no labels.
    """

    table: Tensor

    @torch.no_grad()
    def __init__(self, block: Block, x: Tensor, classes: int) -> None:
        super().__init__()
        self.conditional = block.conditional and classes > 0
        self.operation, self.reshape = block.operation, block.reshape
        self.activation, block.activation = block.activation, nn.Identity()
        if isinstance(self.activation, nn.ReLU | nn.LeakyReLU):
            self.activation.inplace = True
        # What no input gives: of each class, or once.
        silent = x.new_zeros(classes if self.conditional else 1, *x.shape[1:])
        self.register_buffer("table", block(silent, torch.eye(classes) if self.conditional else None))
        inputs = x[0].numel() if isinstance(self.operation, nn.Linear) else x.shape[1]
        self.operation.weight = nn.Parameter(_folded(self.operation, block.norm, inputs), requires_grad=False)
        self.operation.register_parameter("bias", None)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        weights = self.table[labels] if self.conditional else self.table
        if isinstance(self.operation, nn.Linear):
            x = torch.addmm(weights.flatten(1), x.flatten(1), self.operation.weight.T)
            x = x if self.reshape is None else x.view(len(x), *self.reshape)
        else:
            x = self.operation(x)
            x += weights
        activated: Tensor = self.activation(x)
        return activated


def _folded(operation: nn.Module, norm: nn.Module, inputs: int) -> Tensor:
    """Return the weights of the first inputs, times the factors of batch normalisation."""
    transposed = isinstance(operation, nn.ConvTranspose2d)
    weight: Tensor = operation.get_parameter("weight").double()
    weight = weight[:inputs] if transposed else weight[:, :inputs]
    if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
        assert norm.running_var is not None
        factors = (norm.running_var.double() + norm.eps).rsqrt()
        if norm.affine:
            factors = factors * norm.weight.double()
        outputs = weight.shape[1 if transposed else 0]
        # One for each map of a reshaped layer, where there are fewer than units.
        factors = factors.repeat_interleave(outputs // len(factors))
        shape = [1] * weight.dim()
        shape[1 if transposed else 0] = outputs
        weight = weight * factors.view(shape)
    return weight.float().contiguous()


def _has_few_maps(layer: nn.ConvTranspose2d) -> bool:
    return layer.out_channels <= _FEW_MAPS and layer.groups == 1 and set(layer.dilation) == {1}


class _FewMapsDeconvolution(nn.Module):
    """A transposed convolution as a product with all of its kernels, then the sum of the patches that overlap."""

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias  # (C, C', k, k)
        self._kernel, self._stride = layer.kernel_size, layer.stride
        self._padding = tuple(int(length) for length in layer.padding)
        self._output_padding = layer.output_padding

    def forward(self, x: Tensor) -> Tensor:
        sizes = zip(x.shape[2:], self._stride, self._padding, self._kernel, self._output_padding, strict=True)
        out = [(size - 1) * stride - 2 * pad + kernel + more for size, stride, pad, kernel, more in sizes]
        # (N, H W, C) @ (C, C' k k): a view without a copy where channels lie last.
        patches = x.permute(0, 2, 3, 1).flatten(1, 2) @ self.weight.flatten(1)
        result = F.fold(
            patches.transpose(1, 2), (out[0], out[1]), self._kernel, padding=self._padding, stride=self._stride
        )
        return result if self.bias is None else result + self.bias[:, None, None]
