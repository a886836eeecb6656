from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.models.architecture import Architecture, Layer
from dcgan_analysis.models.hooks import capture
from dcgan_analysis.models.measuring import MeasuredField
from dcgan_analysis.models.receptive import Box, ReceptiveField, receptive_field
from dcgan_analysis.models.tables import dcgan28_conditional, dcgan32, dcgan64, dcgan64_4x4, mlp_conditional


@pytest.mark.parametrize(
    ("architecture", "sizes"),
    [(dcgan32(8), [3, 5, 9, 13, 21, 29]), (dcgan64(8), [5, 13, 29, 61]), (dcgan64_4x4(8), [4, 10, 22, 46])],
)
def test_sizes_follow_from_kernels_and_strides(architecture, sizes):
    assert [receptive_field(architecture, tap).size for tap in architecture.taps] == [(size, size) for size in sizes]


KINDS = replace(
    dcgan32(4),
    name="kinds",
    image_shape=(1, 27, 24),
    taps=("same", "odd", "pool", "shifted"),
    discriminator_layers=(
        Layer("same", "conv", 2, 5, 2, padding="same"),
        Layer("odd", "conv", 2, (3, 2), (1, 2), padding=(0, 1, 2, 0), norm="none"),
        Layer("pool", "average_pool", 0, 2, 2),
        Layer("shifted", "conv", 2, 2, 1, padding=1, norm="none"),
        Layer("logit", "linear", 1, batchnorm=False),
    ),
)


@pytest.mark.parametrize("architecture", [dcgan32(4), dcgan64_4x4(4, 4), KINDS], ids=lambda a: a.name)
def test_the_box_is_where_the_gradient_of_a_unit_is_not_zero(architecture):
    network = architecture.discriminator().eval()
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 0.01)
    images = torch.ones(1, *architecture.image_shape, requires_grad=True)
    for tap in architecture.taps:
        with capture(network, [tap]) as outputs:
            network(images)
        height, width = outputs[tap].shape[2:]
        for row, column in ((0, 0), (height // 2, width - 1), (height - 1, 0)):
            (gradient,) = torch.autograd.grad(outputs[tap][0, 0, row, column], images, retain_graph=True)
            rows, columns = gradient[0, 0].nonzero(as_tuple=True)
            seen = Box(int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1)
            assert receptive_field(architecture, tap).box(row, column) == seen


def test_a_box_is_clipped_at_the_border():
    field = ReceptiveField(size=(5, 5), step=(2, 2), start=(-2, -2), height=8, width=8)
    assert field.box(0, 3) == Box(0, 4, 3, 8)
    assert (field.box(0, 3).height, field.box(0, 3).width) == (3, 4)


@pytest.mark.parametrize(
    ("architecture", "tap"),
    [(dcgan32(8), "logit"), (mlp_conditional(8), "hidden2"), (dcgan28_conditional(4), "hidden")],
)
def test_units_after_a_linear_layer_see_the_whole_image(architecture, tap):
    height, width = architecture.image_shape[1:]
    field = receptive_field(architecture, tap)
    assert field.box(0, 0) == Box(0, 0, height, width)
    assert field.extent == (height, width)


def test_a_module_within_a_layer_has_the_field_of_the_layer():
    assert receptive_field(dcgan32(8), "conv3.operation") == receptive_field(dcgan32(8), "conv3")


@pytest.mark.parametrize(
    "architecture",
    [dcgan32(4), dcgan64(4), dcgan64_4x4(4, 4), dcgan28_conditional(4), mlp_conditional(8), KINDS],
    ids=lambda a: a.name,
)
def test_without_a_layer_table_the_field_is_measured_and_the_same(architecture):
    own = replace(architecture, discriminator_layers=(), make_discriminator=lambda _: architecture.discriminator())
    for tap in architecture.taps:
        table, measured = receptive_field(architecture, tap), receptive_field(own, tap)
        assert isinstance(measured, MeasuredField)
        # The table knows how far kernels reach, also where no unit has all of it inside the image.
        assert measured.extent == table.extent or (architecture is KINDS and measured.extent <= table.extent)
        for row in range(len(measured.rows)):
            for column in range(len(measured.columns)):
                assert measured.box(row, column) == table.box(row, column)


class Written(torch.nn.Module):
    """Two convolutions with max pooling and a deconvolution, as functions; a stage that no weight lets through."""

    def __init__(self):
        super().__init__()
        self.conv, self.up = torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ConvTranspose2d(4, 2, 2, 2)
        torch.nn.init.constant_(self.conv.bias, -1e6)  # its ReLU is dead
        self.head = torch.nn.Linear(2 * 36, 1)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        return self.head(torch.relu_(self.up(x)).flatten(1)).squeeze(1)


def test_a_measured_field_does_not_depend_on_weights_and_goes_through_functions():
    architecture = Architecture("own", {}, (1, 6, 6), (-1, 1), 4, (), None, lambda _: Written())
    pooled = receptive_field(architecture, "conv:after")
    assert pooled.box(0, 3) == Box(0, 2, 2, 5)
    # A pair of units stands on one unit of the pooled map, which sees two rows of fields of three: four pixels.
    raised = receptive_field(architecture, "up:after")
    assert raised.box(2, 3) == raised.box(3, 2) == Box(1, 1, 5, 5)


@pytest.mark.parametrize(
    "layer", [Layer("up", "deconv", 2, 4, 2), Layer("up", "upsample", 0), Layer("up", "pixel_shuffle", 0)]
)
def test_a_layer_that_enlarges_its_maps_is_refused(layer):
    layers = (layer,)
    odd = Architecture(
        "odd", {}, (1, 6, 6), (-1, 1), 4, ("up",), torch.nn.Identity, torch.nn.Identity, discriminator_layers=layers
    )
    with pytest.raises(ArchitectureError, match=rf"^Layer 'up' \({layer.kind}\) enlarges its maps: "):
        receptive_field(odd, "up")
