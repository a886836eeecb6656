"""Small networks that learn from labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dcgan_analysis.training.classifier import outputs, strided_network, train_network


@pytest.mark.parametrize("batchnorm", [False, True])
def test_each_convolution_halves_the_sides_rounded_up(batchnorm):
    network = strided_network((3, 7, 10), [4, 6], 5, kernel=5, batchnorm=batchnorm)
    assert network[:-2](torch.zeros(2, 3, 7, 10)).shape == (2, 6, 2, 3)
    assert network(torch.zeros(2, 3, 7, 10)).shape == (2, 5)
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in network) is batchnorm


def test_a_step_is_taken_for_each_minibatch_and_the_loss_is_the_mean_over_images():
    weight = nn.Parameter(torch.tensor(0.0))
    minibatches = [(torch.ones(3), torch.ones(3)), (torch.ones(1), torch.ones(1))]
    steps = []
    loss = train_network(
        lambda x: weight * x,
        torch.optim.SGD([weight], lr=0.25),
        minibatches,
        lambda found, wanted: (found - wanted).square().mean(),
        after=lambda: steps.append(weight.item()),
    )
    # The gradient is 2 (w - 1): w goes from 0 to 0.5 to 0.75; the losses are 1 (three images) and 0.25 (one).
    assert steps == [0.5, 0.75]
    assert loss == (3 * 1 + 0.25) / 4


def test_a_network_is_asked_in_evaluation_mode_and_left_in_its_own():
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 1))
    images = np.ones((5, 1, 2, 2), np.uint8)

    def prepare(batch):
        return torch.from_numpy(batch).float()

    found = outputs(network, images, prepare, batch=2)
    assert network.training
    assert found.shape == (5, 1)
    torch.testing.assert_close(found, network.eval()(prepare(images)).detach())
