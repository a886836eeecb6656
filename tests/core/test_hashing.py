from __future__ import annotations

import hashlib

import numpy as np
import pytest

from dcgan_analysis.core import hashing
from dcgan_analysis.core.hashing import hash_array, hash_code, hash_file, hash_json, hash_parts


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


def test_a_file_is_hashed_whole(tmp_path):
    content = bytes(range(256)) * 5000  # more than one block
    (tmp_path / "a").write_bytes(content)

    assert hash_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_parts_are_hashed_with_their_names():
    assert hash_parts({"a": "1", "b": "2"}) == hash_parts({"b": "2", "a": "1"})
    assert hash_parts({"a": "1", "b": "2"}) != hash_parts({"a": "2", "b": "1"})


CODE = """
\"\"\"A module.\"\"\"

LIMIT = 3
\"\"\"How many.\"\"\"


def half(value):  # of a number
    \"\"\"Return half of it.\"\"\"
    return value / 2
"""


@pytest.fixture
def code(tmp_path):
    """Hash one file of Python code."""

    def code(text, name="module.py"):
        path = tmp_path / "module.py"
        path.write_text(text, encoding="utf-8")
        return hash_code({name: path})

    return code


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A module.", "Another text."),
        ("How many.", "At most so many."),
        ("Return half of it.", "Halve."),
        ("  # of a number", ""),
        ("value / 2", "(value / 2)"),
        ("\n\n\ndef", "\n\n\n\n\ndef"),
    ],
)
def test_docstrings_comments_and_layout_of_code_do_not_count(old, new, code):
    assert old in CODE
    assert code(CODE.replace(old, new)) == code(CODE)


@pytest.mark.parametrize(
    ("old", "new"), [("/ 2", "/ 3"), ("LIMIT = 3", "LIMIT = 3.0"), ("value", "number"), ("LIMIT", "LEAST")]
)
def test_what_code_does_counts(old, new, code):
    assert code(CODE.replace(old, new)) != code(CODE)


def test_the_name_of_a_file_of_code_counts(code):
    assert code(CODE, "other.py") != code(CODE)


def test_text_that_is_a_value_counts(code):
    assert code('words = "a"') != code('words = "b"')


def test_a_file_that_is_no_python_is_hashed_as_it_stands(code):
    assert len({code("print 1"), code("print 2"), code("print 1 # a word")}) == 3


def test_hashes_of_code_are_remembered_and_a_damaged_memory_is_no_obstacle(code, tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_ANALYSIS_CACHE", str(tmp_path / "cache"))
    first = code(CODE)
    (memory,) = (tmp_path / "cache" / "code").iterdir()
    monkeypatch.setattr(hashing, "_hash_syntax", lambda content: pytest.fail("parsed again"))
    assert code(CODE) == first
    monkeypatch.undo()
    memory.write_text("{", encoding="utf-8")
    assert code(CODE) == first


def test_a_cache_that_cannot_be_written_is_no_obstacle_to_hashing_code(code, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    monkeypatch.setenv("DCGAN_ANALYSIS_CACHE", str(tmp_path / "taken"))
    assert len(code(CODE)) == 64
