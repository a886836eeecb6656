"""How different two images look: the distance of a network's activations, each position's scaled to length one.

The rows that an embedding returns have this Euclidean distance: its square is the mean over taps, then over positions,
of the squared difference between the two unit vectors of channels, as in LPIPS (Zhang et al. 2018, arXiv 1801.03924)
without its learned weights. It lies between 0 and 2.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from dcgan_analysis.data.preprocessing import Preprocessing
from dcgan_analysis.errors import CheckpointError
from dcgan_analysis.features.pooling import pool_to_grid
from dcgan_analysis.models.hooks import capture
from dcgan_analysis.models.replicas import run_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from torch import Tensor, nn

    from dcgan_analysis.models.architecture import Architecture

VGG19_FILE = "vgg19-dcbb9e9d.pth"
"""Torchvision's weights of VGG-19, trained on ImageNet-1k, as torch's hub cache calls them."""

# The last activation of each of its five blocks.
_VGG19_TAPS = ("3", "8", "17", "26", "35")
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PerceptualEmbedding:
    """Maps images to rows whose Euclidean distance says how different they look.

    Args:
        network: Any network; used in evaluation mode, never changed.
        taps: Modules whose outputs count, (N, C, H, W) or (N, D).
        prepare: Turns bytes (N, C, H, W) into the network's input.
        device: Where to compute.
        grid: Cells per side that maps are max-pooled to, so that small shifts count less; None: every position.
        batch: Images per forward pass.
    """

    def __init__(
        self,
        network: nn.Module,
        taps: Sequence[str],
        prepare: Callable[[np.ndarray], Tensor],
        device: torch.device,
        *,
        grid: int | None = None,
        batch: int = 64,
    ) -> None:
        self._network = network.eval().requires_grad_(False).to(device)
        self._taps = tuple(taps)
        self._prepare = prepare
        self._device = device
        self._grid = grid
        self._batch = batch

    def __call__(self, images: np.ndarray, labels: Tensor | None = None) -> Tensor:
        """Embed images.

        Args:
            images: uint8 (N, C, H, W).
            labels: Class numbers (N,), for a conditional network.

        Returns:
            (N, D), float32 on the CPU.
        """

        @torch.inference_mode()
        def embed(network: nn.Module, start: int) -> Tensor:
            chosen = slice(start, start + self._batch)
            inputs = [self._prepare(images[chosen]).to(self._device)]
            if labels is not None:
                inputs.append(labels[chosen].to(self._device))
            with capture(network, self._taps) as outputs:
                network(*inputs)
                return torch.cat([self._unit(outputs[tap]) for tap in self._taps], dim=1).cpu()

        rows = list(run_batches(embed, self._network, range(0, len(images), self._batch)))
        return torch.cat(rows) if rows else torch.empty(0, 0)

    def _unit(self, maps: Tensor) -> Tensor:
        n, channels = maps.shape[:2]
        if self._grid is not None and maps.dim() == 4:
            maps = pool_to_grid(maps, self._grid)
        units = F.normalize(maps.reshape(n, channels, -1).float(), dim=1)
        rows: Tensor = units.flatten(1) / (units.shape[2] * len(self._taps)) ** 0.5
        return rows


def discriminator_embedding(
    network: nn.Module, architecture: Architecture, device: torch.device, *, grid: int | None = None
) -> PerceptualEmbedding:
    """Return the embedding by a discriminator's own conv layers.

    Args:
        network: The discriminator; a conditional one takes labels with the images.
        architecture: Gives taps, image shape and range.
        device: Where to compute.
        grid: As in :class:`PerceptualEmbedding`.
    """
    prepare = Preprocessing.for_range(architecture.image_shape, architecture.image_range)
    return PerceptualEmbedding(network, architecture.taps, prepare, device, grid=grid)


def vgg19_path() -> Path | None:
    """Return where torchvision's VGG-19 weights lie in torch's hub cache; None: they are not there."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / VGG19_FILE
    return path if path.is_file() else None


def vgg19_embedding(device: torch.device, *, grid: int | None = None) -> PerceptualEmbedding:
    """Return the embedding by VGG-19 trained on ImageNet, from the hub cache; nothing is ever downloaded.

    Raises:
        CheckpointError: If the weights are absent or damaged.
    """
    from torchvision.models.vgg import cfgs, make_layers

    path = vgg19_path()
    if path is None:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        msg = (
            f"VGG-19's weights are not in torch's hub cache: '{folder / VGG19_FILE}' is absent. Put the file there "
            "(torchvision.models.vgg19(weights='IMAGENET1K_V1') downloads it), or use the discriminator's features."
        )
        raise CheckpointError(msg)
    # The classifier, four fifths of the weights, is not needed.
    layers = make_layers(cfgs["E"])
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        prefix = "features."
        layers.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    except (RuntimeError, OSError, ValueError, AttributeError) as error:
        first = str(error).splitlines()[0]
        msg = f"VGG-19's weights '{path}' cannot be used: {first} Fetch the file again."
        raise CheckpointError(msg) from None
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (_IMAGENET_MEAN, _IMAGENET_STD))

    def prepare(images: np.ndarray) -> Tensor:
        colour = Preprocessing((3, *images.shape[2:]), "scale-to-[0,1]", "resize")(images)
        scaled: Tensor = (colour - mean) / std
        return scaled

    return PerceptualEmbedding(layers, _VGG19_TAPS, prepare, device, grid=grid, batch=16)
