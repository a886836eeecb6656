"""Samples with boxes around an object, drawn by hand or found by a rule; new samples; the layer that is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dcgan_analysis.annotations.boxes import Box, Boxes, boxes_file, read_boxes
from dcgan_analysis.annotations.rules import RULES, check_rule, find_box
from dcgan_analysis.checkpoints.sampling import Sampler, class_labels
from dcgan_analysis.errors import AnalysisError, AnnotationError, UnknownNameError, unknown_name
from dcgan_analysis.models.hooks import capture
from dcgan_analysis.models.tracing import trace_role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from dcgan_analysis.annotations import cells
    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint

__all__ = [
    "Scene",
    "boxed_samples",
    "boxed_scene",
    "boxes_by_rule",
    "check_boxes",
    "chosen_layer",
    "find_boxes",
    "new_scene",
]

RULE = "rule:"


@dataclass(frozen=True)
class Scene:
    """Samples to draw again and again.

    Attributes:
        z: (N, Z).
        labels: (N,) classes, or None.
        boxes: Boxes of each sample in pixels; empty for new samples.
    """

    z: Tensor
    labels: Tensor | None
    boxes: Sequence[Sequence[cells.Box]] = ()

    def first(self, n: int) -> Scene:
        """Return the first ``n`` samples."""
        return Scene(self.z[:n], None if self.labels is None else self.labels[:n], self.boxes[:n])

    def take(self, rows: Sequence[int]) -> Scene:
        """Return the samples of these numbers."""
        chosen = list(rows)
        labels = None if self.labels is None else self.labels[chosen]
        return Scene(self.z[chosen], labels, [self.boxes[row] for row in chosen])


def find_boxes(
    checkpoint: Checkpoint, where: str, object: str | None, *, n: int, seed: int, label: int | None = None
) -> tuple[Boxes, str]:
    """Return boxes and, in words, where they come from.

    Args:
        checkpoint: Whose samples.
        where: A file; ``rule:red``, ``rule:bright``, ...; or empty: ``boxes-<object>.json`` beside the checkpoint.
        object: Which object, where there are several; None: the only one.
        n: Samples that a rule looks at.
        seed: Of the samples that a rule looks at.
        label: Their class, of a conditional checkpoint; None: classes in turn.

    Raises:
        AnnotationError: If there are none, they are damaged, or they are of another checkpoint's samples.
    """
    if where.startswith(RULE):
        return boxes_by_rule(checkpoint, where.removeprefix(RULE), n=n, seed=seed, label=label), f"found by '{where}'"
    return _read(checkpoint, where, object)


def check_boxes(checkpoint: Checkpoint, where: str, object: str | None) -> None:
    """Refuse boxes that are not there, or a rule that is none; arguments as for ``find_boxes``.

    Raises:
        AnalysisError: If there are boxes on fewer than two samples.
        AnnotationError: If there are none, they are damaged, or they are of another checkpoint's samples.
    """
    if where.startswith(RULE):
        check_rule(where.removeprefix(RULE))
    else:
        boxed_samples(_read(checkpoint, where, object)[0])


def boxed_samples(boxes: Boxes) -> dict[int, list[cells.Box]]:
    """Return the boxes of each sample that has any.

    Raises:
        AnalysisError: If they are fewer than two.
    """
    by_sample = boxes.by_sample()
    if len(by_sample) < 2:
        msg = f"There are boxes of '{boxes.object}' on {len(by_sample)} samples; at least two are needed. Draw more."
        raise AnalysisError(msg)
    return by_sample


def _read(checkpoint: Checkpoint, where: str, object: str | None) -> tuple[Boxes, str]:
    path = Path(where) if where else _beside(checkpoint, object)
    boxes = read_boxes(path, object=object)
    boxes.check_checkpoint(checkpoint, path)
    boxes.check(*checkpoint.architecture.image_shape[1:], path)
    return boxes, path.name


def boxes_by_rule(checkpoint: Checkpoint, rule: str, *, n: int, seed: int, label: int | None = None) -> Boxes:
    """Look for the largest patch of a colour in each of ``n`` samples; see ``annotations.rules``."""
    labels = class_labels(checkpoint.architecture, range(n), label)
    images = Sampler(checkpoint)(checkpoint.latents(n, seed), labels)
    patches = [(number, find_box(image, rule)) for number, image in enumerate(images)]
    return Boxes(
        checkpoint_sha256=checkpoint.sha256("generator"),
        seed=seed,
        object=f"{rule} patch",
        n=n,
        label=label,
        boxes=[Box(sample=number, box=box) for number, box in patches if box is not None],
        done=list(range(n)),
    )


def _beside(checkpoint: Checkpoint, object: str | None) -> Path:
    folder = checkpoint.path.parent if checkpoint.path is not None else None
    files = sorted(folder.glob("boxes-*.json")) if folder is not None else []
    chosen = [path for path in files if object is None or path.name == boxes_file(object)]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(path.stem.removeprefix("boxes-") for path in files)
    ways = f"Draw some: dcgan-analyze annotate; or let a rule find patches by the setting boxes=rule:{RULES[0]}"
    if not files:
        msg = f"No boxes lie beside checkpoint '{checkpoint.name}'. {ways}"
    elif object is None:
        msg = (
            f"Boxes of several objects lie beside checkpoint '{checkpoint.name}': {names}. "
            "Choose one by the setting object=NAME."
        )
    else:
        msg = f"No boxes of '{object}' lie beside checkpoint '{checkpoint.name}', only of {names}. {ways}"
    raise AnnotationError(msg)


def boxed_scene(context: RunContext, boxes: Boxes, *, empty: bool = False) -> Scene:
    """Return the samples that have boxes.

    Args:
        context: Whose checkpoint's samples they are.
        boxes: The boxes.
        empty: Whether samples that were looked at and have none are among them.

    Raises:
        AnalysisError: If fewer than two have boxes.
    """
    by_sample = boxed_samples(boxes)
    if empty:
        by_sample = {number: by_sample.get(number, []) for number in sorted({*by_sample, *boxes.done})}
    indices = list(by_sample)
    labels = class_labels(context.checkpoint.architecture, indices, boxes.label)
    z = context.checkpoint.latents(max(indices) + 1, boxes.seed)[indices]
    return Scene(z, labels, list(by_sample.values()))


def new_scene(context: RunContext, n: int, label: int | None) -> Scene:
    """Return samples that nobody has looked at."""
    n = n if context.limit is None else min(n, max(context.limit, 2))
    seed = int(context.rng("new samples").integers(2**31))
    context.note(f"New samples: {n} latent vectors of seed {seed}, the same for every set of dropped maps.")
    labels = class_labels(context.checkpoint.architecture, range(n), label)
    return Scene(context.checkpoint.latents(n, seed), labels)


def chosen_layer(context: RunContext, layer: str | None) -> str:
    """Return the layer to work on.

    Raises:
        AnalysisError: If none is given and the generator has no second-highest convolution, or it has no maps.
        UnknownNameError: If the generator has no layer of this name.
    """
    checkpoint = context.checkpoint
    generator, architecture = checkpoint.generator(), checkpoint.architecture
    traced = trace_role(generator, architecture, "generator")
    if layer is not None:
        labels = class_labels(architecture, range(2))
        try:
            with torch.no_grad(), capture(generator, [layer]) as outputs:
                generator(checkpoint.latents(2, 0), *([] if labels is None else [labels]))
        except UnknownNameError:
            error = unknown_name("generator layer", layer, traced.map_taps)
            raise error from None
        if outputs[layer].dim() != 4:
            shape = tuple(outputs[layer].shape[1:])
            msg = f"Layer '{layer}' has no maps, its output is {shape}. Choose one of {', '.join(traced.map_taps)}."
            raise AnalysisError(msg)
        return layer
    if traced.second_highest is None:
        msg = (
            f"The generator of '{checkpoint.name}' has no two convolutional layers. Choose one with maps by the "
            f"setting layer=NAME (layers with maps: {', '.join(traced.map_taps) or 'none known'})."
        )
        raise AnalysisError(msg)
    return traced.second_highest
