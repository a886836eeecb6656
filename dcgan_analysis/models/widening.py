"""Wider networks that begin as a narrower one and compute the same.

The trained maps are the first of each layer. The maps added draw random weights, and what comes after them does not
listen to them yet: the weights by which a trained map or unit would read an added one are zero. So images and logits
stay those of the narrow networks, in training and evaluation mode, while the added maps see everything and are
listened to from the first update on. Chen et al. 2016 (Net2Net, arXiv 1511.05641) add copies of trained maps instead;
random ones need no noise to become different, and as features they say something new at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from dcgan_analysis.models.architecture import ROLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from dcgan_analysis.models.architecture import Architecture, Layer, Role


def widening_obstacle(narrow: Architecture, wide: Architecture) -> str:
    """Return in what, beside more maps or units in hidden layers, one differs from the other; empty: in nothing.

    Example:
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> widening_obstacle(dcgan32(width=128), dcgan32(width=64))
        "layer 'project' differs otherwise than by more maps or units"
    """
    for name in ("name", "image_shape", "image_range", "z_size", "classes", "batchnorm_affine", "batchnorm_eps"):
        if getattr(narrow, name) != getattr(wide, name):
            return f"{name} differs, {getattr(narrow, name)} and {getattr(wide, name)}"
    for role in ROLES:
        layers = wide.layers(role)
        if not layers or len(narrow.layers(role)) != len(layers):
            return f"the tables of the {role} have {len(narrow.layers(role))} and {len(layers)} rows"
        for before, after in zip(narrow.layers(role), layers, strict=True):
            obstacle = _obstacle(before, after)
            if obstacle:
                return f"layer '{after.name}' {obstacle}"
    return ""


def _obstacle(narrow: Layer, wide: Layer) -> str:
    shapes = (narrow.reshape, wide.reshape)
    resized = shapes[0] is not None and shapes[1] is not None and shapes[0][1:] != shapes[1][1:]
    if resized or wide.out < narrow.out or replace(narrow, out=wide.out, reshape=wide.reshape) != wide:
        return "differs otherwise than by more maps or units"
    if wide.normalisation in ("group", "layer"):
        return f"has {wide.normalisation} normalisation, which more maps would change"
    if wide.order == "hwc":
        return "flattens maps with channels last, where added ones would stand between the others"
    if wide.conditional and wide.label != "one_hot":
        return "joins the label as an embedding"
    return ""


@torch.no_grad()
def widen(
    weights: Mapping[str, Tensor], random: Mapping[str, Tensor], wide: Architecture, role: Role
) -> dict[str, Tensor]:
    """Return the state dict of a wide network that computes what a narrow one does.

    Args:
        weights: State dict of the narrow network.
        random: State dict of the wide network with random weights, from which the added maps get theirs.
        wide: Its architecture; ``widening_obstacle`` of the two is empty.
        role: Which of the two networks.

    Example:
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> from dcgan_analysis.checkpoints.checkpoint import Checkpoint
        >>> few, many = (Checkpoint.random(dcgan32(width=width), seed=0) for width in (2, 3))
        >>> one, other = (each.weights["discriminator"] for each in (few, many))
        >>> wide = widen(one, other, many.architecture, "discriminator")
        >>> wide["conv2.operation.weight"][0, :, 0, 0]
        tensor([-0.0254, -0.0253,  0.0000])
    """
    result = {name: tensor.clone() for name, tensor in random.items()}
    for layer in wide.layers(role):
        if not layer.weighted:
            continue
        labels = wide.classes if layer.conditional else 0
        kernel = f"{layer.name}.operation.weight"
        # torch keeps the kernels of fractional-strided convolutions as (inputs, outputs, ...).
        axis = 1 if layer.kind == "deconv" else 0
        old, new = weights[kernel].movedim(axis, 0), result[kernel].movedim(axis, 0)
        outputs, inputs = len(old), old.shape[1] - labels
        # Maps come before rows and columns where a layer is flattened or reshaped, and labels after all maps: the old
        # inputs are the first ones, the labels the last.
        new[:outputs] = 0
        new[:outputs, :inputs] = old[:, :inputs]
        if labels:
            new[:outputs, -labels:] = old[:, -labels:]
    for name, tensor in result.items():
        if not name.endswith(".operation.weight"):
            tensor[tuple(map(slice, weights[name].shape))] = weights[name]
    return result
