"""The network of the paper, and the same with one guideline of section 3 broken: layer tables and settings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.models.architecture import Layer
from dcgan_analysis.models.layers import layers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dcgan_analysis.models.architecture import Architecture

    Table = tuple[Layer, ...]

__all__ = ["CONTROL", "PAPER", "VARIANTS", "Variant", "architecture", "check_size"]

PAPER, CONTROL = "the paper's", "the paper's, other seeds"
_KERNEL = 5
_SMALLEST = 4


@dataclass(frozen=True)
class Variant:
    """One way to build and train the networks.

    Attributes:
        name: In words, as tables and figures call it.
        change: Changes the layer tables of generator and discriminator.
        settings: Settings of the training other than the paper's.
        image_range: Lowest and highest pixel value.
        seeds: Added to the seeds, so that a control is another training.
    """

    name: str
    change: Callable[[Table, Table], tuple[Table, Table]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    image_range: tuple[float, float] = (-1.0, 1.0)
    seeds: int = 0

    @property
    def key(self) -> str:
        """The name as it begins the names of metrics."""
        return re.sub(r"\W+", "_", self.name.replace("'", "").lower())


def _kept(generator: Table, discriminator: Table) -> tuple[Table, Table]:
    return generator, discriminator


def _pooled(generator: Table, discriminator: Table) -> tuple[Table, Table]:
    up: list[Layer] = [generator[0]]
    for number, layer in enumerate(generator[1:], start=1):
        up += [Layer(f"up{number}", "upsample", 0, stride=2), replace(layer, kind="conv", stride=1)]
    down: list[Layer] = []
    for number, layer in enumerate(discriminator[:-1], start=1):
        down += [replace(layer, stride=1), Layer(f"pool{number}", "max_pool", 0, 2, 2)]
    return tuple(up), (*down, discriminator[-1])


def _bare(generator: Table, discriminator: Table) -> tuple[Table, Table]:
    # Biases, which batch normalisation has and the layers before it need not, stay.
    def bare(table: Table) -> Table:
        return tuple(replace(layer, batchnorm=False, bias=layer.batchnorm or layer.bias) for layer in table)

    return bare(generator), bare(discriminator)


def _normalised(generator: Table, discriminator: Table) -> tuple[Table, Table]:
    return (
        (*generator[:-1], replace(generator[-1], batchnorm=True)),
        (replace(discriminator[0], batchnorm=True), *discriminator[1:]),
    )


def _connected(generator: Table, discriminator: Table) -> tuple[Table, Table]:
    units = max(layer.out for layer in discriminator) * _SMALLEST
    return (
        (Layer("hidden", "linear", units, activation="relu"), *generator),
        (*discriminator[:-1], Layer("hidden", "linear", units, activation="leaky_relu"), discriminator[-1]),
    )


def _rectified(generator: Table, discriminator: Table) -> tuple[Table, Table]:
    return generator, (*(replace(layer, activation="relu") for layer in discriminator[:-1]), discriminator[-1])


def _sigmoid(generator: Table, discriminator: Table) -> tuple[Table, Table]:
    return (*generator[:-1], replace(generator[-1], activation="sigmoid")), discriminator


VARIANTS = (
    Variant(PAPER, _kept),
    Variant(CONTROL, _kept, seeds=1000),
    Variant("pooling and upsampling", _pooled),
    Variant("no batch normalisation", _bare),
    Variant("batch normalisation everywhere", _normalised),
    Variant("fully connected hidden layers", _connected),
    Variant("ReLU in the discriminator", _rectified),
    Variant("sigmoid output", _sigmoid, image_range=(0.0, 1.0)),
    Variant("step size 1e-3", _kept, settings={"learning_rate": 1e-3}),
    Variant("beta1 0.9", _kept, settings={"beta1": 0.9}),
)
"""The paper's networks, the same with other seeds, and one for each guideline and each setting of section 4."""


def check_size(image_shape: tuple[int, int, int]) -> None:
    """Refuse images that strides of 2 do not divide.

    Raises:
        AnalysisError: If they are not square, or their side is no multiple of 4 from 8 on.
    """
    _, height, width = image_shape
    if height != width or height % 4 or height < 8:
        msg = (
            f"The images have {height}x{width} pixels; the networks of this experiment take square ones whose side is "
            "a multiple of 4, at least 8. Convert them, to size 32 for example: dcgan-analyze prepare."
        )
        raise AnalysisError(msg)


def architecture(variant: Variant, image_shape: tuple[int, int, int], width: int, z_size: int) -> Architecture:
    """Return the networks of a variant: the paper's DCGAN (figure 1, kernels of 5) as layer tables, changed.

    Args:
        variant: What is changed.
        image_shape: (C, H, W).
        width: Maps of the discriminator's first layer; each stride of 2 doubles them.
        z_size: Z.

    Raises:
        AnalysisError: If images of this size have no such network.

    Example:
        >>> made = architecture(VARIANTS[0], (3, 32, 32), 16, 100)
        >>> [layer.out for layer in made.discriminator_layers]
        [16, 32, 64, 1]
    """
    check_size(image_shape)
    channels, side, _ = image_shape
    halvings = 0
    while side % 2 == 0 and side > _SMALLEST:
        side, halvings = side // 2, halvings + 1
    maps = [width * 2**number for number in range(halvings)]
    generator = [
        Layer("project", "linear", maps[-1] * side * side, activation="relu", reshape=(maps[-1], side, side)),
        *(
            Layer(f"deconv{number}", "deconv", out, _KERNEL, 2, activation="relu")
            for number, out in enumerate(reversed(maps[:-1]), start=1)
        ),
        Layer(f"deconv{halvings}", "deconv", channels, _KERNEL, 2, batchnorm=False, activation="tanh"),
    ]
    discriminator = [
        *(
            Layer(f"conv{number}", "conv", out, _KERNEL, 2, number > 1, "leaky_relu")
            for number, out in enumerate(maps, start=1)
        ),
        Layer("logit", "linear", 1, batchnorm=False),
    ]
    tables = variant.change(tuple(generator), tuple(discriminator))
    return layers(*tables, image_shape=image_shape, image_range=variant.image_range, z_size=z_size)
