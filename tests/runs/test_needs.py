"""What an analysis needs, against what checkpoint and dataset have."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import pytest
from torch import nn

from dcgan_analysis.api.analysis import Needs, needs_of
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.models.tables import dcgan28_conditional
from dcgan_analysis.runs.needs import missing_in_checkpoint, missing_in_dataset
from dcgan_analysis.runs.run import run


@pytest.fixture(scope="module")
def conditional():
    return Checkpoint.random(dcgan28_conditional(width=2), seed=0, name="by-class")


def test_samples_imply_a_generator_and_a_grid_a_discriminator():
    assert Needs(samples=10).generator
    assert Needs(grid=4).discriminator
    assert not Needs(samples=10).discriminator
    assert not Needs(grid=4).generator


@pytest.mark.parametrize(
    "needs", [Needs(), Needs(generator=True, grid=4, taps=("conv1", "deconv2"), conditional=False)]
)
def test_a_checkpoint_that_has_everything_lacks_nothing(needs, tiny_checkpoint):
    assert missing_in_checkpoint("mine", needs, tiny_checkpoint) == []


@pytest.mark.parametrize("needs", [Needs(samples=1), Needs(grid=4), Needs(taps=("conv1",))])
def test_without_a_checkpoint_it_is_asked_for(needs):
    assert missing_in_checkpoint("mine", needs, None)[0].startswith("Analysis 'mine' needs a checkpoint. Give one;")


def test_layers_that_the_networks_do_not_have_are_named(tiny_checkpoint):
    (text,) = missing_in_checkpoint("mine", Needs(taps=("conv1", "conv9")), tiny_checkpoint)
    assert text.startswith("Analysis 'mine' reads the layers conv9; the networks of checkpoint 'tiny' have: ")
    assert "conv6" in text


def test_layers_of_a_network_without_a_table_are_found_as_well(tiny_checkpoint):
    def make(architecture):
        return nn.Sequential(OrderedDict(early=nn.Conv2d(3, 4, 3), late=nn.Conv2d(4, 4, 3)))

    own = replace(tiny_checkpoint.architecture, discriminator_layers=(), make_discriminator=make)
    checkpoint = replace(tiny_checkpoint, architecture=own)
    assert missing_in_checkpoint("mine", Needs(taps=("late",)), checkpoint) == []
    assert "early, late" in missing_in_checkpoint("mine", Needs(taps=("conv1",)), checkpoint)[0]


def test_networks_with_and_without_class_labels_are_told_apart(tiny_checkpoint, conditional):
    assert "not" in missing_in_checkpoint("mine", Needs(conditional=True), tiny_checkpoint)[0]
    assert "10 classes" in missing_in_checkpoint("mine", Needs(conditional=False), conditional)[0]
    assert "depend on the label" in missing_in_checkpoint("mine", Needs(grid=4), conditional)[0]
    assert missing_in_checkpoint("mine", Needs(conditional=True, samples=3), conditional) == []


@pytest.mark.parametrize("needs", [Needs(splits=("test",)), Needs(labels=True), Needs(images=2)])
def test_without_a_dataset_it_is_asked_for(needs):
    assert missing_in_dataset("mine", needs, None)[0].startswith("Analysis 'mine' needs a dataset. Give one;")


def test_too_few_images_are_said_split_by_split_and_against_the_limit(synthetic_dataset):
    needs = Needs(splits=("train", "test"), images=40)
    (text,) = missing_in_dataset("mine", needs, synthetic_dataset)
    assert text == "Analysis 'mine' needs at least 40 images of split 'test'; dataset 'synthetic' has 30."
    assert (
        "the limit is 39" in missing_in_dataset("mine", Needs(splits=("train",), images=40), synthetic_dataset, 39)[0]
    )
    assert missing_in_dataset("mine", Needs(splits=("train",), images=40), synthetic_dataset, 40) == []


def test_what_is_consumed_may_depend_on_the_settings(host, make_toy, tmp_path):
    def requires(config):
        return Needs(dataset="toy-images", splits=("test",), images=config.times)

    toy = make_toy(requires=requires)
    assert needs_of(toy, toy.config_type.build({"times": 7})).images == 7
    with pytest.raises(Exception, match="needs at least 31 images of split 'test'; dataset 'synthetic' has 30"):
        run(toy, settings={"times": 31}, host=host, out=tmp_path / "run")
    assert run(toy, settings={"times": 30}, host=host, out=tmp_path / "run").config["times"] == 30
