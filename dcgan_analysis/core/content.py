"""What a file is, by its first bytes: names and suffixes prove nothing."""

from __future__ import annotations

import re

HEAD_BYTES = 512
"""How many of a file's first bytes are looked at."""

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"version https://git-lfs", "a pointer of git-LFS, not the file itself (fetch it: git lfs pull)"),
    (b"%!PS", "PostScript (EPS)"),
    (b"\xc5\xd0\xd3\xc6", "PostScript (EPS)"),
    (b"%PDF", "a PDF document"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"(\xb5/\xfd", "a zstd file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"8BPS", "a Photoshop picture"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"\x00\x05\x16\x07", "a resource fork of macOS"),
)
_MARKUP = ((b"<!doctype html", "an HTML page"), (b"<html", "an HTML page"), (b"<svg", "an SVG drawing"))
_HEIF_BRANDS = {b"heic": "a HEIC picture", b"heix": "a HEIC picture", b"mif1": "a HEIF picture"}
_HEIF_BRANDS |= {b"avif": "an AVIF picture", b"avis": "an AVIF picture"}


def describe_content(head: bytes) -> str:
    """Say what a file is.

    Args:
        head: Its first bytes, ``HEAD_BYTES`` of them where it has so many.

    Returns:
        Words that follow "is": ``"an HTML page"``, ``"empty"``, ``"of no known kind"``.

    Example:
        >>> describe_content(b"<!DOCTYPE html><title>404</title>")
        'an HTML page'
        >>> describe_content(b"")
        'empty'
    """
    if not head:
        return "empty"
    for start, content in _SIGNATURES:
        if head.startswith(start):
            return content
    if head[257:262] == b"ustar":
        return "a tar archive"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return _HEIF_BRANDS[head[8:12]]
    beginning = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for word, content in _MARKUP:
        if beginning.startswith(word) or (beginning.startswith(b"<?xml") and word in beginning):
            return content
    if beginning.startswith((b"{", b"[")):
        return "JSON or other text"
    return "text" if _is_text(head) else "of no known kind"


def _is_text(head: bytes) -> bool:
    if re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # The last character may be cut in two.
        return error.start >= len(head) - 3
    return True
