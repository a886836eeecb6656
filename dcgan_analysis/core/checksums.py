"""Checksums that tell a changed byte: CRC-32, which finds every change of up to 32 neighbouring bits.

They are against damage by disks, memory and copying, not against people. Files of tensors carry them in their header,
one for each tensor and one for the header's own texts; other files have theirs where they are described.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from isal.isal_zlib import crc32 as _crc32  # many times as fast as zlib's, and the same number

from dcgan_analysis.core.documents import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy as np
    from torch import Tensor

CHECKSUMS = "checksums"
"""Name of the checksums in a header."""

_TEXTS = ""  # no tensor is called so
BLOCK = 1 << 18
"""Bytes read and checked at a time: they stay in the processor's cache, where a CRC takes half the time."""

# Parts of files that were found whole in this process, by the file's name and what changes when it is written.
_whole: dict[tuple[str, int, int, int], bytearray] = {}


def crc32(data: Any, start: int = 0) -> int:
    """Return the CRC-32 of bytes, or of a buffer, after those whose CRC-32 is ``start``."""
    return int(_crc32(data, start))


def crc32_file(path: Path) -> int:
    """Return the CRC-32 of a file."""
    value = 0
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            value = crc32(block, value)
    return value


def found_whole(path: Path, parts: int = 1) -> bytearray:
    """Return a flag for each part of a file: whether this process has found it whole, and nobody wrote the file since.

    Whoever checks a part sets its flag.
    """
    status = path.stat()
    state = (str(path.absolute()), status.st_ino, status.st_mtime_ns, status.st_size)
    return _whole.setdefault(state, bytearray(parts))


def sealed(tensors: Mapping[str, np.ndarray | Tensor], texts: Mapping[str, str]) -> dict[str, str]:
    """Return the texts of a header with the checksums of the tensors, and of the texts, beside them.

    Example:
        >>> import numpy as np
        >>> arrays = {"a": np.arange(3)}
        >>> header = sealed(arrays, {"made": "today"})
        >>> damaged_tensor(arrays, header), damaged_tensor({"a": np.arange(1, 4)}, header)
        (None, 'a')
        >>> damaged_text(header), damaged_text(header | {"made": "never"})
        (False, True)
    """
    sums = {_TEXTS: _of_texts(texts)} | {name: _of_tensor(tensor) for name, tensor in tensors.items()}
    return {**texts, CHECKSUMS: json.dumps(sums)}


def damaged_tensor(tensors: Mapping[str, np.ndarray | Tensor], header: Mapping[str, str]) -> str | None:
    """Return the name of the first tensor that is not as it was when the header was sealed; None: there is none."""
    sums = recorded_sums(header)
    if sums is None:
        return None
    names = dict.fromkeys([*tensors, *(name for name in sums if name != _TEXTS)])
    return next((name for name in names if name not in tensors or _of_tensor(tensors[name]) != sums.get(name)), None)


def damaged_text(header: Mapping[str, str]) -> bool:
    """Say whether the texts of a header are others than when it was sealed."""
    sums = recorded_sums(header)
    return sums is not None and sums.get(_TEXTS) != _of_texts(header)


def recorded_sums(header: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the checksums of a header, by tensor; None: it was written before there were any."""
    if CHECKSUMS not in header:
        return None
    try:
        sums = parse_json(header[CHECKSUMS])
    except ValueError:
        return {}
    return sums if isinstance(sums, dict) else {}


def _of_texts(texts: Mapping[str, str]) -> int:
    own = {name: text for name, text in texts.items() if name != CHECKSUMS}
    return crc32(json.dumps(own, sort_keys=True).encode())


def tensor_start(kind: str, shape: Iterable[int]) -> int:
    """Return the CRC-32 of a tensor's type and shape, after which that of its values goes on."""
    return crc32(f"{kind}{list(shape)}".encode())


def _of_tensor(tensor: np.ndarray | Tensor) -> int:
    """Return the CRC-32 of type, shape and values."""
    import numpy as np

    if isinstance(tensor, np.ndarray):
        kind, values = tensor.dtype.str, np.ascontiguousarray(tensor).reshape(-1).view(np.uint8)
    else:
        import torch

        kind = str(tensor.dtype)
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return crc32(values.data, tensor_start(kind, tensor.shape))
