from __future__ import annotations

import pytest
import torch
from torch import nn

from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.models import tables
from dcgan_analysis.models.architecture import Layer
from dcgan_analysis.models.builder import Block, build
from dcgan_analysis.models.initialisation import initialise

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def randn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def labels_for(architecture, n):
    return torch.arange(n) % architecture.classes if architecture.classes else None


def test_samples_and_logits_have_the_right_shapes_and_range(architecture, initialised):
    generator = initialised(architecture.generator())
    discriminator = initialised(architecture.discriminator())
    labels = labels_for(architecture, 5)

    with torch.no_grad():
        images = generator(randn(5, architecture.z_size), labels)
        logits = discriminator(images, labels)

    low, high = architecture.image_range
    assert images.shape == (5, *architecture.image_shape)
    assert logits.shape == (5,)
    assert low <= images.min() < images.max() <= high
    assert images.min() < (low + high) / 2 < images.max()


def test_the_generators_output_reaches_both_ends_of_the_range(architecture, initialised):
    generator = initialised(architecture.generator())
    last = getattr(generator, architecture.generator_layers[-1].name)
    with torch.no_grad():
        last.operation.weight.mul_(1e4)
        images = generator(randn(8, architecture.z_size), labels_for(architecture, 8))

    assert (float(images.min()), float(images.max())) == pytest.approx(architecture.image_range)


def test_no_operation_has_a_bias(architecture):
    for network in (architecture.generator(), architecture.discriminator()):
        blocks = [module for module in network.modules() if isinstance(module, Block)]
        assert blocks
        assert all(block.operation.bias is None for block in blocks)


def test_batchnorm_is_everywhere_but_at_generator_output_and_discriminator_input(architecture):
    generator = [module for module in architecture.generator().modules() if isinstance(module, Block)]
    discriminator = [module for module in architecture.discriminator().modules() if isinstance(module, Block)]

    bare = [generator[-1], discriminator[0], discriminator[-1]]

    for block in [*generator, *discriminator]:
        assert isinstance(block.norm, NORMS) != (block in bare)


def test_mnist_batchnorm_has_no_scale_and_shift_unless_asked_for():
    for affine in (False, True):
        architecture = tables.dcgan28_conditional(width=4, hidden=16, batchnorm_affine=affine)
        norms = [module for module in architecture.generator().modules() if isinstance(module, NORMS)]
        assert [norm.affine for norm in norms] == [affine] * 3


def test_batchnorm_eps_is_the_architectures():
    network = tables.dcgan32(width=4, batchnorm_eps=1e-8).discriminator()

    assert {module.eps for module in network.modules() if isinstance(module, NORMS)} == {1e-8}


@pytest.mark.parametrize("kernel", [3, 4, 5])
@pytest.mark.parametrize("size", [1, 4, 7])
def test_fractional_strided_convolutions_double_the_size_exactly(kernel, size):
    layer = Layer("deconv1", "deconv", 2, kernel, 2)
    block = Block(layer, (3, size, size), tables.dcgan32(width=4))

    assert block(torch.zeros(2, 3, size, size), None).shape == (2, 2, 2 * size, 2 * size)


def test_a_strided_convolution_is_as_computed_by_hand():
    layer = Layer("conv1", "conv", 1, 3, 2, batchnorm=False, activation="leaky_relu")
    block = Block(layer, (1, 4, 4), tables.dcgan32(width=4))
    with torch.no_grad():
        block.operation.weight.fill_(1)
        # Windows centred on pixels 0 and 2 of either axis; the first reaches one pixel over the edge.
        assert block(torch.ones(1, 1, 4, 4), None).tolist() == [[[[4, 6], [6, 9]]]]
        block.operation.weight.fill_(-1)
        torch.testing.assert_close(block(torch.ones(1, 1, 4, 4), None), torch.tensor([[[[-0.8, -1.2], [-1.2, -1.8]]]]))


def test_a_label_becomes_constant_maps_beside_the_input():
    layer = Layer("conv1", "conv", 1, 1, 1, batchnorm=False, conditional=True)
    block = Block(layer, (1, 2, 2), tables.dcgan28_conditional(width=4, hidden=4, classes=3))
    with torch.no_grad():
        block.operation.weight.copy_(torch.tensor([1.0, 10, 20, 30]).view(1, 4, 1, 1))
        result = block(torch.ones(2, 1, 2, 2), torch.tensor([[0, 1, 0], [0, 0, 1]]))

    assert result[:, 0].tolist() == [[[21, 21], [21, 21]], [[31, 31], [31, 31]]]


def test_a_conditional_network_listens_to_its_label(initialised):
    architecture = tables.mlp_conditional(width=8, z_size=4, classes=3, image_size=4)
    generator = initialised(architecture.generator()).eval()
    z = randn(1, 4).expand(3, 4)

    images = generator(z, torch.tensor([0, 1, 1]))

    assert torch.equal(images[1], images[2])
    assert not torch.equal(images[0], images[1])


CONDITIONAL = tables.dcgan28_conditional(width=4, hidden=16)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, r"Architecture 'dcgan28-conditional' is conditional: give labels \(N,\) from 0 to 9\."),
        (torch.tensor([1]), r"Labels must have shape \(2,\), got \(1,\)\."),
        (torch.tensor([0, 10]), r"takes labels from 0 to 9, got 0 to 10\."),
        (torch.tensor([-1, 3]), r"takes labels from 0 to 9, got -1 to 3\."),
    ],
)
def test_wrong_labels_are_refused_in_one_line(labels, message):
    with pytest.raises(ArchitectureError, match=message):
        CONDITIONAL.generator()(torch.zeros(2, 100), labels)
    with pytest.raises(ArchitectureError, match=message):
        CONDITIONAL.discriminator()(torch.zeros(2, 1, 28, 28), labels)


@pytest.mark.parametrize("shape", [(6,), (2, 5), (2, 6, 1, 1)])
def test_latents_of_another_shape_are_refused(shape):
    generator = tables.dcgan32(width=4, z_size=6).generator()

    with pytest.raises(ArchitectureError, match=r"^z must have shape \(N, 6\), got \([^\n]*\)\.$"):
        generator(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(3, 32, 32), (2, 1, 32, 32), (2, 3, 28, 28)])
def test_images_of_another_shape_are_refused(shape):
    discriminator = tables.dcgan32(width=4).discriminator()

    with pytest.raises(ArchitectureError, match=r"^Architecture 'dcgan32' takes images of shape \(N, 3, 32, 32\), got"):
        discriminator(torch.zeros(shape))


def test_building_and_initialising_leave_the_global_random_state_alone(architecture):
    before = torch.get_rng_state()

    for make in (architecture.generator, architecture.discriminator):
        initialise(build(make), torch.Generator().manual_seed(0))

    assert torch.equal(torch.get_rng_state(), before)


def test_batchnorm_of_a_reshaped_layer_works_on_units_or_on_maps():
    sizes = {}
    for maps in (False, True):
        layer = Layer("project", "linear", 12, reshape=(3, 2, 2), batchnorm_maps=maps)
        block = Block(layer, (5,), tables.dcgan32(width=4))
        sizes[maps] = block.norm.num_features
        out = block(randn(7, 5), None)
        assert out.shape == (7, 3, 2, 2)
        # In training mode what is normalised together has mean 0.
        axes = (0, 2, 3) if maps else (0,)
        torch.testing.assert_close(out.mean(axes), torch.zeros_like(out.mean(axes)), atol=1e-6, rtol=0)

    assert sizes == {False: 12, True: 3}
