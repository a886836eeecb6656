from __future__ import annotations

import captum.attr
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.units.attribution import RuleBackprop, UnitResponse, Units, attribute
from dcgan_analysis.units.attribution.guided import backward_rule


def signal(rule, activation, inputs, arriving):
    """Return what a rule sends below a nonlinearity."""
    x = torch.tensor(inputs, requires_grad=True)
    with backward_rule(rule):
        activation(x).backward(torch.tensor(arriving))
    return x.grad.tolist()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("guided", [0, 0, 3, 0]), ("leaky", [0.25, 0, 3, 0]), ("deconv", [1, 0, 3, 0])],
)
def test_each_rule_sends_on_what_its_definition_says(rule, expected):
    assert signal(rule, nn.LeakyReLU(0.25), [-1.0, -1.0, 2.0, 2.0], [1.0, -2.0, 3.0, -4.0]) == expected


@pytest.mark.parametrize("rule", ["guided", "leaky", "deconv"])
def test_the_output_of_the_network_is_not_changed(rule):
    x = torch.tensor([-2.0, 3.0])
    with backward_rule(rule):
        assert nn.LeakyReLU(0.5)(x).tolist() == [-1, 3]


def test_the_guided_rule_equals_a_hand_computation_on_a_net_of_two_layers():
    first, second = nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 2.0], [-3.0, 1.0]]))
        second.weight.copy_(torch.tensor([[2.0, -1.0]]))
    network = nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2))
    # x = (1, 1): the hidden units have 3 and -2, the output 2 * 3 - (-0.4) = 6.4, so it is active. Back: 1 through the
    # output; (2, -1) to the hidden units, where the second is inactive and its signal negative; (2, 4) to the pixels.
    x = torch.tensor([[1.0, 1.0]])
    assert RuleBackprop(network).attribute(x, target=0).tolist() == [[2, 4]]
    # The plain gradient lets -1 pass, times 0.2: (2, 4) - 0.2 * (-3, 1).
    plain = captum.attr.Saliency(network).attribute(x.requires_grad_(), target=0, abs=False)
    torch.testing.assert_close(plain, torch.tensor([[2.6, 3.8]]))


def conv_net(activation):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), activation(), nn.Conv2d(6, 4, 3, 2, 1), activation()]
    return UnitResponse(nn.Sequential(*layers).eval(), "4")


@pytest.fixture
def picked():
    """Four images and a unit for each."""
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1)), Units.of([0, 1, 2, 3], [0, 1, 2, 3])


@pytest.mark.filterwarnings("ignore:Setting backward hooks")
@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require")
@pytest.mark.parametrize(
    ("method", "reference"),
    [
        ("guided-backprop", "GuidedBackprop"),
        ("guided-backprop-leaky", "GuidedBackprop"),
        ("deconvolution", "Deconvolution"),
    ],
)
def test_on_a_network_of_relu_it_equals_captum(picked, method, reference):
    images, units = picked
    response = conv_net(nn.ReLU)
    theirs = getattr(captum.attr, reference)(response).attribute(
        images, additional_forward_args=(units.features, units.positions)
    )
    assert theirs.abs().sum() > 0
    assert torch.equal(attribute(method, response, images, units), theirs)


@pytest.mark.filterwarnings("ignore:Setting backward hooks")
@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require")
def test_on_a_network_of_leaky_relu_it_differs_from_the_plain_gradient_where_captum_does_not(picked):
    images, units = picked
    response = conv_net(lambda: nn.LeakyReLU(0.2))
    further = (units.features, units.positions)
    plain = attribute("saliency", response, images, units)
    theirs = captum.attr.GuidedBackprop(response).attribute(images, additional_forward_args=further)
    assert torch.equal(theirs, plain)
    for method in ("guided-backprop", "guided-backprop-leaky", "deconvolution"):
        ours = attribute(method, response, images, units)
        assert (ours - plain).norm() > 0.3 * plain.norm()


def test_activations_in_place_give_the_same_and_stay_in_place(picked):
    images, units = picked
    usual, in_place = conv_net(nn.LeakyReLU), conv_net(lambda: nn.LeakyReLU(inplace=True))
    expected = attribute("guided-backprop", usual, images, units)
    assert torch.equal(attribute("guided-backprop", in_place, images, units), expected)
    assert all(module.inplace for module in in_place.modules() if isinstance(module, nn.LeakyReLU))


class Called(nn.Module):
    """Calls its activations as functions."""

    def __init__(self, network, activate):
        super().__init__()
        self.network, self.activate = network, activate

    def forward(self, x):
        for layer in self.network:
            x = self.activate(x) if isinstance(layer, nn.ReLU) else layer(x)
        return x


@pytest.mark.parametrize(
    "activate",
    [torch.relu, F.relu, F.relu_, torch.Tensor.relu, lambda x: F.relu(x, inplace=True), lambda x: x.clamp(min=0)],
)
@pytest.mark.parametrize("method", ["guided-backprop", "guided-backprop-leaky", "deconvolution"])
def test_activations_called_as_functions_follow_the_rule_too(picked, activate, method):
    images, units = picked
    response = conv_net(nn.ReLU)
    called = UnitResponse(Called(response.network, activate), "network.3:after")
    assert torch.equal(attribute(method, called, images, units), attribute(method, response, images, units))


@pytest.mark.parametrize("rule", ["guided", "leaky", "deconv"])
def test_a_learned_slope_is_a_slope(rule):
    learned = signal(rule, nn.PReLU(init=0.25), [-1.0, 2.0], [1.0, 3.0])
    assert learned == signal(rule, nn.LeakyReLU(0.25), [-1.0, 2.0], [1.0, 3.0])


class Failing(nn.Module):
    def forward(self, x):
        msg = "the model failed"
        raise RuntimeError(msg)


def test_no_hook_stays_when_the_model_raises():
    network = nn.Sequential(nn.LeakyReLU(inplace=True), Failing())
    with pytest.raises(RuntimeError, match="the model failed"):
        RuleBackprop(network).attribute(torch.ones(1, 2))
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())
    assert network[0].inplace


def test_inputs_are_left_as_they_are(picked):
    images, units = picked
    before = images.clone()
    attribute("guided-backprop", conv_net(nn.LeakyReLU), images, units)
    assert torch.equal(images, before)
    assert not images.requires_grad
    assert images.grad is None


def test_a_network_without_relu_is_refused_for_it_would_give_the_plain_gradient():
    with pytest.raises(AnalysisError, match=r"the network has none up to this layer\. Choose the method saliency"):
        RuleBackprop(nn.Sequential(nn.Tanh())).attribute(torch.ones(1, 1), target=0)
