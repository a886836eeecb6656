"""What files are, and what becomes of those that are no weights, damaged, or made to do harm."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from dcgan_analysis.errors import CheckpointError

from .conftest import check_discriminator, check_generator, example_discriminator, example_generator

STRANGERS = {
    "page": (b"<!DOCTYPE html><html>", r"is an HTML page, not weights\. Download"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", r"is a git-LFS pointer.*git lfs pull"),
    "empty": (b"", r"is empty\. Copy it again"),
    "random": (bytes([235, 121, 174, 147] * 40), r"is of no known kind \(it begins with the bytes eb 79"),
    "text": (b"hello there", r"is a text file, not weights"),
    "onnx": (b"\x08\x07\x12\x07pytorch\x1a\x03", r"is an ONNX model\. In PyTorch"),
    "gzip": (b"\x1f\x8b123", r"is a gzip archive\. Unpack it"),
    "lua": (b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1", r"is a file of Lua Torch"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_what_a_file_is_its_first_bytes_say_in_one_line(name, tmp_path, read):
    content, message = STRANGERS[name]
    path = tmp_path / "netG.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as raised:
        read(path)
    assert "\n" not in str(raised.value)
    assert "hides code" not in str(raised.value)


def test_a_pipe_is_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "netG.pth")
    with pytest.raises(CheckpointError, match=r"is a pipe or a device, not weights"):
        read(tmp_path / "netG.pth")


class Marker:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_hides_code_is_refused_and_never_run(protocol, tmp_path, read):
    marker, honest = tmp_path / "marker", example_generator().state_dict()
    torch.save({**honest, "extra": Marker(marker)}, tmp_path / "zipped.pth")
    torch.save({**honest, "extra": Marker(marker)}, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"a": Marker(marker)}, protocol=protocol))
    for name in ("zipped", "legacy", "plain"):
        with pytest.raises(CheckpointError, match=r"hides code: it calls \w+\.mkdir\. Nothing was run\.[^\n]*$"):
            read(tmp_path / f"{name}.pth")
        assert not marker.exists()
    torch.load(tmp_path / "zipped.pth", weights_only=False)
    assert marker.exists(), "the crafted file is a live one"


def _nested(depth):
    value = ()
    for _ in range(depth):
        value = (value, value)
    return value


@pytest.mark.timeout(30)
def test_crafted_files_are_refused_in_one_line_at_once(tmp_path, read):
    torch.save({"0.weight": torch.zeros(1).expand(10**9)}, tmp_path / "stride.pth")
    (tmp_path / "doubling.pth").write_bytes(pickle.dumps({"a": _nested(60)}, protocol=2))
    key = pickle.dumps(_nested(60), protocol=2)[2:-1]
    (tmp_path / "key.pth").write_bytes(b"\x80\x02}" + key + b"K\x01s.")
    (tmp_path / "deep.pth").write_bytes(b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b".")
    header = json.dumps({"g.weight": {"dtype": "F32", "shape": [10**9, 3], "data_offsets": [0, 12 * 10**9]}}).encode()
    (tmp_path / "wide.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("0.weight.npy", bytes(10**8))
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["d"] = h5py.ExternalLink("/etc/hostname", "/x")
    with h5py.File(tmp_path / "giant.h5", "w") as file:
        file.create_dataset("d", (10**5, 10**5), dtype="f4", chunks=(1000, 1000))
    torch.save(example_generator().state_dict(), tmp_path / "whole.bin")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.bin").read_bytes()[:5000])
    torch.save(example_generator().state_dict(), tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    (tmp_path / "oldcut.pth").write_bytes((tmp_path / "old.bin").read_bytes()[:9000])
    for path in sorted(tmp_path.glob("*.[pwnh]*")):
        with pytest.raises(CheckpointError) as raised:
            read(path)
        assert "\n" not in str(raised.value), path


def test_pickled_numpy_objects_are_told_with_the_way_out(tmp_path, read):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"w": np.zeros((3, 3))}))
    with pytest.raises(CheckpointError, match=r"holds pickled NumPy objects.*numpy\.savez"):
        read(tmp_path / "a.pkl")


class Custom(nn.Module):
    """Somebody's own class: what happens between its modules is in code."""

    def __init__(self, inner):
        super().__init__()
        self.main = inner

    def forward(self, x):
        return self.main(x)


def test_a_whole_module_is_read_with_its_own_strides_and_slopes(tmp_path, read):
    generator = Custom(example_generator(32))
    discriminator = Custom(example_discriminator(32))
    for module in discriminator.modules():
        if isinstance(module, nn.LeakyReLU):
            module.negative_slope = 0.07
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.3
    torch.save({"netG": generator, "netD": nn.DataParallel(discriminator)}, tmp_path / "both.pt")
    checkpoint = read(tmp_path / "both.pt")
    check_generator(checkpoint, generator)
    check_discriminator(checkpoint, discriminator)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Conv2d(6, 6, 3, padding=2, dilation=2), r"a convolution with dilation"),
        (nn.Conv2d(6, 6, 3, padding=1, groups=2), r"a convolution in 2 groups"),
        (nn.Softmax(1), r"of class Softmax, which a table of layers cannot say"),
    ],
)
def test_a_module_that_no_table_can_say_is_refused_by_name(layer, message, tmp_path, read):
    torch.save(nn.Sequential(nn.Conv2d(3, 6, 4, 2, 1), layer, nn.Flatten(), nn.Linear(6, 1)), tmp_path / "d.pt")
    with pytest.raises(CheckpointError, match=message):
        read(tmp_path / "d.pt")


def test_npz_and_npy_folders_are_read(tmp_path, read):
    generator = example_generator()
    arrays = {name: value.numpy() for name, value in generator.state_dict().items()}
    np.savez(tmp_path / "g.npz", **arrays)
    check_generator(read(tmp_path / "g.npz"), generator)
    (tmp_path / "folder").mkdir()
    for name, array in arrays.items():
        np.save(tmp_path / "folder" / f"{name}.npy", array)
    check_generator(read(tmp_path / "folder"), generator)
