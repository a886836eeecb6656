"""Files of tensors: read once, in blocks, as float32; what was changed, or is not finite, is named."""

from __future__ import annotations

import pytest
import torch

from dcgan_analysis.core.checksums import BLOCK, crc32_file
from dcgan_analysis.core.tensor_files import read_weights, write_tensors


@pytest.fixture
def tensors():
    """One of several blocks, whose last is not full, and small ones of other types."""
    generator = torch.Generator().manual_seed(0)
    return {
        "large": torch.randn(3, BLOCK // 4, generator=generator).half(),
        "scalar": torch.tensor(3),
        "empty": torch.zeros(0, 2),
        "exact": torch.tensor([1.0, 3e38]),
    }


def test_weights_come_back_as_float32_and_whole_numbers_as_they_are(tensors, tmp_path):
    write_tensors(tmp_path / "a", tensors, {"made": "today"})
    read = read_weights(tmp_path / "a")
    assert {name: tensor.dtype for name, tensor in read.tensors.items() if tensor.dtype != torch.float32} == {
        "scalar": torch.int64
    }
    assert all(torch.equal(read.tensors[name], tensor.to(read.tensors[name])) for name, tensor in tensors.items())
    assert (read.damaged, read.not_finite, read.crc32, read.texts["made"]) == (None, None, None, "today")


def test_numbers_whose_squares_are_too_large_are_finite_and_one_that_is_not_is_named(tensors, tmp_path):
    tensors["large"][2, -1] = torch.inf
    write_tensors(tmp_path / "a", tensors, {})
    assert read_weights(tmp_path / "a").not_finite == "large"
    assert read_weights(tmp_path / "a", check=False).not_finite is None


@pytest.mark.parametrize("block", [0, 1, 2])
def test_a_byte_changed_in_any_block_is_found(block, tensors, tmp_path):
    path = tmp_path / "a"
    write_tensors(path, tensors, {})
    content = bytearray(path.read_bytes())
    content[len(content) - block * BLOCK // 2 - 9] ^= 1
    path.write_bytes(content)
    assert read_weights(path).damaged is not None


def test_a_file_without_checksums_has_the_one_of_its_bytes(tensors, tmp_path):
    from safetensors.torch import save_file

    save_file(tensors, tmp_path / "a", metadata={"made": "elsewhere"})
    assert read_weights(tmp_path / "a").crc32 == crc32_file(tmp_path / "a")


def test_a_tensor_of_a_type_that_checkpoints_do_not_have_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2, dtype=torch.float8_e4m3fn)}, tmp_path / "a")
    with pytest.raises(ValueError, match="tensor 'a' has type F8_E4M3; allowed are BOOL, "):
        read_weights(tmp_path / "a")
