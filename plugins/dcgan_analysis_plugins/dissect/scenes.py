"""Samples in which the object is known, halved; and what every unit of the two networks answers to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis.annotations.cells import cells_inside
from dcgan_analysis.checkpoints.sampling import BATCH, as_bytes, class_labels
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.latents.attributes import judged_names, train_judge
from dcgan_analysis.models.hooks import capture
from dcgan_analysis.models.replicas import run_batches
from dcgan_analysis.models.tracing import trace_role
from dcgan_analysis.units.boxed import Scene, boxed_scene, check_boxes, chosen_layer, find_boxes
from dcgan_analysis.units.detector import make_detector
from dcgan_analysis.units.hypercolumns import on_grid

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from dcgan_analysis.annotations.boxes import Boxes
    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.checkpoints.sampling import Sampler
    from dcgan_analysis.latents.attributes import Judge
    from dcgan_analysis_plugins.dissect.analysis import DissectConfig

__all__ = [
    "Examined",
    "Sight",
    "check_layers",
    "check_object",
    "discriminator_layers",
    "discriminator_values",
    "examine",
    "generator_layers",
    "generator_maps",
    "generator_values",
]

_FEWEST = 4


@dataclass(frozen=True)
class Examined:
    """Samples of which it is known where they show an object.

    Attributes:
        object: Its name.
        scene: The samples, with boxes or without; an attribute fills the whole of those that show it.
        images: (N, C, H, W) in the image range.
        grid: Height and width of the grid on which units and object are compared: half of the image's; of an attribute
            the whole image is one place.
        masks: (N, P) at which of its places the object is.
        choosing: (N,) the half that chooses thresholds and units; the other one measures.
    """

    object: str
    scene: Scene
    images: Tensor
    grid: tuple[int, int]
    masks: Tensor
    choosing: Tensor

    @property
    def whole(self) -> bool:
        """Whether the object is an attribute of whole images."""
        return self.grid == (1, 1)

    @property
    def places(self) -> str:
        """What units are compared with, in words."""
        return f"the samples that show '{self.object}'" if self.whole else "the boxes"

    def rows(self, *, choosing: bool, boxed: bool | None = None) -> list[int]:
        """Return the samples of one half: those with boxes, those without, or, None, all."""
        return [
            row
            for row, boxes in enumerate(self.scene.boxes)
            if bool(self.choosing[row]) == choosing and boxed in (None, bool(boxes))
        ]


@dataclass(frozen=True)
class Sight:
    """Says which places of images show the object; it looks at images alone.

    Attributes:
        kind: Who sees, in words.
        grid: Height and width of the places.
        seen: Maps images (N, C, H, W), and labels (N,) or None, to what each of J judges says, (N, J, *grid).
    """

    kind: str
    grid: tuple[int, int]
    seen: Callable[[Tensor, Tensor | None], Tensor]


def check_object(context: RunContext, config: DissectConfig) -> None:
    """Refuse boxes that are not there, or an attribute that the dataset does not know.

    Raises:
        AnalysisError: If there are boxes on fewer than two samples.
        AnnotationError: If there are no boxes, they are damaged, or they are of another checkpoint's samples.
        UnknownNameError: If the dataset has no such attribute.
    """
    if config.attribute:
        judged_names(context.split("train"), [config.attribute])
    else:
        check_boxes(context.checkpoint, config.boxes, config.object)


def examine(context: RunContext, config: DissectConfig, sampler: Sampler) -> tuple[Examined, Sight, int | None]:
    """Return samples in which the object is known, who says where it is, and the class of the samples.

    Raises:
        AnalysisError: If too few samples show the object.
    """
    if config.attribute:
        with context.stage("attribute classifier"):
            judge = train_judge(context, steps=config.classifier_steps, networks=config.judges)
        with context.stage("samples"):
            examined, judge = _by_attribute(context, sampler, judge, config.attribute, config.samples)
        shown = sum(map(bool, examined.scene.boxes))
        context.note(f"'{examined.object}' is shown by {shown} of {config.samples} samples of seed {context.seed}.")
        return examined, _sight_of_attribute(context.checkpoint, judge, config.attribute), sampler.label
    with context.stage("boxes"):
        boxes, source = find_boxes(
            context.checkpoint, config.boxes, config.object, n=config.n, seed=context.seed, label=config.label
        )
        examined = _by_boxes(context, sampler, boxes)
    context.note(
        f"Boxes of '{boxes.object}': {len(boxes.boxes)} on {len(boxes.by_sample())} of {len(examined.scene.z)} samples "
        f"of seed {boxes.seed}, {source}."
    )
    return examined, _sight_of_boxes(context, config, examined), boxes.label


def _by_boxes(context: RunContext, sampler: Sampler, boxes: Boxes) -> Examined:
    """Draw the samples in which boxes were looked for, and halve them: those with boxes, and those without."""
    scene = boxed_scene(context, boxes, empty=True)
    with_boxes = sum(map(bool, scene.boxes))
    if with_boxes < _FEWEST:
        msg = (
            f"There are boxes of '{boxes.object}' on {with_boxes} samples; {_FEWEST} are needed, half of them to "
            "choose units. Draw more."
        )
        raise AnalysisError(msg)
    height, width = context.checkpoint.architecture.image_shape[1:]
    images = sampler.images(scene.z, scene.labels)
    return _halved(context, boxes.object, scene, images, (height // 2, width // 2))


def _by_attribute(
    context: RunContext, sampler: Sampler, judge: Judge, attribute: str, samples: int
) -> tuple[Examined, Judge]:
    """Draw samples and let attribute classifiers say which of them show an attribute, or more of it than usual.

    Returns:
        The samples, halved, and the classifiers, whose numbers are relative to these samples.
    """
    z = context.checkpoint.latents(samples, context.seed)
    labels = class_labels(context.checkpoint.architecture, range(samples), sampler.label)
    images = sampler.images(z, labels)
    page = as_bytes(context.checkpoint, images)
    judge = judge.centred_on(judge.each(page))
    shown = judge(page)[:, judge.column(attribute)] > 0
    if min(shown.sum(), (~shown).sum()) < _FEWEST:
        msg = (
            f"Of {samples:,} samples {int(shown.sum()):,} show '{attribute}'; {_FEWEST} that do and {_FEWEST} that do "
            "not are needed. Draw more by the setting samples=N, or choose another attribute."
        )
        raise AnalysisError(msg)
    height, width = context.checkpoint.architecture.image_shape[1:]
    boxes = [[(0.0, 0.0, float(width), float(height))] if there else [] for there in shown]
    return _halved(context, attribute, Scene(z, labels, boxes), images, (1, 1)), judge


def _halved(context: RunContext, name: str, scene: Scene, images: Tensor, grid: tuple[int, int]) -> Examined:
    rng, choosing = context.rng("halves"), np.zeros(len(scene.z), bool)
    size = (images.shape[2], images.shape[3])
    for there in (True, False):
        kind = [row for row, boxes in enumerate(scene.boxes) if bool(boxes) == there]
        choosing[rng.permutation(kind)[::2].astype(int)] = True
    masks = np.stack([cells_inside(of_sample, grid, size).ravel() for of_sample in scene.boxes])
    return Examined(name, scene, images, grid, torch.from_numpy(masks), torch.from_numpy(choosing))


def _sight_of_boxes(context: RunContext, config: DissectConfig, examined: Examined) -> Sight:
    """Fit detectors of the object on the half that chooses."""
    rows = examined.rows(choosing=True, boxed=True)
    scene = examined.scene.take(rows)
    detector = make_detector(
        context.checkpoint,
        examined.images[rows],
        scene.labels,
        scene.boxes,
        kind=config.detector,
        judges=config.judges,
        device=context.device,
        rng=context.rng("detector"),
    )
    kind = f"{config.judges} detectors ({detector.kind}), fitted on the half that chooses"
    return Sight(kind, detector.positions.grid, detector.seen)


def _sight_of_attribute(checkpoint: Checkpoint, judge: Judge, attribute: str) -> Sight:
    """Let attribute classifiers look."""
    column = judge.column(attribute)

    def seen(images: Tensor, _: Tensor | None) -> Tensor:
        shown = judge.each(as_bytes(checkpoint, images))[..., column] > 0
        return torch.from_numpy(shown.T[:, :, None, None])

    return Sight("attribute classifiers, trained on real images", (1, 1), seen)


def generator_layers(sampler: Sampler, layer: str | None = None) -> list[str]:
    """Return the layers of a generator that have maps, lowest first, and one that is asked for."""
    layers = trace_role(sampler.generator, sampler.checkpoint.architecture, "generator").map_taps
    return list(dict.fromkeys([*layers, *([] if layer is None else [layer])]))


def check_layers(context: RunContext, layer: str | None) -> None:
    """Refuse a generator without maps, or a layer that it does not have.

    Raises:
        AnalysisError: If no layer has maps, or this one has none.
        UnknownNameError: If there is no layer of this name.
    """
    checkpoint = context.checkpoint
    if layer is not None:
        chosen_layer(context, layer)
    elif not trace_role(checkpoint.generator(), checkpoint.architecture, "generator").map_taps:
        msg = (
            f"The generator of '{checkpoint.name}' has no layer with maps that is a module. Name one by the setting "
            "layer=PATH, or choose a generator with convolutions."
        )
        raise AnalysisError(msg)


def discriminator_layers(checkpoint: Checkpoint) -> list[str]:
    """Return the layers of a discriminator that have maps, lowest first; none where there is no discriminator."""
    if not checkpoint.has("discriminator"):
        return []
    layers = trace_role(checkpoint.discriminator(), checkpoint.architecture, "discriminator").layers
    with_maps = {layer.tap for layer in layers if len(layer.shape) == 3}
    return [tap for tap in checkpoint.architecture.taps if tap in with_maps]


def generator_maps(sampler: Sampler, scene: Scene, layer: str) -> Tensor:
    """Return the maps (N, U, H, W) of a generator's layer while it draws a scene."""
    with capture(sampler.generator, [layer]) as outputs:
        batches = sampler.batches(scene.z, scene.labels, what=f"activations of {layer}")
        return torch.cat([outputs[layer].float().cpu() for _ in batches])


def generator_values(sampler: Sampler, scene: Scene, layer: str, grid: tuple[int, int]) -> Tensor:
    """Return the activations (U, N, P) of a generator's layer on a grid."""
    return _values(generator_maps(sampler, scene, layer), grid)


def discriminator_values(checkpoint: Checkpoint, examined: Examined, layer: str, device: torch.device) -> Tensor:
    """Return the activations (U, N, P) of a discriminator's layer on the samples, on the grid."""
    network = checkpoint.discriminator().requires_grad_(False).to(device)
    takes_labels = checkpoint.architecture.takes_labels("discriminator")

    @torch.inference_mode()
    def maps(own: nn.Module, start: int) -> Tensor:
        rows = slice(start, start + BATCH)
        labels = examined.scene.labels[rows] if takes_labels and examined.scene.labels is not None else None
        with capture(own, [layer]) as outputs:
            own(examined.images[rows], *([] if labels is None else [labels.to(device)]))
        return outputs[layer].float().cpu()

    pages = list(run_batches(maps, network, range(0, len(examined.images), BATCH)))
    return _values(torch.cat(pages), examined.grid)


def _values(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    return on_grid(maps, grid).flatten(2).transpose(0, 1).contiguous()
