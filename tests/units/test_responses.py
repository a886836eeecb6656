from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.units.responses import ResponseSums, TopResponses, collect_responses, stream_responses


def batches(images, size):
    return [(part,) for part in torch.split(images, size)]


@pytest.mark.parametrize("size", [1, 5, 24])
def test_the_running_top_is_that_of_all_images_at_once(network, images, size):
    network.eval()
    found = collect_responses(stream_responses(network, ["conv2", "conv3"], batches(images, size)), 4)
    with torch.no_grad():
        maps = network.conv2(network.conv1(images, None), None).flatten(2)
    values, positions = maps.max(2)
    best, order = values.sort(dim=0, descending=True)
    top = found["conv2"].top
    np.testing.assert_allclose(top.values, best[:4].T, rtol=1e-5)
    np.testing.assert_array_equal(top.images, order[:4].T)
    np.testing.assert_array_equal(top.positions, positions.gather(0, order)[:4].T)
    np.testing.assert_allclose(found["conv2"].sums.mean, values.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found["conv2"].sums.std, values.std(0, correction=0), rtol=1e-3)
    assert found["conv2"].map_size == (4, 4)
    assert found["conv3"].features == 8


def test_memory_is_bounded_by_what_is_kept():
    top = TopResponses(3)
    for _ in range(5):
        top.update(np.random.default_rng(top.seen).random((7, 2), dtype=np.float32), np.zeros((7, 2), np.int64))
    assert top.values.shape == top.images.shape == top.positions.shape == (2, 3)
    assert top.seen == 35


def test_among_equal_responses_the_first_image_stays_first():
    top = TopResponses(2)
    for _ in range(3):
        top.update(np.ones((2, 1), np.float32), np.zeros((2, 1), np.int64))
    assert top.images.tolist() == [[0, 1]]


def test_fewer_images_than_are_kept_are_all_kept():
    top = TopResponses(5)
    top.update(np.array([[1.0], [2.0]], np.float32), np.zeros((2, 1), np.int64))
    assert top.images.tolist() == [[1, 0]]


def test_the_place_is_row_and_column_of_the_strongest_unit():
    maps = torch.zeros(1, 1, 3, 5)
    maps[0, 0, 2, 1] = 1
    found = collect_responses(stream_responses(nn.Sequential(nn.Identity()), ["0"], [(maps,)]), 1)["0"]
    assert found.place(0, 0) == (2, 1)


def test_units_without_maps_have_one_place():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    found = collect_responses(stream_responses(network, ["1"], [(torch.ones(2, 1, 2, 2),)]), 1)["1"]
    assert (found.map_size, found.features) == ((1, 1), 3)


def test_variance_between_classes_is_one_where_classes_decide_and_zero_where_they_do_not():
    sums = ResponseSums(3)
    values = np.array([[1, 0, 7], [1, 1, 7], [3, 0, 7], [3, 1, 7]], np.float32)
    sums.update(values[:3], np.array([0, 0, 2]))
    sums.update(values[3:], np.array([2]))
    assert sums.explained_by_class().round(6).tolist() == [1, 0, 0]


def test_margins_are_in_standard_deviations_and_zero_for_a_constant_feature():
    network = nn.Sequential(nn.Identity())
    values = torch.tensor([[0.0, 5.0], [0.0, 5.0], [4.0, 5.0], [4.0, 5.0]])
    found = collect_responses(stream_responses(network, ["0"], [(values,)]), 1)["0"]
    assert found.margins(1).tolist() == [1, 0]


def test_responses_that_are_not_finite_are_refused_and_leave_no_hook(network, images):
    with torch.no_grad():
        network.conv3.operation.weight.fill_(torch.nan)
    with pytest.raises(AnalysisError, match="Tap 'conv3' gives responses that are not finite"):
        list(stream_responses(network.eval(), ["conv3"], [(images,)]))
    assert not any(module._forward_hooks for module in network.modules())


def test_a_stream_left_half_read_leaves_no_hook(network, images):
    stream = stream_responses(network.eval(), ["conv3"], batches(images, 8))
    next(stream)
    assert not any(module._forward_hooks for module in network.modules())
