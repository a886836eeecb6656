"""What the running statistics of batch normalisation say of what a file leaves open.

Training wrote down the mean and the variance of what went into each normalisation. A network put together as it was
meant has them again when it is given what it was trained on: latent vectors, or, for a discriminator, images. A wrong
slope, eps, order or distribution of the latent vectors does not. So guesses can be tested, and the file be its own
witness.

Running statistics are averages over the last minibatches, while weights still moved, and a discriminator's over real
and generated images: small differences mean nothing.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, product
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from dcgan_analysis.checkpoints.importers.operations import Activate, Normalise, Operation, Reshape, Weighted
from dcgan_analysis.checkpoints.importers.rows import EPS, layer_table
from dcgan_analysis.models.batchnorm import batchnorm_layers
from dcgan_analysis.models.builder import build
from dcgan_analysis.models.layers import layers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor, nn

    from dcgan_analysis.checkpoints.importers.settings import NetworkSettings
    from dcgan_analysis.checkpoints.importers.structure import Structure
    from dcgan_analysis.models.architecture import Role

__all__ = [
    "AGREES",
    "CLOSE",
    "DECIDES",
    "TRIED",
    "Misfit",
    "Reading",
    "as_named",
    "best_reading",
    "class_numbers",
    "latent_vectors",
    "misfit",
    "network_of",
]

AGREES = 0.12
"""A misfit up to which nothing is doubted."""

DECIDES = 0.6
"""Another reading must come so much closer than the usual one."""

TRIED = 64
"""How many latent vectors and images are tried."""

CLOSE = 0.35
"""A reading further off than this is not taken for right."""

_BETTER = 0.9  # on latent vectors, which are what the statistics come from, so much closer is enough
_NEAR = 0.08
_SEED = 0
_MOST_STRUCTURES = 4
_ACTIVATIONS: dict[Role, tuple[tuple[str, float | None], ...]] = {
    "generator": (("relu", None), *(("leaky_relu", slope) for slope in (0.2, 0.3, 0.01)), ("tanh", None)),
    "discriminator": (*(("leaky_relu", slope) for slope in (0.2, 0.3, 0.1, 0.01)), ("relu", None)),
}
_EPS = {True: (1e-3, EPS), False: (EPS, 0.8)}  # by whether the file is of TensorFlow


@dataclass(frozen=True)
class Reading:
    """One way to read a network.

    Attributes:
        structure: Its operations, eps put in.
        z_prior: Distribution of the latent vectors; for a discriminator without meaning.
        misfit: How far it is from the file's statistics; None: there are none, or nothing to try it on.
        settled: What the statistics decided: ``activation``, ``batchnorm_eps``, ``z_prior``, ``structure``.
    """

    structure: Structure
    z_prior: str = "normal"
    misfit: Misfit | None = None
    settled: frozenset[str] = frozenset()


def latent_vectors(count: int, size: int, prior: str) -> Tensor:
    """Return latent vectors (count, size) from N(0, 1) or, ``uniform``, from -1 to 1; always the same."""
    source = torch.Generator().manual_seed(_SEED)
    if prior == "uniform":
        return torch.rand(count, size, generator=source) * 2 - 1
    return torch.randn(count, size, generator=source)


def class_numbers(structure: Structure) -> Tensor | None:
    """Return class numbers (TRIED,) in turn for a conditional network, None for another."""
    return torch.arange(TRIED) % structure.classes if structure.classes else None


class Misfit(NamedTuple):
    """How far running statistics are from those of what goes into each normalisation; 0: the same.

    Attributes:
        coarse: Mean over layers of the shift and the spread of the log variance ratio and of the mean's distance in
            standard deviations, medians over channels, less what so few samples make by chance.
        fine: Mean distance of a channel's mean and log variance; for comparing readings on the same inputs.
    """

    coarse: float
    fine: float


class _Measured(Exception):
    pass


@torch.no_grad()
def misfit(network: nn.Module, *inputs: Tensor | None, first: bool = False) -> Misfit | None:
    """Compare the running statistics of a network with what it makes of inputs.

    Args:
        network: In evaluation mode.
        inputs: What it is called with.
        first: Whether to look at the first normalisation alone.

    Returns:
        None: there are no running statistics, or they were never updated.

    Example:
        >>> network = torch.nn.Sequential(torch.nn.BatchNorm1d(4)).eval()
        >>> misfit(network, torch.randn(64, 4)) is None
        True
    """
    values: list[tuple[float, float]] = []

    def measure(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        mean, variance = layer.running_mean, layer.running_var
        assert isinstance(mean, torch.Tensor)
        assert isinstance(variance, torch.Tensor)
        x = inputs[0].transpose(0, 1).flatten(1)
        count = len(inputs[0])
        moved = (x.mean(1) - mean).abs() / variance.clamp(min=1e-12).sqrt()
        ratio = (x.var(1).clamp(min=1e-12) / variance.clamp(min=1e-12)).log()
        shift = ratio.median()
        spread = (ratio - shift).abs().median()
        by_chance = 0.7 * math.sqrt(2 / count)
        total = shift.abs() + (spread - by_chance).clamp(min=0) + (moved.median() - 0.7 / math.sqrt(count)).clamp(min=0)
        fine = torch.hypot(moved.clamp(max=2), ratio.clamp(-2, 2)).mean()
        values.append((min(float(total), 10.0), float(fine)))
        if first:
            raise _Measured

    known = [
        layer
        for layer in batchnorm_layers(network).values()
        if isinstance(layer.running_mean, torch.Tensor)
        and isinstance(layer.running_var, torch.Tensor)
        and (layer.running_mean.any() or (layer.running_var != 1).any())
    ]
    stored = [(layer.running_mean, layer.running_var) for layer in known]
    for layer in known:
        # In training each layer was normalised by its batch, whatever the running statistics still held.
        layer.running_mean, layer.running_var = _settled(layer)
    hooks = [layer.register_forward_pre_hook(measure) for layer in known]
    try:
        with suppress(_Measured):
            network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
        for layer, (mean, variance) in zip(known, stored, strict=True):
            layer.running_mean, layer.running_var = mean, variance
    if not values:
        return None
    coarse, fine = (sum(each) / len(values) for each in zip(*values, strict=True))
    return Misfit(coarse, fine)


def _settled(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Return running mean and variance without what is left of the 0 and 1 that they began with."""
    mean, variance, batches = layer.running_mean, layer.running_var, layer.num_batches_tracked
    assert isinstance(mean, torch.Tensor)
    assert isinstance(variance, torch.Tensor)
    momentum = layer.momentum if isinstance(layer.momentum, float) else 0.0
    left = (1 - momentum) ** float(batches) if isinstance(batches, torch.Tensor) and batches > 0 else 0.0
    if left >= 1:
        return mean, variance
    return mean / (1 - left), ((variance - left) / (1 - left)).clamp(min=1e-12)


def network_of(structure: Structure, channels_last: bool) -> nn.Module:
    """Build a network as read, in evaluation mode; where the file has no statistics they are mean 0, variance 1."""
    table = layer_table(structure, channels_last)
    z_size = max(structure.z_size, 1)
    rows: dict[str, Any] = {structure.role: table.layers}
    architecture = layers(**rows, image_shape=structure.image_shape, z_size=z_size, classes=structure.classes)
    network = build(partial(architecture.network, structure.role))
    state = {
        name: array.tensor().reshape(()) if name.endswith("num_batches_tracked") else array.tensor()
        for name, array in table.arrays.items()
    }
    network.load_state_dict(state, strict=False)
    return network.eval()


def best_reading(
    structures: Sequence[Structure],
    settings: NetworkSettings,
    channels_last: bool,
    z_prior: str | None,
    images: Tensor | None,
) -> Reading:
    """Choose the reading that has the statistics in the file, where the usual one has not.

    Args:
        structures: Ways to read the operations, the usual one first, with eps put in.
        settings: What was said: it is not doubted.
        channels_last: Whether flat arrays go by (height, width, channels).
        z_prior: What was said of the latent vectors.
        images: What a discriminator is tried on (N, C, H, W); None: it is not tried.
    """
    usual = Reading(structures[0], z_prior or "normal")
    tries = _tries(usual, channels_last, images)
    if tries is None:
        return usual
    best = usual = replace(usual, misfit=tries)
    if tries.coarse <= AGREES:
        if images is None:
            # Slopes show in little: a nonlinearity leaves most of what normalisation has made of its input.
            best = _nearest(
                islice(_variants(structures[0], settings, channels_last, usual.z_prior), 1),
                usual,
                channels_last,
                images,
            )
    else:
        for structure in structures[:_MOST_STRUCTURES]:
            best = _nearest(_variants(structure, settings, channels_last, z_prior), best, channels_last, images)
    if best.misfit is None or best.misfit.coarse > CLOSE:
        return usual
    settled = {
        "activation": _activations(best.structure) != _activations(usual.structure),
        "batchnorm_eps": _all_eps(best.structure) != _all_eps(usual.structure),
        "z_prior": best.z_prior != usual.z_prior,
        "structure": best.structure.image_shape != usual.structure.image_shape,
    }
    return replace(best, settled=frozenset(name for name, differs in settled.items() if differs))


def _tries(reading: Reading, channels_last: bool, images: Tensor | None, *, first: bool = False) -> Misfit | None:
    structure = reading.structure
    norms = [each for each in structure.operations if isinstance(each, Normalise)]
    if not any(each.mean is not None for each in norms) or (structure.role == "discriminator" and images is None):
        return None
    network = network_of(structure, channels_last)
    inputs = latent_vectors(TRIED, structure.z_size, reading.z_prior) if images is None else images
    return misfit(network, inputs, class_numbers(structure), first=first)


def _variants(
    structure: Structure, settings: NetworkSettings, channels_last: bool, z_prior: str | None
) -> Iterator[list[Reading]]:
    """Yield readings of one structure in groups: those of a group differ in slopes and eps, which work together."""
    priors = ("normal",) if structure.role == "discriminator" else (z_prior,) if z_prior else ("normal", "uniform")
    is_set = settings.activation is not None or settings.slope is not None
    activations = ((None, None),) if is_set else _ACTIVATIONS[structure.role]
    for prior in priors:
        for each in _projections(structure):
            yield [
                Reading(_with_eps(_activated(each, kind, slope), eps), prior)
                for (kind, slope), eps in product(activations, _EPS[channels_last])
            ]


def _nearest(groups: Iterable[list[Reading]], best: Reading, channels_last: bool, images: Tensor | None) -> Reading:
    """Choose the reading with the least misfit; a later one must be better by more than chance."""
    # Real images, of which there are none, are part of a discriminator's statistics.
    much = _BETTER if images is None else DECIDES
    for group in groups:
        before = best
        starts: dict[tuple[tuple[str, float | None], ...], Misfit | None] = {}
        for each in group:
            # Where not even the first normalisation is met there is no need to go on.
            before_first = _before_statistics(each.structure)
            if before_first not in starts:
                starts[before_first] = _tries(each, channels_last, images, first=True)
            start = starts[before_first]
            if start is None or start.coarse > CLOSE:
                continue
            tried = _tries(each, channels_last, images)
            assert tried is not None
            assert best.misfit is not None
            # Statistics that are not quite settled favour one slope or another: little counts only where all is near.
            if tried.fine < (much if tried.fine <= _NEAR else DECIDES) * best.misfit.fine:
                best = replace(each, misfit=tried)
        if best is not before and best.misfit is not None and best.misfit.coarse <= AGREES:
            return best
    return best


def _before_statistics(structure: Structure) -> tuple[tuple[str, float | None], ...]:
    """Return the activations before the first normalisation with statistics: what its input depends on in a group."""
    operations = structure.operations
    first = next(n for n, each in enumerate(operations) if isinstance(each, Normalise) and each.mean is not None)
    return tuple((each.kind, each.slope) for each in operations[:first] if isinstance(each, Activate))


def _with_eps(structure: Structure, eps: float) -> Structure:
    """Put in another eps where a rule put one in; an unusual one is no rule for the normalisation of a projection."""
    operations: list[Operation] = []
    acted = False
    for each in structure.operations:
        if isinstance(each, Normalise) and each.assumed:
            small = eps > 0.1 and structure.role == "generator" and not acted
            each = replace(each, eps=EPS if small else eps, assumed=True)
        acted = acted or isinstance(each, Activate) or (isinstance(each, Weighted) and each.kind != "linear")
        operations.append(each)
    return replace(structure, operations=tuple(operations))


def _activated(structure: Structure, kind: str | None, slope: float | None) -> Structure:
    """Put in another activation where a rule put one in, but after the last layer."""
    if kind is None:
        return structure
    last = max(number for number, each in enumerate(structure.operations) if isinstance(each, Weighted))
    operations = tuple(
        replace(each, kind=kind, slope=slope) if isinstance(each, Activate) and each.assumed and number < last else each
        for number, each in enumerate(structure.operations)
    )
    return replace(structure, operations=operations)


def _projections(structure: Structure) -> Iterator[Structure]:
    """Yield the structure, and the one in which the first layers' units become maps without activation."""
    yield structure
    operations = structure.operations
    reshaped = next((n for n, each in enumerate(operations) if isinstance(each, Reshape)), 0)
    for number in range(min(reshaped + 1, len(operations) - 1), 0, -1):
        each = operations[number]
        if isinstance(each, Activate) and each.assumed and reshaped:
            yield replace(structure, operations=(*operations[:number], *operations[number + 1 :]))
            return


# github.com/eriklindernoren/PyTorch-GAN, widely copied: LeakyReLU in the generator, eps 0.8 in place of a momentum.
_FAMILY = re.compile(r"(?:^|\.)(?:conv_blocks|adv_layer)\.\d")


def as_named(structure: Structure) -> Structure:
    """Return a structure as the program has it whose names its layers have."""
    if not any(isinstance(each, Weighted) and _FAMILY.search(each.name) for each in structure.operations):
        return structure
    if structure.role == "discriminator":
        return _with_eps(structure, 0.8)
    *_, bare = _projections(structure)
    return _with_eps(_activated(bare, "leaky_relu", 0.2), 0.8)


def _activations(structure: Structure) -> list[tuple[str, float | None]]:
    return [(each.kind, each.slope) for each in structure.operations if isinstance(each, Activate)]


def _all_eps(structure: Structure) -> list[float | None]:
    return [each.eps for each in structure.operations if isinstance(each, Normalise)]
