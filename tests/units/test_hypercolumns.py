from __future__ import annotations

import numpy as np
import torch

from dcgan_analysis.units.hypercolumns import column_scores, hypercolumns, pixel_columns


def test_hypercolumns_average_large_maps_and_interpolate_small_ones(tiny_checkpoint):
    network = tiny_checkpoint.discriminator()
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    columns = hypercolumns(network, ["conv1", "conv2", "conv6"], images, (16, 16))
    first = network.conv1(images, None)
    torch.testing.assert_close(columns[:, :8], first.view(2, 8, 16, 2, 16, 2).mean(dim=(3, 5)))
    torch.testing.assert_close(columns[:, 8:16], network.conv2(first, None))
    weights = torch.from_numpy(np.random.default_rng(0).normal(size=(2, columns.shape[1]))).float()
    scores = column_scores(network, ["conv1", "conv2", "conv6"], images, (16, 16), weights)
    torch.testing.assert_close(scores, torch.einsum("nchw,jc->njhw", columns, weights), atol=1e-5, rtol=1e-4)


def test_pixel_columns_hold_the_pixels_around_each_place():
    image = torch.arange(36.0).view(1, 1, 6, 6)
    assert pixel_columns(image, (6, 6))[0, :, 2, 3].tolist() == image[0, 0, :5, 1:6].flatten().tolist()
