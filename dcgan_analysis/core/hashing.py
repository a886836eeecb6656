"""Content hashes: what a thing is called never matters, what it holds always does.

All hashes are SHA-256 in hexadecimal. Arrays are hashed together with dtype and shape, so that equal bytes of
another meaning do not collide.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from dcgan_analysis.core.checksums import crc32
from dcgan_analysis.core.documents import parse_json, read_document
from dcgan_analysis.core.files import write_text
from dcgan_analysis.core.folders import cache_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

_BLOCK = 1 << 20
_CODE_VERSION = 1


def hash_json(value: Any) -> str:
    """Hash a JSON-serialisable value; the order of keys in mappings does not matter.

    Example:
        >>> hash_json({"a": 1, "b": 2}) == hash_json({"b": 2, "a": 1})
        True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_array(array: np.ndarray) -> str:
    """Hash an array's dtype, shape and values (in C order)."""
    import numpy as np

    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def checksum(array: np.ndarray) -> int:
    """Return the CRC-32 of an array's bytes: whether it is as it was, at gigabytes a second, and nothing more."""
    import numpy as np

    return crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def hash_file(path: Path) -> str:
    """Hash a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def hash_parts(parts: Mapping[str, str]) -> str:
    """Combine named hashes into one, independent of their order."""
    return hash_json(dict(parts))


def hash_code(files: Mapping[str, Path]) -> str:
    """Hash Python files by what they do: docstrings, comments and layout do not count.

    Parsing hundreds of files takes a second or two, so that the hash of each is remembered in the cache folder, under
    the hash of its bytes.

    Args:
        files: Name of each, which counts, and where it lies.

    Example:
        >>> import pathlib, tempfile
        >>> one, other = (pathlib.Path(tempfile.mkdtemp()) / "a.py" for _ in range(2))
        >>> _ = one.write_text("def half(x): return x / 2"), other.write_text("def half(x): return x/2  # words")
        >>> hash_code({"a.py": one}) == hash_code({"a.py": other})
        True
    """
    path = cache_folder() / "code" / f"{_CODE_VERSION}-python{sys.version_info.major}.{sys.version_info.minor}.json"
    known: dict[str, str] = {}
    with suppress(OSError, ValueError):
        known = dict(parse_json(read_document(path)))
    parts, fresh = {}, False
    for name, file in files.items():
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest not in known:
            known[digest], fresh = _hash_syntax(content), True
        parts[name] = known[digest]
    if fresh:
        with suppress(OSError):  # a cache that cannot be written costs time, nothing else
            write_text(path, json.dumps(known))
    return hash_parts(parts)


@cache  # also where every call has a cache folder of its own, as in tests
def _hash_syntax(content: bytes) -> str:
    """Hash the syntax tree of a Python file; one that does not parse is hashed as it stands."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return hashlib.sha256(content).hexdigest()
    words: list[str] = []
    _collect(tree, words)
    return hashlib.sha256("\0".join(words).encode(errors="backslashreplace")).hexdigest()


def _collect(node: Any, words: list[str]) -> None:
    """Append what a syntax tree consists of, without positions and without statements that are mere text."""
    if isinstance(node, ast.AST):
        words.append(type(node).__name__)
        for name in node._fields:
            value = getattr(node, name, None)
            if value is not None and value != []:
                words.append(name)
                _collect(value, words)
        words.append(")")
    elif isinstance(node, list):
        for item in node:
            if not _is_text(item):
                _collect(item, words)
    else:
        words.append(repr(node))


def _is_text(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
