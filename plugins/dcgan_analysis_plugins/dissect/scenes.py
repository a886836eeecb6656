"""Samples that were looked at, halved; and what every unit of the two networks answers to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis.annotations.cells import cells_inside
from dcgan_analysis.checkpoints.sampling import BATCH
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.models.hooks import capture
from dcgan_analysis.models.tracing import trace_role
from dcgan_analysis.units.boxed import Scene, boxed_scene, check_boxes, chosen_layer, find_boxes
from dcgan_analysis.units.detector import Detector, make_detector, removed
from dcgan_analysis.units.hypercolumns import on_grid

if TYPE_CHECKING:
    from torch import Tensor

    from dcgan_analysis.annotations.boxes import Boxes
    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.checkpoints.sampling import Sampler

__all__ = [
    "Detector",
    "Looked",
    "check_boxes",
    "chosen_layer",
    "discriminator_layers",
    "discriminator_values",
    "find_boxes",
    "generator_layers",
    "generator_values",
    "look",
    "make_detector",
    "removed",
]

_FEWEST = 4


@dataclass(frozen=True)
class Looked:
    """Samples that were looked at.

    Attributes:
        scene: The samples, with boxes or without.
        images: (N, C, H, W) in the image range.
        grid: Height and width of the grid on which units and object are compared: half of the image's.
        masks: (N, P) at which of its places the object is.
        choosing: (N,) the half that chooses thresholds and units; the other one measures.
    """

    scene: Scene
    images: Tensor
    grid: tuple[int, int]
    masks: Tensor
    choosing: Tensor

    def rows(self, *, choosing: bool, boxed: bool) -> list[int]:
        """Return the samples of one half: those with boxes, or all."""
        return [
            row
            for row, boxes in enumerate(self.scene.boxes)
            if bool(self.choosing[row]) == choosing and (boxes or not boxed)
        ]


def look(context: RunContext, sampler: Sampler, boxes: Boxes) -> Looked:
    """Draw the samples that were looked at, and halve them: of those with boxes, and of those without.

    Raises:
        AnalysisError: If fewer than four have boxes.
    """
    scene = boxed_scene(context, boxes, empty=True)
    with_boxes = [row for row, of_sample in enumerate(scene.boxes) if of_sample]
    if len(with_boxes) < _FEWEST:
        msg = (
            f"There are boxes of '{boxes.object}' on {len(with_boxes)} samples; {_FEWEST} are needed, half of them to "
            "choose units. Draw more."
        )
        raise AnalysisError(msg)
    rng, choosing = context.rng("halves"), np.zeros(len(scene.z), bool)
    without = sorted(set(range(len(scene.z))) - set(with_boxes))
    for kind in (with_boxes, without):
        choosing[rng.permutation(kind)[::2].astype(int)] = True
    size = context.checkpoint.architecture.image_shape[1:]
    grid = (size[0] // 2, size[1] // 2)
    masks = np.stack([cells_inside(of_sample, grid, size).ravel() for of_sample in scene.boxes])
    images = sampler.images(scene.z, scene.labels)
    return Looked(scene, images, grid, torch.from_numpy(masks), torch.from_numpy(choosing))


def generator_layers(sampler: Sampler, layer: str | None = None) -> list[str]:
    """Return the layers of a generator that have maps, lowest first, and one that is asked for."""
    layers = trace_role(sampler.generator, sampler.checkpoint.architecture, "generator").map_taps
    return list(dict.fromkeys([*layers, *([] if layer is None else [layer])]))


def discriminator_layers(checkpoint: Checkpoint) -> list[str]:
    """Return the layers of a discriminator that have maps, lowest first; none where there is no discriminator."""
    if not checkpoint.has("discriminator"):
        return []
    layers = trace_role(checkpoint.discriminator(), checkpoint.architecture, "discriminator").layers
    with_maps = {layer.tap for layer in layers if len(layer.shape) == 3}
    return [tap for tap in checkpoint.architecture.taps if tap in with_maps]


def generator_values(sampler: Sampler, scene: Scene, layer: str, grid: tuple[int, int] | None = None) -> Tensor:
    """Return the activations (U, N, P) of a generator's layer, on a grid or, None, at the places of its maps."""
    with capture(sampler.generator, [layer]) as outputs:
        pages = [
            _page(outputs[layer], grid) for _ in sampler.batches(scene.z, scene.labels, what=f"activations of {layer}")
        ]
    return torch.cat(pages).transpose(0, 1).contiguous()


def discriminator_values(checkpoint: Checkpoint, looked: Looked, layer: str, device: torch.device) -> Tensor:
    """Return the activations (U, N, P) of a discriminator's layer on the samples, on the grid."""
    network = checkpoint.discriminator().requires_grad_(False).to(device)
    takes_labels = checkpoint.architecture.takes_labels("discriminator")
    pages = []
    with torch.inference_mode(), capture(network, [layer]) as outputs:
        for start in range(0, len(looked.images), BATCH):
            rows = slice(start, start + BATCH)
            labels = looked.scene.labels[rows] if takes_labels and looked.scene.labels is not None else None
            network(looked.images[rows], *([] if labels is None else [labels.to(device)]))
            pages.append(_page(outputs[layer], looked.grid))
    return torch.cat(pages).transpose(0, 1).contiguous()


def _page(maps: Tensor, grid: tuple[int, int] | None) -> Tensor:
    page = maps.float() if grid is None else on_grid(maps.float(), grid)
    return page.flatten(2).cpu()
