from __future__ import annotations

import hashlib

import numpy as np
import pytest

from dcgan_analysis.core.hashing import hash_array, hash_array_file, hash_file, hash_json, hash_parts


def test_the_order_of_keys_does_not_matter_and_that_of_values_does():
    assert hash_json({"a": 1, "b": {"c": 2, "d": 3}}) == hash_json({"b": {"d": 3, "c": 2}, "a": 1})
    assert hash_json([1, 2]) != hash_json([2, 1])
    assert hash_json({"a": 1}) != hash_json({"a": "1"})


def test_json_hashes_are_stable():
    # Keys of stores on users' disks depend on it.
    assert hash_json({"b": 1, "a": [True, None]}) == hashlib.sha256(b'{"a":[true,null],"b":1}').hexdigest()


def test_nan_has_no_hash():
    with pytest.raises(ValueError, match="not JSON compliant"):
        hash_json({"a": float("nan")})


def test_equal_arrays_hash_alike_in_any_memory_layout():
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)

    for same in (array.copy(order="F"), np.stack([array, array])[1], array[::-1][::-1]):
        assert hash_array(same) == hash_array(array)


def test_dtype_shape_and_every_value_are_part_of_the_hash():
    array = np.arange(6, dtype=np.int32)
    changed = array.copy()
    changed[5] += 1

    others = [array.reshape(2, 3), array.astype(np.int64), array.view(np.float32), array.astype(">i4"), changed]

    assert len({hash_array(other) for other in [array, *others]}) == 6


@pytest.mark.parametrize("array", [np.zeros((0, 3)), np.array(2.5), np.array([True, False])], ids=repr)
def test_small_arrays_have_hashes(array):
    assert len(hash_array(array)) == 64
    assert hash_array(array) == hash_array(array.copy())


def test_the_file_of_an_array_has_the_hash_of_the_array(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "array").write_bytes(array.tobytes())
    assert hash_array_file(tmp_path / "array", array.dtype.str, array.shape) == hash_array(array)
    assert hash_array_file(tmp_path / "array", array.dtype.str, (4, 3, 2)) != hash_array(array)


def test_a_file_is_hashed_whole(tmp_path):
    content = bytes(range(256)) * 5000  # more than one block
    (tmp_path / "a").write_bytes(content)

    assert hash_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_parts_are_hashed_with_their_names():
    assert hash_parts({"a": "1", "b": "2"}) == hash_parts({"b": "2", "a": "1"})
    assert hash_parts({"a": "1", "b": "2"}) != hash_parts({"a": "2", "b": "1"})
