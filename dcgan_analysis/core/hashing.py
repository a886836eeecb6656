"""Content hashes: what a thing is called never matters, what it holds always does.

All hashes are SHA-256 in hexadecimal. Arrays are hashed together with dtype and shape, so that equal bytes of
another meaning do not collide.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

__all__ = ["hash_array", "hash_array_file", "hash_file", "hash_json", "hash_parts"]

_BLOCK = 1 << 20


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


def hash_array_file(path: Path, dtype: str, shape: tuple[int, ...]) -> str:
    """Return what :func:`hash_array` gives for the array whose bytes a file holds, without mapping it into memory.

    Args:
        path: The file: the array in C order, nothing else.
        dtype: As of ``array.dtype.str``: ``"|u1"``.
        shape: The array's shape.
    """
    return _digest_file(path, f"{dtype}{shape}".encode())


def hash_file(path: Path) -> str:
    """Hash a file's bytes."""
    return _digest_file(path, b"")


def _digest_file(path: Path, before: bytes) -> str:
    digest = hashlib.sha256(before)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def hash_parts(parts: Mapping[str, str]) -> str:
    """Combine named hashes into one, independent of their order."""
    return hash_json(dict(parts))
