from __future__ import annotations

import pytest

from dcgan_analysis.errors import UnknownNameError
from dcgan_analysis.models.registry import builtin_architectures
from dcgan_analysis.training import TrainingConfig, list_presets, load_preset
from dcgan_analysis.training.config import OPTIONS
from dcgan_analysis.training.presets import with_preset

ARCHITECTURES = {entry.name: entry for entry in builtin_architectures()}
NAMES = ["cifar10", "faces", "imagenet32", "lsun-bedrooms", "mnist-conditional", "mnist-conditional-mlp", "svhn"]


def test_all_presets_are_listed():
    assert list_presets() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_a_training_of_the_papers_recipe_that_says_what_differs(name):
    preset = load_preset(name)
    config = TrainingConfig.build(with_preset(name, {}))
    architecture = ARCHITECTURES[config.architecture].create(**config.parameters)

    assert config.preset == name
    assert preset.summary
    assert preset.paper
    assert preset.deviations
    assert architecture.parameters.items() >= config.parameters.items()
    plain = TrainingConfig()
    # The falling step size of the MNIST models is the authors' own.
    options = set(OPTIONS) - ({"learning_rate_decay"} if name.startswith("mnist") else set())
    assert all(getattr(config, option) == getattr(plain, option) for option in options)


def test_presets_have_the_papers_values():
    svhn, mnist = load_preset("svhn").settings, load_preset("mnist-conditional").settings

    assert (svhn["z_prior"], svhn["learning_rate"], svhn["batch_size"], svhn["epochs"]) == ("normal", 5e-4, 64, 200)
    assert (mnist["images"], mnist["weight_decay"]) == (50_000, 2.5e-5)
    imagenet = load_preset("imagenet32").settings
    assert (imagenet["architecture"], imagenet["parameters"]) == ("dcgan32", {"width": 128, "z_size": 256})


def test_given_settings_win_and_parameters_are_merged_one_by_one():
    merged = with_preset("imagenet32", {"epochs": 2, "parameters": {"width": 8}})

    assert (merged["epochs"], merged["parameters"]) == (2, {"width": 8, "z_size": 256})


def test_parameters_of_the_preset_are_not_given_to_another_architecture():
    assert with_preset("cifar10", {"architecture": "dcgan32-svhn", "parameters": {"width": 8}})["parameters"] == {
        "width": 8
    }
    assert "parameters" not in with_preset("mnist-conditional", {"architecture": "dcgan32"})


def test_an_unknown_preset_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"^Unknown preset 'svnh'\. Did you mean 'svhn'\?"):
        load_preset("svnh")
