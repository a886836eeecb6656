from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dcgan_analysis.models import tables
from dcgan_analysis.models.tracing import trace

from .test_hooks import ACTIVATIONS, hooks, styled


def images(*shape):
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))


def labels_of(architecture):
    return [torch.zeros(2, dtype=torch.long)] if architecture.classes else []


def test_tracing_finds_the_taps_that_the_layer_tables_name(architecture):
    found = trace(architecture.discriminator(), images(*architecture.image_shape), *labels_of(architecture))
    assert found.feature_taps == architecture.taps
    assert found.activation == ""


def test_tracing_finds_a_generators_layers_with_maps():
    found = {}
    for make in (tables.dcgan64, tables.dcgan28_conditional, tables.mlp_conditional):
        small = make(width=4)
        traced = trace(small.generator(), images(small.z_size), *labels_of(small))
        found[small.name] = (traced.map_taps, traced.second_highest, traced.activation)
    assert found == {
        "dcgan64": (("project", "deconv1", "deconv2", "deconv3"), "deconv3", "tanh"),
        "dcgan28-conditional": (("project2", "deconv1"), "deconv1", "sigmoid"),
        "mlp-conditional": ((), None, "sigmoid"),
    }


@pytest.mark.parametrize("style", ACTIVATIONS)
def test_default_taps_stand_after_the_activation_however_it_was_written(style):
    network = styled(style)
    assert trace(network, images(1, 8, 8)).feature_taps == ACTIVATIONS[style]
    assert hooks(network) == 0


def test_modes_and_statistics_are_as_before():
    network = styled("separate").train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    trace(network, images(1, 8, 8))
    assert network.norm.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_the_convolution_that_judges_is_no_feature():
    """The discriminator of PyTorch's example: the last convolution gives the probability."""
    network = nn.Sequential(
        nn.Conv2d(3, 4, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(4, 8, 4, 2, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(8, 1, 4, 1, 0, bias=False),
        nn.Sigmoid(),
    )
    found = trace(network, images(3, 16, 16))
    assert found.feature_taps == ("1", "4")
    assert [layer.shape for layer in found.layers] == [(4, 8, 8), (8, 4, 4), (1, 1, 1)]
    assert found.activation == "sigmoid"


class Residual(nn.Module):
    """Two convolutions beside a third that stands in for the identity, as in SNGAN."""

    def __init__(self):
        super().__init__()
        self.first, self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 1, 1), nn.Conv2d(4, 4, 1)
        self.beside, self.last, self.head = nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Linear(4, 1)

    def forward(self, x):
        x = F.relu(self.first(x))
        y = F.relu(self.conv1(x))
        y = F.avg_pool2d(self.conv2(y), 2)
        y += F.avg_pool2d(self.beside(x), 2)
        return self.head(self.last(y).sum((2, 3))).squeeze(1)


def test_both_ways_of_a_residual_block_end_in_one_tap():
    found = trace(Residual(), images(3, 8, 8))
    assert found.feature_taps == ("first:after", "conv1:after", "last")


class Attending(nn.Module):
    """Self-attention, whose convolutions have no activation."""

    def __init__(self):
        super().__init__()
        self.conv, self.query, self.key, self.value = (nn.Conv2d(i, 4, 1) for i in (3, 4, 4, 4))
        self.head = nn.Linear(4, 1)

    def forward(self, x):
        x = F.elu(self.conv(x))
        q, k, v = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))
        x = x.flatten(2) + v @ torch.softmax(q.transpose(1, 2) @ k, dim=2).transpose(1, 2)
        return self.head(x.mean(2))


def test_convolutions_without_activation_are_no_features_where_others_have_one():
    assert trace(Attending(), images(3, 4, 4)).feature_taps == ("conv:after",)


def test_convolutions_without_any_activation_are_tapped_after_their_normalisation():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 1))
    assert trace(network, images(3, 8, 8)).feature_taps == ("1", "2")


def test_one_module_used_twice_has_a_tap_for_each_call():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU())
            self.head = nn.Linear(3 * 4 * 4, 1)

        def forward(self, x):
            return self.head(self.block(self.block(x)).flatten(1))

    assert trace(Twice(), images(3, 8, 8)).feature_taps == ("block:0", "block:1")


def test_dropout_names_no_tap_for_it_makes_nothing():
    class Dropping(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.act, self.second = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3)
            self.drop, self.last = nn.Dropout(0.5), nn.Conv2d(4, 1, 4)

        def forward(self, x):
            x = self.drop(self.act(self.first(x)))
            return self.last(self.drop(F.leaky_relu(self.second(x), 0.2)))

    assert trace(Dropping(), images(3, 8, 8)).feature_taps == ("act", "second:after")


def test_networks_that_print_alike_and_compute_otherwise_are_told_apart():
    class Sloped(nn.Module):
        def __init__(self, slope):
            super().__init__()
            self.conv, self.slope = nn.Conv2d(3, 1, 3), slope

        def forward(self, x):
            return F.leaky_relu(self.conv(x), self.slope)

    first, second = Sloped(0.1), Sloped(0.2)
    assert str(first) == str(second)
    x = images(3, 8, 8)
    assert trace(first, x).operations != trace(second, x).operations
    assert trace(first, x).operations == trace(Sloped(0.1), x).operations


def test_a_failing_network_is_left_as_it_was():
    class Failing(nn.Sequential):
        def forward(self, x):
            super().forward(x)
            raise ZeroDivisionError

    network = Failing(nn.ReLU()).train()
    with pytest.raises(ZeroDivisionError):
        trace(network, images(1))
    assert hooks(network) == 0
    assert network.training
