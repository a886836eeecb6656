from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dcgan_analysis.errors import DcganAnalysisError
from dcgan_analysis.models.batchnorm import keep_modes, reestimate, reference_batches


def statistics(layer):
    return layer.running_mean.tolist(), layer.running_var.tolist()


def test_statistics_are_the_mean_of_biased_statistics_of_the_batches():
    layer = nn.BatchNorm1d(1)

    # Means 1 and 7, biased variances 1 and 9. All four rows together: mean 4, variance 14.
    used = reestimate(layer, [torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0], [10.0]])])

    assert used == 2
    assert statistics(layer) == ([4], [5])


def test_statistics_of_maps_run_over_images_and_positions():
    layer = nn.BatchNorm2d(2)
    maps = torch.tensor([[[[1.0, 3.0]], [[0.0, 0.0]]], [[[5.0, 7.0]], [[0.0, 4.0]]]])

    reestimate(layer, [maps])

    mean, variance = statistics(layer)
    assert mean == [4, 1]
    assert variance == pytest.approx([5, 3])


def test_each_layer_is_normalised_by_its_own_batch_meanwhile():
    network = nn.Sequential(nn.BatchNorm1d(1, eps=1e-12), nn.BatchNorm1d(1, eps=1e-12))

    reestimate(network, [torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0], [10.0]])])

    # Each batch reaches the second layer as -1 and 1. Under the average statistics of the first layer they would be
    # far from that.
    mean, variance = statistics(network[1])
    assert mean == pytest.approx([0], abs=1e-6)
    assert variance == pytest.approx([1])


def test_former_statistics_count_for_nothing():
    layer = nn.BatchNorm1d(1)
    layer.running_mean.fill_(100)
    layer.num_batches_tracked.fill_(50)

    reestimate(layer, [torch.tensor([[0.0], [2.0]])])

    assert statistics(layer) == ([1], [1])


@pytest.mark.parametrize("training", [True, False])
def test_modes_and_momentum_are_restored(network, images, training):
    network.train(training)
    network.conv2.train(not training)
    before = [module.training for module in network.modules()]

    reestimate(network, [images])

    assert [module.training for module in network.modules()] == before
    assert network.conv2.norm.momentum == 0.1
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_modes_are_restored_when_the_network_raises(network):
    network.train()
    with pytest.raises(DcganAnalysisError):
        reestimate(network, [torch.zeros(2, 3, 8, 8)])

    assert all(module.training for module in network.modules())
    assert network.conv2.norm.momentum == 0.1


def test_dropout_stays_off_meanwhile():
    network = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(1))

    reestimate(network, [torch.tensor([[0.0], [2.0]])])

    assert statistics(network[1]) == ([1], [1])


def test_weights_do_not_change_and_take_no_gradient(network, images):
    before = {name: value.clone() for name, value in network.named_parameters()}

    reestimate(network, [images])

    assert all(torch.equal(value, before[name]) for name, value in network.named_parameters())
    assert not network.conv2.norm.running_mean.requires_grad


def test_a_batch_may_be_more_than_a_tensor():
    layer = nn.BatchNorm1d(1)

    reestimate(layer, [(torch.tensor([[0.0], [2.0]]), 3.0)], lambda own, batch: own(batch[0] * batch[1]))

    assert statistics(layer) == ([3], [9])


def test_a_layer_that_no_batch_reaches_does_no_harm():
    network = nn.ModuleDict({"used": nn.BatchNorm1d(1), "spare": nn.BatchNorm1d(1)})

    reestimate(network, [torch.tensor([[0.0], [2.0]])], lambda own, batch: own["used"](batch))

    assert statistics(network["used"]) == ([1], [1])


def test_a_network_without_batch_normalisation_has_nothing_to_estimate():
    assert reestimate(nn.Linear(1, 1), [torch.zeros(2, 1), torch.zeros(2, 1)]) == 0


def test_no_batch_is_an_error_and_changes_nothing(network):
    before = statistics(network.conv2.norm)

    with pytest.raises(DcganAnalysisError, match=r"there is no batch of images\. Give at least two images\.$"):
        reestimate(network, [])

    assert statistics(network.conv2.norm) == before


def test_modes_are_kept_over_an_error(network):
    network.eval()

    def fail():
        with keep_modes(network):
            network.train()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not any(module.training for module in network.modules())


def test_reference_batches_are_whole_disjoint_and_always_the_same():
    first, second = reference_batches(10, 4), reference_batches(10, 4)
    assert [len(batch) for batch in first] == [4, 4]
    assert len(set(np.concatenate(first).tolist())) == 8
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in second]


def test_fewer_images_than_a_reference_batch_make_one_batch():
    (batch,) = reference_batches(3, 128)
    assert sorted(batch.tolist()) == [0, 1, 2]


def test_a_network_without_batch_normalisation_has_nothing_to_re_estimate():
    network = torch.nn.Linear(2, 2)
    assert reestimate(network, [torch.ones(2, 2)]) == 0
