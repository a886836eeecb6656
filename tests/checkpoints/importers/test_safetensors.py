from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.importers.assemble import assemble
from dcgan_analysis.checkpoints.importers.safetensors import load
from dcgan_analysis.errors import ArchitectureError, CheckpointError, ConfigError, UnknownNameError
from dcgan_analysis.models.tables import dcgan32

SETTINGS = {"architecture": "dcgan32", "parameters": {"width": 4, "z_size": 6}}
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@pytest.fixture
def original():
    return Checkpoint.random(dcgan32(width=4, z_size=6), seed=1)


@pytest.fixture
def write(tmp_path, original):
    """Save the arrays of both networks under our own names; ``change`` may edit them."""

    def write(change=lambda arrays: None, roles=("generator", "discriminator"), prefix=True):
        arrays = {
            (f"{role}." if prefix else "") + name: tensor.clone()
            for role in roles
            for name, tensor in original.weights[role].items()
        }
        change(arrays)
        save_file(arrays, tmp_path / "weights.safetensors")
        return tmp_path / "weights.safetensors"

    return write


def test_our_own_names_are_taken_as_they_are(write, original, request_for):
    checkpoint = assemble(load(request_for(write(), **SETTINGS)), "mine", "safetensors")
    assert checkpoint.sha256() == original.sha256()
    assert checkpoint.metadata.z_prior == "uniform"


def test_names_without_a_network_need_one(write, original, request_for):
    path = write(roles=("discriminator",), prefix=False)
    with pytest.raises(
        CheckpointError, match=r"'conv1\.operation\.weight' belongs to neither network; .*--set network="
    ):
        load(request_for(path, **SETTINGS))
    imported = load(request_for(path, **SETTINGS, network="discriminator"))
    assert imported.generator is None
    assert set(imported.discriminator) == set(original.weights["discriminator"])


def test_statistics_may_be_left_out_but_not_in_part(write, request_for):
    def without(arrays):
        for name in [name for name in arrays if name.endswith(STATISTICS)]:
            del arrays[name]

    checkpoint = assemble(load(request_for(write(without), **SETTINGS)), "mine", "safetensors")
    assert checkpoint.metadata.provenance["batchnorm"]["generator"].startswith("re-estimated on 2,560 latent vectors")

    path = write(lambda arrays: arrays.pop("discriminator.conv3.norm.running_var"))
    with pytest.raises(CheckpointError, match=r"'discriminator\.conv3\.norm\.running_var' of shape \(8,\) is missing"):
        load(request_for(path, **SETTINGS))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("generator.deconv2.operation.weight"), r"deconv2\.\S+ of shape \(16, 8, 3, 3\) is missing"),
        (
            lambda a: a.update({"generator.more": torch.zeros(2)}),
            r"array 'generator\.more' of shape \(2,\) belongs nowhere",
        ),
        (
            lambda a: a.update({"discriminator.logit.operation.weight": torch.zeros(3, 3)}),
            r"has shape \(3, 3\), the discriminator of dcgan32 expects \(1, 256\) there",
        ),
    ],
)
def test_a_missing_extra_or_misshapen_array_is_named(change, message, write, request_for):
    with pytest.raises(CheckpointError, match=message):
        load(request_for(write(change), **SETTINGS))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, CheckpointError, r"do not say what they are for: add --set architecture=dcgan32"),
        ({"architecture": "dcgan23"}, UnknownNameError, r"Did you mean 'dcgan32'\?"),
        ({"architecture": "dcgan32", "parameters": {"widht": 4}}, ArchitectureError, r"Did you mean 'width'\?"),
        ({**SETTINGS, "network": "both"}, ConfigError, r"^network: must be 'generator' or 'discriminator', got 'both'"),
        ({**SETTINGS, "epoch": 3}, ConfigError, r"^Unknown setting 'epoch'"),
    ],
)
def test_a_wrong_setting_is_named(settings, error, message, write, request_for):
    with pytest.raises(error, match=message):
        load(request_for(write(), **settings))


@pytest.mark.parametrize("left", [0, 4, 100, -10])
def test_a_truncated_or_absent_file_is_named(left, write, request_for):
    path = write()
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(CheckpointError, match=r"^File '.*weights\.safetensors' cannot be read as safetensors: [^\n]*$"):
        load(request_for(path, **SETTINGS))
    path.unlink()
    with pytest.raises(CheckpointError, match=r"^Safetensors file '.*weights\.safetensors' does not exist\.$"):
        load(request_for(path, **SETTINGS))
