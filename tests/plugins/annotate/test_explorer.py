from __future__ import annotations

import numpy as np
import pytest
import torch
from dcgan_analysis_annotate.explorer import Explorer

from dcgan_analysis.conformance.networks import Snapshot
from dcgan_analysis.errors import AnnotationError


def test_a_walk_passes_its_points_and_the_middles_between_them(workspace):
    explorer, points = Explorer(workspace, walk_seed=3), workspace.checkpoint.latents(9, seed=3)
    for place, expected in ((0, points[0]), (2.5, (points[2] + points[3]) / 2), (8, points[8])):
        explorer.walk(place)
        torch.testing.assert_close(explorer.z[0], expected)


def test_arithmetic_is_that_of_means_of_exemplars(workspace):
    z = workspace.checkpoint.latents(6, seed=0)
    workspace.set_exemplars({"a": [0, 1], "b": [2], "c": [5, z[4].tolist()]}, None)
    explorer = Explorer(workspace)
    explorer.calculate("a", "b", "c", amount=0.5)
    expected = (z[5] + z[4]) / 2 + 0.5 * ((z[0] + z[1]) / 2 - z[2])
    torch.testing.assert_close(explorer.z[0], expected)
    with pytest.raises(AnnotationError, match="'d' has no exemplars"):
        explorer.calculate("a", "d", "c")


def test_maps_switched_off_change_the_image_and_back_on_they_do_not(workspace, pixels):
    explorer, snapshot = Explorer(workspace), Snapshot(workspace.sampler.generator, "generator")
    before = explorer.images()[0]
    assert explorer.images() == (before, before)
    explorer.switch("deconv5", [0, 3], on=False)
    explorer.switch("deconv1", [1], on=False)
    less, whole = explorer.images()
    assert less != before
    close = np.abs(pixels(whole).astype(int) - pixels(before)).max()
    assert close <= 1
    explorer.switch("deconv5", range(8), on=True)
    explorer.switch("deconv1", [1], on=True)
    assert explorer.images() == (before, before)
    assert snapshot.change() is None


def test_a_layer_shows_all_its_maps(workspace):
    explorer = Explorer(workspace)
    assert explorer.layers == ["project", "deconv1", "deconv2", "deconv3", "deconv4", "deconv5"]
    assert len(explorer.maps("deconv5")) == 8
