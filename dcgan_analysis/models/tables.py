"""The paper's architectures as layer tables (arXiv 1511.06434, and the settings in the authors' code).

Rules common to all (section 3): no pooling, no biases beside those of batch normalisation, batch normalisation
everywhere except the generator's output and the discriminator's input layer, ReLU and tanh in the generator,
LeakyReLU 0.2 in the discriminator, whose last maps are flattened into one unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.models.architecture import Activation, Architecture, Layer

if TYPE_CHECKING:
    from torch import nn

_TANH_RANGE = (-1.0, 1.0)
_SIGMOID_RANGE = (0.0, 1.0)

# (channels, stride) of successive convolutions.
_Convs = list[tuple[int, int]]


def make_generator(architecture: Architecture) -> nn.Module:
    """Build the generator of an architecture's layer table."""
    from dcgan_analysis.models.builder import Generator

    return Generator(architecture)


def make_discriminator(architecture: Architecture) -> nn.Module:
    """Build the discriminator of an architecture's layer table."""
    from dcgan_analysis.models.builder import Discriminator

    return Discriminator(architecture)


def _generator(
    project: tuple[int, int, int], convs: _Convs, kernel: int, *, batchnorm_maps: bool = False
) -> tuple[Layer, ...]:
    units = project[0] * project[1] * project[2]
    layers = [
        Layer("project", "linear", units, activation="relu", reshape=project, batchnorm_maps=batchnorm_maps),
    ]
    for index, (out, stride) in enumerate(convs, start=1):
        last = index == len(convs)
        activation: Activation = "tanh" if last else "relu"
        layers.append(Layer(f"deconv{index}", "deconv", out, kernel, stride, not last, activation))
    return tuple(layers)


def _discriminator(convs: _Convs, kernel: int) -> tuple[Layer, ...]:
    layers = [
        Layer(f"conv{index}", "conv", out, kernel, stride, index > 1, "leaky_relu")
        for index, (out, stride) in enumerate(convs, start=1)
    ]
    return (*layers, Layer("logit", "linear", 1, batchnorm=False))


def _architecture(
    name: str,
    parameters: dict[str, Any],
    size: int,
    generator: tuple[Layer, ...],
    discriminator: tuple[Layer, ...],
    image_range: tuple[float, float] = _TANH_RANGE,
) -> Architecture:
    layers = [layer for layer in discriminator if layer.kind == "conv"] or discriminator[:-1]
    return Architecture(
        name=name,
        parameters=parameters,
        image_shape=(parameters["image_channels"], size, size),
        image_range=image_range,
        z_size=parameters["z_size"],
        taps=tuple(layer.name for layer in layers),
        make_generator=make_generator,
        make_discriminator=make_discriminator,
        classes=parameters.get("classes", 0),
        generator_layers=generator,
        discriminator_layers=discriminator,
        batchnorm_affine=parameters.get("batchnorm_affine", True),
        batchnorm_eps=float(parameters["batchnorm_eps"]),
    )


def dcgan32(width: int = 128, z_size: int = 256, image_channels: int = 3, batchnorm_eps: float = 1e-5) -> Architecture:
    """The ImageNet-1k network at 32x32 whose features gave 82.8 % on CIFAR-10 (section 5.1).

    At width 128 the six discriminator layers pool to (128+128+256+256+512+512) x 4 x 4 = 28,672 features.
    """
    parameters = dict(locals())
    w = width
    return _architecture(
        "dcgan32",
        parameters,
        32,
        _generator(
            (4 * w, 4, 4),
            [(4 * w, 2), (2 * w, 1), (2 * w, 2), (w, 1), (w, 2), (image_channels, 1)],
            kernel=3,
        ),
        _discriminator([(w, 1), (w, 2), (2 * w, 1), (2 * w, 2), (4 * w, 1), (4 * w, 2)], kernel=3),
    )


def dcgan32_svhn(
    width: int = 64, z_size: int = 100, image_channels: int = 3, batchnorm_eps: float = 1e-5
) -> Architecture:
    """The SVHN network (section 5.2); (64+128+256) x 16 = 7,168 features at width 64."""
    parameters = dict(locals())
    w = width
    return _architecture(
        "dcgan32-svhn",
        parameters,
        32,
        _generator((4 * w, 4, 4), [(2 * w, 2), (w, 2), (image_channels, 2)], kernel=5),
        _discriminator([(w, 2), (2 * w, 2), (4 * w, 2)], kernel=5),
    )


def dcgan64(width: int = 128, z_size: int = 100, image_channels: int = 3, batchnorm_eps: float = 1e-5) -> Architecture:
    """The 64x64 network of Figure 1, for LSUN bedrooms and faces (sections 4.1 and 6)."""
    parameters = dict(locals())
    w = width
    return _architecture(
        "dcgan64",
        parameters,
        64,
        _generator((8 * w, 4, 4), [(4 * w, 2), (2 * w, 2), (w, 2), (image_channels, 2)], kernel=5),
        _discriminator([(w, 2), (2 * w, 2), (4 * w, 2), (8 * w, 2)], kernel=5),
    )


def dcgan64_4x4(
    width: int = 64,
    generator_width: int = 64,
    z_size: int = 100,
    image_channels: int = 3,
    batchnorm_eps: float = 1e-5,
) -> Architecture:
    """The 64x64 network of PyTorch's widespread DCGAN example: 4x4 kernels.

    That example writes the projection as a fractional-strided convolution from 1x1 and the logit as a convolution to
    1x1; both are the same linear maps as here. What differs from ``dcgan64`` beside the kernels is the first batch
    normalisation of the generator: on maps, not on units.

    Args:
        width: Maps of the discriminator's first layer (the example's ndf).
        generator_width: Maps of the generator's last hidden layer (ngf).
        z_size: Z (nz).
        image_channels: C (nc).
        batchnorm_eps: Torch's default, which the example uses.
    """
    parameters = dict(locals())
    w, g = width, generator_width
    return _architecture(
        "dcgan64-4x4",
        parameters,
        64,
        _generator((8 * g, 4, 4), [(4 * g, 2), (2 * g, 2), (g, 2), (image_channels, 2)], kernel=4, batchnorm_maps=True),
        _discriminator([(w, 2), (2 * w, 2), (4 * w, 2), (8 * w, 2)], kernel=4),
    )


def dcgan28_conditional(
    width: int = 64,
    hidden: int = 1024,
    image_size: int = 28,
    z_size: int = 100,
    image_channels: int = 1,
    classes: int = 10,
    batchnorm_eps: float = 1e-5,
    batchnorm_affine: bool = False,
) -> Architecture:
    """The class-conditional MNIST network of the supplement (section 8.1).

    The label joins every layer's input. Batch normalisation has neither scale nor shift: the paper found that
    better for this model; ``batchnorm_affine=True`` brings them back.

    Args:
        width: Maps of the discriminator's first layer.
        hidden: Units of the fully connected layers.
        image_size: Height and width of the images, a multiple of 4; MNIST's are 28.
        z_size: Z.
        image_channels: C.
        classes: Number of classes.
        batchnorm_eps: Added to the variance in batch normalisation.
        batchnorm_affine: Whether batch normalisation has scale and shift.

    Raises:
        ArchitectureError: If ``image_size`` is no multiple of 4.
    """
    parameters = dict(locals())
    if image_size < 4 or image_size % 4:
        msg = f"Architecture 'dcgan28-conditional': image_size {image_size} must be a positive multiple of 4."
        raise ArchitectureError(msg)
    w, side = width, image_size // 4
    generator = (
        Layer("project1", "linear", hidden, activation="relu", conditional=True),
        Layer(
            "project2",
            "linear",
            2 * w * side * side,
            activation="relu",
            reshape=(2 * w, side, side),
            conditional=True,
        ),
        Layer("deconv1", "deconv", w, 5, 2, activation="relu", conditional=True),
        Layer("deconv2", "deconv", image_channels, 5, 2, False, "sigmoid", conditional=True),
    )
    discriminator = (
        Layer("conv1", "conv", w, 5, 2, False, "leaky_relu", conditional=True),
        Layer("conv2", "conv", 2 * w, 5, 2, True, "leaky_relu", conditional=True),
        Layer("hidden", "linear", hidden, activation="leaky_relu", conditional=True),
        Layer("logit", "linear", 1, batchnorm=False, conditional=True),
    )
    return _architecture(
        "dcgan28-conditional",
        parameters,
        image_size,
        generator,
        discriminator,
        _SIGMOID_RANGE,
    )


def mlp_conditional(
    width: int = 1024,
    image_size: int = 28,
    z_size: int = 100,
    image_channels: int = 1,
    classes: int = 10,
    batchnorm_eps: float = 1e-5,
    batchnorm_affine: bool = False,
) -> Architecture:
    """The permutation-invariant GAN beside it (section 8.1): fully connected, so pixel order means nothing.

    The paper gives no layer sizes; two hidden layers of 1,024 units on either side are this project's choice.
    """
    parameters = dict(locals())
    shape = (image_channels, image_size, image_size)
    generator = (
        Layer("hidden1", "linear", width, activation="relu", conditional=True),
        Layer("hidden2", "linear", width, activation="relu", conditional=True),
        Layer(
            "pixels",
            "linear",
            image_channels * image_size * image_size,
            batchnorm=False,
            activation="sigmoid",
            reshape=shape,
            conditional=True,
        ),
    )
    discriminator = (
        Layer("hidden1", "linear", width, batchnorm=False, activation="leaky_relu", conditional=True),
        Layer("hidden2", "linear", width, activation="leaky_relu", conditional=True),
        Layer("logit", "linear", 1, batchnorm=False, conditional=True),
    )
    return _architecture(
        "mlp-conditional",
        parameters,
        image_size,
        generator,
        discriminator,
        _SIGMOID_RANGE,
    )
