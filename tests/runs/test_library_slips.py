"""What a caller of the library can slip on is refused in words that help there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import dcgan_analysis as da
from dcgan_analysis.data.registry import DatasetEntry
from dcgan_analysis.errors import CheckpointError, DatasetError, UnknownNameError
from dcgan_analysis.features.extractor import FeatureSpec
from dcgan_analysis.host.loading import PluginInfo
from dcgan_analysis.runs.library import load_checkpoint, load_dataset
from dcgan_analysis.testing import make_dataset


def test_float_images_outside_the_image_range_are_refused_with_the_remedy(tiny_checkpoint):
    images = make_dataset().split("test").images[:3]
    with pytest.raises(DatasetError, match=r"Float images run from .* to .*takes -1 to 1\. Give bytes"):
        tiny_checkpoint.features(torch.from_numpy(images).float())
    scaled = torch.from_numpy(images).float() / 127.5 - 1
    torch.testing.assert_close(tiny_checkpoint.features(scaled), tiny_checkpoint.features(images))


def test_a_spec_without_a_reference_means_the_statistics_of_the_checkpoint(tiny_checkpoint):
    images = make_dataset().split("test").images[:3]
    found = tiny_checkpoint.features(images, spec=FeatureSpec(taps=("conv2",)))
    running = FeatureSpec(taps=("conv2",), batchnorm="running")
    assert torch.equal(found, tiny_checkpoint.features(images, spec=running))
    with pytest.raises(DatasetError, match="reestimated"):
        tiny_checkpoint.features(images, spec=FeatureSpec(batchnorm="reestimated"))


def test_a_split_is_as_good_as_its_images(tiny_checkpoint):
    split = make_dataset().split("test")
    assert torch.equal(tiny_checkpoint.features(split), tiny_checkpoint.features(split.images))


def test_images_of_another_shape_are_refused_without_the_command_lines_words(tiny_checkpoint):
    with pytest.raises(DatasetError, match=r"takes 3x32x32") as error:
        tiny_checkpoint.features(np.zeros((1, 3, 40, 52), np.uint8))
    assert "--set" not in str(error.value)


@pytest.mark.parametrize("parameters", [{"C": 0}, {"intercept_scaling": -1}, {"solver": "none"}])
def test_parameters_out_of_range_are_value_errors(parameters):
    with pytest.raises(ValueError, match="it must be"):
        da.L2SVM(**parameters).fit(np.eye(4), [0, 1, 0, 1])


def test_weights_of_other_programs_point_to_the_importers(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"weights made elsewhere\. Import it: dcgan-analyze import"):
        da.load_checkpoint(str(tmp_path / "a.pth"))


def test_datasets_of_plugins_are_known_and_failed_plugins_are_named(host):
    host.datasets.add("shapes", DatasetEntry("shapes", "", lambda root, download: make_dataset()), owner="test")
    assert load_dataset("shapes", host=host).split_names == ["train", "test"]

    def broken():
        raise ImportError

    host.load(PluginInfo("acme"), broken)
    for load in (load_dataset, load_checkpoint):
        with pytest.raises(UnknownNameError, match=r"Plugins that failed: acme"):
            load("acme-thing", host=host)
    for registry in (host.architectures, host.importers, host.commands, host.datasets):
        with pytest.raises(UnknownNameError, match=rf"Unknown {registry.kind} 'acme-thing'.*Plugins that failed: acme"):
            registry["acme-thing"]
