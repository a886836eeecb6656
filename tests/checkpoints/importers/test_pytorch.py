"""State dicts of the PyTorch example's own modules, and files that are none."""

from __future__ import annotations

import os
import pickle

import pytest
import torch
from torch import nn

from dcgan_analysis.checkpoints.importers.assemble import assemble
from dcgan_analysis.checkpoints.importers.pytorch import load
from dcgan_analysis.errors import CheckpointError


def randn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def write(tmp_path, example_networks):
    """Save both state dicts in a folder; ``change`` may edit them, ``prefix`` is put before each name."""

    def write(prefix="", names=("netG_epoch_24.pth", "netD_epoch_24.pth"), change=lambda states: None, **sizes):
        networks = example_networks(**sizes)
        states = [network.state_dict() for network in networks]
        change(states)
        for name, state in zip(names, states, strict=True):
            torch.save({prefix + key: value for key, value in state.items()}, tmp_path / name)
        return tmp_path, networks

    return write


@pytest.mark.parametrize("prefix", ["", "module.", "module.module."])
def test_imported_networks_compute_what_the_example_computes(prefix, write, request_for):
    folder, (generator, discriminator) = write(prefix)
    checkpoint = assemble(load(request_for(folder)), "example", "pytorch")
    z, images = randn(4, 5), randn(4, 3, 64, 64)

    with torch.no_grad():
        torch.testing.assert_close(checkpoint.generator()(z), generator(z[:, :, None, None]), atol=1e-6, rtol=1e-4)
        mine = torch.sigmoid(checkpoint.discriminator()(images))
        torch.testing.assert_close(mine, discriminator(images).flatten(), atol=1e-6, rtol=1e-4)
    assert checkpoint.metadata.provenance["batchnorm"] == {
        "generator": "in the files",
        "discriminator": "in the files",
    }


def test_training_mode_agrees_too(write, request_for):
    folder, (generator, _) = write()
    imported = load(request_for(folder))
    mine = imported.architecture.generator()
    mine.load_state_dict(imported.generator)
    z = randn(6, 5)
    with torch.no_grad():
        expected = generator.train()(z[:, :, None, None])
        torch.testing.assert_close(mine.train()(z), expected, atol=1e-6, rtol=1e-4)


def test_sizes_prior_and_epoch_are_inferred(write, request_for):
    folder, _ = write(ngf=4, ndf=3, nz=7, nc=1)
    imported = load(request_for(folder))
    assert imported.architecture.identity() == {
        "name": "dcgan64-4x4",
        "parameters": {"width": 3, "generator_width": 4, "z_size": 7, "image_channels": 1, "batchnorm_eps": 1e-5},
    }
    # Epoch 24 is the example's 25th.
    assert imported.metadata == {"z_prior": "normal", "data": {}, "epoch": 25}


@pytest.mark.parametrize(("name", "role"), [("netG_epoch_24.pth", "generator"), ("netD_epoch_24.pth", "discriminator")])
def test_a_single_file_is_told_by_its_arrays_whatever_it_is_called(name, role, write, request_for):
    folder, _ = write()
    (folder / name).rename(folder / "weights.bin")
    imported = load(request_for(folder / "weights.bin"))
    assert {each for each in ("generator", "discriminator") if getattr(imported, each) is not None} == {role}


def test_files_of_torch_before_batches_were_counted_are_read(write, request_for):
    def change(states):
        for state in states:
            for name in [name for name in state if name.endswith("num_batches_tracked")]:
                del state[name]

    folder, _ = write(change=change)
    checkpoint = assemble(load(request_for(folder)), "example", "pytorch")
    assert checkpoint.generator().project.norm.num_batches_tracked == 0
    assert checkpoint.metadata.provenance["batchnorm"]["discriminator"] == "in the files"


@pytest.mark.parametrize(
    ("number", "key", "value", "message"),
    [
        (0, "main.3.weight", None, r"netG\S+ array 'main\.3\.weight' of shape \(24, 12, 4, 4\) is missing"),
        (0, "main.1.running_var", None, r"netG\S+ array 'main\.1\.running_var' of shape \(24,\) is missing"),
        (1, "main.11.weight", None, r"netD\S+ array 'main\.11\.weight' of shape \(1, 16, 4, 4\) is missing"),
        (
            1,
            "main.0.weight",
            (4, 3, 4, 4),
            r"has shape \(4, 3, 4, 4\), the disc\w+ of dcgan64-4x4 expects \(2, 3, 4, 4\)",
        ),
        (0, "main.0.weight", (5, 12, 4, 4), r"has shape \(5, 12, 4, 4\), .* expects \(5, 24, 4, 4\) there"),
        (
            0,
            "main.0.bias",
            (24,),
            r"array 'main\.0\.bias' of shape \(24,\) belongs nowhere in the generator of dcgan64-4x4",
        ),
    ],
)
def test_a_missing_extra_or_misshapen_array_is_named(number, key, value, message, write, request_for):
    def change(states):
        states[number].pop(key, None)
        if value is not None:
            states[number][key] = torch.zeros(value)

    folder, _ = write(change=change)
    with pytest.raises(CheckpointError, match=message):
        load(request_for(folder))


class Marker:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_a_pickle_that_hides_code_is_refused_and_never_run(tmp_path, request_for, write):
    write()
    marker = tmp_path / "marker"
    honest = torch.load(tmp_path / "netG_epoch_24.pth", weights_only=True)
    torch.save({**honest, "main.12.weight": Marker(marker)}, tmp_path / "zipped.pth")
    torch.save({**honest, "extra": Marker(marker)}, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    for protocol in (0, 2, 4, 5):
        (tmp_path / f"plain{protocol}.pth").write_bytes(pickle.dumps({"a": Marker(marker)}, protocol=protocol))
    for name in ("zipped", "legacy", "plain0", "plain2", "plain4", "plain5"):
        with pytest.raises(CheckpointError, match=rf"^File '.*{name}\.pth' hides code[^\n]*nothing was run\.[^\n]*$"):
            load(request_for(tmp_path / f"{name}.pth"))
        assert not marker.exists()
    # The crafted file is a live one: whoever loads it carelessly runs its code.
    torch.load(tmp_path / "zipped.pth", weights_only=False)
    assert marker.exists()


def test_a_whole_module_is_refused_with_the_way_out(tmp_path, request_for):
    torch.save(nn.Sequential(nn.Linear(1, 1)), tmp_path / "netG.pth")
    with pytest.raises(CheckpointError, match=r"hides code \(torch\.nn\.\S+\).*Save netG\.state_dict\(\) alone\.$"):
        load(request_for(tmp_path))


@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file_is_named(part, zipped, tmp_path, request_for):
    path = tmp_path / "netG.pth"
    torch.save({"main.0.weight": torch.zeros(50, 50)}, path, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(
        CheckpointError, match=r"^File '.*netG\.pth' cannot be read as a PyTorch file: truncated[^\n]*$"
    ):
        load(request_for(path))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (torch.zeros(2), r"holds a Tensor, not a state dict\."),
        ({}, r"holds a dict, not a state dict\."),
        (
            {"netG": {"main.0.weight": torch.zeros(1)}},
            r"its entry 'netG' is a dict, not an array\. Save netG\.state_dict",
        ),
        ({"features.0.weight": torch.zeros(1)}, r"its arrays are called 'features\.0\.weight' and so on"),
    ],
)
def test_what_is_no_state_dict_of_the_example_is_refused(document, message, tmp_path, request_for):
    torch.save(document, tmp_path / "netG.pth")
    with pytest.raises(CheckpointError, match=message):
        load(request_for(tmp_path))


def test_folders_are_searched_by_the_examples_names(tmp_path, write, request_for):
    with pytest.raises(CheckpointError, match=r"do not exist\. Name a \.pth file, or a folder with netG\.pth"):
        load(request_for(tmp_path / "absent"))
    with pytest.raises(CheckpointError, match=r"holds no state dict of the example, such as netG\.pth"):
        load(request_for(tmp_path))
    write()
    write(names=("netG_epoch_3.pth", "netD_epoch_3.pth"))
    with pytest.raises(
        CheckpointError, match=r"holds 2 files of a generator \(netG_epoch_24\.pth, netG_epoch_3\.pth\)"
    ):
        load(request_for(tmp_path))
    assert [path.name for path in load(request_for(tmp_path, epoch=3)).files] == [
        "netG_epoch_3.pth",
        "netD_epoch_3.pth",
    ]
    (tmp_path / "netD_epoch_3.pth").write_bytes((tmp_path / "netG_epoch_3.pth").read_bytes())
    with pytest.raises(CheckpointError, match=r"'netG_epoch_3\.pth' and 'netD_epoch_3\.pth' both hold a generator\."):
        load(request_for(tmp_path, epoch=3))
