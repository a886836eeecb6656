"""The guidelines for stable DCGANs (arXiv 1511.06434, section 3), and which of them a network keeps.

Judged is what the layer tables say, and of networks without tables what one forward pass does.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from dcgan_analysis.models.architecture import ROLES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from dcgan_analysis.models.architecture import Architecture, Layer, Role
    from dcgan_analysis.models.tracing import TracedLayer

_RESIZING_KINDS = {"upsample", "pixel_shuffle", "max_pool", "average_pool", "global_average_pool"}
_RESIZING_CALLS = ("pool", "interpolate", "upsample", "pixel_shuffle", "pixel_unshuffle")


@dataclass(frozen=True)
class Guideline:
    """One of the guidelines.

    Attributes:
        text: What it asks for.
        kept: Whether the network keeps it; None: the forward pass does not show it, as where an activation is written
            out in arithmetic.
    """

    text: str
    kept: bool | None


class _Block(NamedTuple):
    """A layer with weights, and what follows until the next one; ``activation`` None: one that has no name."""

    operation: str
    strided: bool
    normalisation: str
    activation: str | None


class _Network(NamedTuple):
    blocks: list[_Block]
    resized: bool  # by pooling, upsampling or pixel shuffle

    def operations(self, blocks: slice) -> set[str]:
        return {block.operation for block in self.blocks[blocks]}

    def normalisations(self, blocks: slice) -> set[str]:
        return {block.normalisation for block in self.blocks[blocks]}

    def activated_by(self, name: str, blocks: slice) -> bool | None:
        """Whether all blocks have this activation; None: those whose activation has a name do."""
        used = {block.activation for block in self.blocks[blocks]}
        return None if None in used and used <= {name, None} else used <= {name}


def guidelines(architecture: Architecture, roles: Collection[Role] = ROLES) -> list[Guideline]:
    """Judge networks by the five guidelines of section 3.

    Args:
        architecture: Whose networks.
        roles: Those to judge, of those that it has: a generator alone is not judged by what a discriminator should be.

    Example:
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> all(guideline.kept for guideline in guidelines(dcgan32()))
        True
    """
    networks = {role: _network(architecture, role) for role in ROLES if role in roles and architecture.has(role)}
    generator, discriminator = networks.get("generator"), networks.get("discriminator")
    normalised: set[str] = set()
    bare: set[str] = set()
    connected: set[str] = set()
    convolved = [not network.resized for network in networks.values()]
    of_one: list[Guideline] = []
    if generator is not None:
        convolved.append(any(block.strided and block.operation == "deconv" for block in generator.blocks))
        normalised |= generator.normalisations(slice(None, -1))
        bare |= generator.normalisations(slice(-1, None))
        connected |= generator.operations(slice(1, -1))
        inner = generator.activated_by("relu", slice(None, -1))
        last = generator.activated_by("tanh", slice(-1, None))
        of_one.append(Guideline("generator: ReLU, output tanh", _both(inner, last)))
    if discriminator is not None:
        convolved.append(any(block.strided and block.operation == "conv" for block in discriminator.blocks))
        normalised |= discriminator.normalisations(slice(1, -1))
        bare |= discriminator.normalisations(slice(None, 1))
        connected |= discriminator.operations(slice(None, -1))
        leaky = discriminator.activated_by("leaky_relu", slice(None, -1))
        of_one.append(Guideline("discriminator: LeakyReLU in all layers", leaky))
    shared = [
        Guideline("strided and fractional-strided convolutions instead of pooling and upsampling", all(convolved)),
        Guideline(
            "BatchNorm in both networks, except generator output and discriminator input",
            normalised <= {"batch"} and bare <= {"none"},
        ),
        Guideline("no fully connected hidden layers", "linear" not in connected),
    ]
    return [*shared, *of_one] if networks else []


def _both(first: bool | None, second: bool | None) -> bool | None:
    return False if False in (first, second) else None if None in (first, second) else True


def _network(architecture: Architecture, role: Role) -> _Network:
    table = architecture.layers(role)
    return _from_table(table) if table else _from_trace(architecture, role)


def _from_table(table: tuple[Layer, ...]) -> _Network:
    weighted = [number for number, layer in enumerate(table) if layer.weighted]
    blocks = []
    for number, end in pairwise([*weighted, len(table)]):
        # What does not fit into one row stands in rows of kind identity after it.
        rows = table[number:end]
        normalisations = [row.normalisation for row in rows if row.normalisation != "none"]
        activations = [row.activation for row in rows if row.activation != "none"]
        strided = max(table[number].strides) > 1
        blocks.append(
            _Block(table[number].kind, strided, _only(normalisations, "none"), _only(activations, "none")),
        )
    return _Network(blocks, any(layer.kind in _RESIZING_KINDS for layer in table))


def _only(names: Sequence[str], absent: str) -> str:
    return " and ".join(names) or absent


def _from_trace(architecture: Architecture, role: Role) -> _Network:
    from dcgan_analysis.models.builder import build
    from dcgan_analysis.models.tracing import trace_role

    seen = trace_role(build(lambda: architecture.network(role)), architecture, role)
    calls = {operation.partition(" ")[0] for operation in seen.operations}
    resized = any(name in call for call in calls for name in _RESIZING_CALLS)
    return _Network([_traced_block(layer) for layer in seen.layers], resized)


def _traced_block(layer: TracedLayer) -> _Block:
    from dcgan_analysis.models.operations import ACTIVATIONS, NORMALISATIONS

    operation = "linear"
    if layer.is_convolution:
        operation = "deconv" if "transpose" in layer.operation else "conv"
    normalisations = [name.removesuffix("_norm") for name in layer.between if name in NORMALISATIONS]
    named = [name for name in layer.between if name in ACTIVATIONS]
    activation = None if layer.activated and not named else _only(named, "none")
    return _Block(operation, layer.resizes, _only(normalisations, "none"), activation)
