"""Arrays in .npz files: those that numpy writes are read, everything else is refused with one line."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from dcgan_analysis.core.array_files import read_npz


def npy(header, data=b""):
    """The bytes of an array file with any header."""
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def member(path, content, **settings):
    with zipfile.ZipFile(path, "w", **settings) as archive:
        archive.writestr("a.npy", content)
    return path


@pytest.mark.parametrize(
    "array",
    [
        *(np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.array(3), np.zeros((0, 2))),
        *(np.array(["a", "bcd"]), np.array([True]), np.zeros(2, np.float16), np.array([1, 2], ">i4")),
    ],
    ids=repr,
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_as_they_were(array, save, tmp_path):
    save(tmp_path / "a.npz", a=array)
    read = read_npz(tmp_path / "a.npz")["a"]
    np.testing.assert_array_equal(read, array)
    assert (read.dtype, read.flags.writeable) == (array.dtype, True)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", b"1234"), r"claims to be float32 \(2,\), and"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"12345678"), "claims to be object"),
        (
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -1)}", b"1234"),
            r"has shape \(-1, -1\)$",
        ),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10**9,)}", b"1234"), "."),
        (npy("{'descr': [('a', '<f4', 1 << 62)], 'fortran_order': False, 'shape': (1,)}"), "."),
        (npy("[" * 5000), "."),
        (b"\x93NUMPY\x09\x00" + b"\0" * 20, r"^an array has version \(9, 0\) of its format$"),
        (b"no array", "magic string is not correct"),
        (b"", "."),
    ],
)
def test_what_is_no_plain_array_is_refused(content, problem, tmp_path):
    with pytest.raises(ValueError, match=problem) as caught:
        read_npz(member(tmp_path / "a.npz", content))
    assert "\n" not in str(caught.value)


def test_an_array_that_unpacks_to_far_more_than_its_file_is_refused_before(tmp_path):
    stream = io.BytesIO()
    np.save(stream, np.zeros(20_000_000, np.uint8))
    path = member(tmp_path / "a.npz", stream.getvalue(), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"^a\.npy has 20,000,128 bytes, at most 13,107,200 are possible$"):
        read_npz(path)
    with pytest.raises(ValueError, match="at most 100 are possible"):
        read_npz(path, largest=100)


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + b"\0" * 10, b"PK\x03\x04"])
def test_what_is_no_zip_is_refused(content, tmp_path):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="zip"):
        read_npz(tmp_path / "a.npz")


def test_a_changed_byte_of_an_array_is_found(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.arange(100))
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"Bad CRC-32 for file 'a\.npy'"):
        read_npz(path)
