from __future__ import annotations

import gzip
import io
import tarfile

import numpy as np
import pytest

from dcgan_analysis.core.content import describe_content


def tar_bytes():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return stream.getvalue()


def npy_bytes():
    stream = io.BytesIO()
    np.save(stream, np.zeros(1))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \n<!doctype HTML>", "an HTML page"),
        (b'<?xml version="1.0"?><svg>', "an SVG drawing"),
        (tar_bytes(), "a tar archive"),
        (npy_bytes(), "a NumPy array"),
        (gzip.compress(b"x", mtime=0), "a gzip file"),
        (b'{"labels": []}', "JSON or other text"),
        ("Straße\n".encode(), "text"),
        (bytes(range(100)), "of no known kind"),
    ],
)
def test_first_bytes_tell_what_a_file_is(data, content):
    assert describe_content(data[:512]) == content


def test_text_cut_within_a_character_is_text():
    assert describe_content("ü".encode()[:1] + b"") == "text"
    assert describe_content(("x" * 511 + "ü").encode()[:512]) == "text"
