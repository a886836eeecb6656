from __future__ import annotations

import math

import pytest

from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.models.registry import builtin_architectures

ENTRIES = {entry.name: entry for entry in builtin_architectures() if entry.name != "layers"}


def test_the_papers_architectures_and_the_pytorch_examples_are_built_in():
    paper = ["dcgan32", "dcgan32-svhn", "dcgan64", "dcgan28-conditional", "mlp-conditional"]
    assert [name for name in ENTRIES if name in paper] == paper
    assert "dcgan64-4x4" in ENTRIES


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_an_architecture_is_made_again_from_its_name_and_parameters(entry):
    architecture = entry.create(width=16, z_size=7)

    assert architecture.name == entry.name
    assert architecture.parameters == entry.defaults() | {"width": 16, "z_size": 7}
    again = entry.create(**architecture.parameters)
    assert again.identity() == architecture.identity()
    assert again.discriminator_layers == architecture.discriminator_layers


def test_an_unknown_parameter_gets_the_nearest_name():
    with pytest.raises(
        ArchitectureError,
        match=r"^Architecture 'dcgan32' has no parameter 'widht'\. Did you mean 'width'\? Available: w",
    ):
        ENTRIES["dcgan32"].create(widht=64)


def test_a_parameter_may_have_any_name_that_a_file_gives():
    with pytest.raises(ArchitectureError, match=r"^Architecture 'dcgan32' has no parameter 'self'\. "):
        ENTRIES["dcgan32"].create(**{"self": 1})


@pytest.mark.parametrize(
    ("parameter", "value", "wanted"),
    [
        ("width", 0, "a whole number from 1 to 1,000,000, got 0"),
        ("width", -3, "a whole number from 1 to 1,000,000, got -3"),
        ("width", 64.0, "a whole number from 1 to 1,000,000, got 64.0"),
        ("width", "64", "a whole number from 1 to 1,000,000, got '64'"),
        ("width", 10**30, "a whole number from 1 to 1,000,000, got 10{30}"),
        ("width", True, "a whole number from 1 to 1,000,000, got True"),
        ("batchnorm_eps", 0, "a number > 0, got 0"),
        ("batchnorm_eps", math.nan, "a number > 0, got nan"),
        ("batchnorm_eps", math.inf, "a number > 0, got inf"),
        ("batchnorm_affine", 1, "true or false, got 1"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(parameter, value, wanted):
    with pytest.raises(ArchitectureError, match=rf"^Architecture '[\w-]+': {parameter} must be {wanted}\.$"):
        ENTRIES["dcgan28-conditional"].create(**{parameter: value})
