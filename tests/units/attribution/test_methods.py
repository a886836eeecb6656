from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dcgan_analysis.errors import AnalysisError, UnknownNameError
from dcgan_analysis.units.attribution import METHODS, UnitResponse, Units, attribute
from dcgan_analysis.units.attribution.methods import check_method


def linear_net(weight):
    """A network whose only unit sums weighted pixels of a 1x1x4 image."""
    layer = nn.Conv2d(1, 1, (1, 4), bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight).view(1, 1, 1, 4))
    return UnitResponse(nn.Sequential(layer, nn.LeakyReLU(0.2)), "1")


@pytest.fixture
def small():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3, 2, 1), nn.LeakyReLU(0.2))
    images = torch.rand(5, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    return UnitResponse(network.eval(), "1"), images, Units.of([0, 1, 2, 0, 1], [0, 2, 4, 8, 3])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_one_number_for_each_pixel_and_the_same_again(small, method):
    response, images, units = small
    first = attribute(method, response, images, units)
    assert first.shape == images.shape
    assert first.dtype == torch.float32
    assert bool(torch.isfinite(first).all())
    assert torch.equal(first, attribute(method, response, images, units))
    assert not any(module._forward_hooks for module in response.modules())


@pytest.mark.parametrize("method", ["input-x-gradient", "integrated-gradients", "occlusion"])
@pytest.mark.parametrize("image_range", [(-1.0, 1.0), (0.0, 1.0)])
def test_contributions_of_a_linear_unit_add_up_to_its_rise_above_gray(method, image_range):
    gray = sum(image_range) / 2
    image = gray + torch.tensor([0.1, 0.2, 0.3, 0.4]).view(1, 1, 1, 4)
    found = attribute(
        method, linear_net([1.0, 2.0, 0.0, 1.0]), image.expand(1, 1, 4, 4), Units.of([0], [0]), image_range=image_range
    )
    expected = torch.tensor([0.1, 0.4, 0.0, 0.4])
    if method == "occlusion":
        # The window of 4x4 covers everything: each pixel has the whole fall of the response.
        expected = torch.full((4,), 0.9 / 4) * 4
        torch.testing.assert_close(found[0, 0, 0], expected)
    else:
        torch.testing.assert_close(found[0, 0, 0], expected)
        assert found[0, 0, 1:].abs().sum() == 0


def test_labels_reach_a_conditional_network():
    class Conditional(nn.Module):
        def __init__(self):
            super().__init__()
            self.tap = nn.LeakyReLU(0.2)

        def forward(self, images, labels):
            return self.tap(images * labels.view(-1, 1, 1, 1))

    images = torch.ones(2, 1, 1, 1)
    found = attribute(
        "saliency", UnitResponse(Conditional(), "tap"), images, Units.of([0, 0], [0, 0]), labels=torch.tensor([2, 3])
    )
    assert found.flatten().tolist() == [2, 3]


def test_random_states_of_torch_and_numpy_are_not_touched(small):
    response, images, units = small
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(1).item(), np.random.random()
    torch.manual_seed(5)
    np.random.seed(5)
    for method in ("gradient-shap", "smoothgrad"):
        attribute(method, response, images, units)
    assert (torch.rand(1).item(), np.random.random()) == expected


def test_an_unknown_method_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"Unknown attribution method 'saliancy'\. Did you mean 'saliency'"):
        check_method("saliancy")


def test_a_feature_that_the_layer_does_not_have_is_refused(small):
    response, images, _ = small
    with pytest.raises(AnalysisError, match="Tap '1' has features 0 to 2, got 3"):
        attribute("saliency", response, images[:1], Units.of([3], [0]))
