"""Files of tensors (safetensors): written whole or not at all, with checksums of everything in their header.

Reading them as float32 is one pass: a block is checked and converted while it is in the processor's cache.
"""

from __future__ import annotations

import math
import os
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from dcgan_analysis.core.checksums import BLOCK, crc32, damaged_tensor, recorded_sums, sealed, tensor_start
from dcgan_analysis.core.documents import parse_json
from dcgan_analysis.core.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import FileIO
    from pathlib import Path

    from torch import Tensor

# Types of the format and their names in torch; checkpoints have no others.
_TYPES = {
    **{"BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64"},
    **{"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"},
}
_SYSTEM_ERROR = re.compile(r"os error (\d+)")


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray | Tensor], texts: Mapping[str, str]) -> None:
    """Write tensors, and texts into the header, as one safetensors file.

    Args:
        path: The file; one that stands there is replaced when the new one is whole.
        tensors: By name, all of NumPy or all of torch, contiguous.
        texts: By name.

    Raises:
        OSError: If it cannot be written; safetensors itself reports a full disk as an error of the format.
    """
    # Only what is asked for: torch takes long to import.
    of_numpy = all(isinstance(tensor, np.ndarray) for tensor in tensors.values())
    file_format = import_module("safetensors.numpy" if of_numpy else "safetensors.torch")
    try:
        with atomic_path(path) as temporary:
            file_format.save_file(dict(tensors), temporary, metadata=sealed(tensors, texts))
    except SafetensorError as error:
        code = _SYSTEM_ERROR.search(str(error))
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from None


def undamaged_tensors(path: Path, framework: Literal["pt", "numpy"] = "pt") -> dict[str, Any]:
    """Return the tensors of a file as they are in it, after all were compared with their checksums.

    Args:
        path: The file.
        framework: Whose tensors were written; those of torch are mapped, not read.

    Raises:
        OSError: If it cannot be read.
        SafetensorError: If it is no such file, or damaged in its build.
        ValueError: If a tensor is not as it was written.
    """
    with safe_open(path, framework=framework) as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
        damaged = damaged_tensor(tensors, file.metadata() or {})
    if damaged is not None:
        msg = f"it is damaged, tensor '{damaged}' is not as it was written"
        raise ValueError(msg)
    return tensors


class Weights(NamedTuple):
    """What a file of tensors holds.

    Attributes:
        tensors: By name, in the order of the file; real ones in float32.
        texts: Of the header.
        damaged: Name of a tensor that is not as it was written, or None.
        not_finite: Name of a tensor with values that are not finite, or None.
        crc32: Of the whole file, where its header holds no checksums.
    """

    tensors: dict[str, Tensor]
    texts: dict[str, str]
    damaged: str | None
    not_finite: str | None
    crc32: int | None


def read_weights(path: Path, *, check: bool = True) -> Weights:
    """Read a file of tensors as float32.

    Args:
        path: The file.
        check: Whether tensors are compared with the checksums and searched for values that are not finite.

    Raises:
        OSError: If it cannot be read.
        SafetensorError: If it is no such file, or damaged in its build.
        ValueError: If a tensor is of a type that checkpoints do not have.

    Example:
        >>> import pathlib, tempfile, torch
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.safetensors"
        >>> write_tensors(path, {"a": torch.ones(2, dtype=torch.float16)}, {"made": "today"})
        >>> weights = read_weights(path)
        >>> weights.tensors, weights.texts["made"], weights.damaged
        ({'a': tensor([1., 1.])}, 'today', None)
    """
    with safe_open(path, framework="pt") as file:  # compares shapes, types and places with the size of the file
        texts = file.metadata() or {}
    sums = recorded_sums(texts)
    tensors: dict[str, Tensor] = {}
    damaged = not_finite = None
    block = bytearray(BLOCK)
    with path.open("rb", buffering=0) as stream:
        start = stream.read(8)
        start += stream.read(int.from_bytes(start, "little"))
        entries = {name: entry for name, entry in parse_json(start[8:]).items() if name != "__metadata__"}
        total = crc32(start)
        for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
            before = total if sums is None else tensor_start(f"torch.{_type(name, entry)}", entry["shape"])
            tensors[name], total, finite = _read_tensor(stream, name, entry, block, before if check else None)
            if damaged is None and sums is not None and check and total != sums.get(name):
                damaged = name
            if not finite:
                not_finite = not_finite or name
    if sums is not None and check:
        damaged = damaged or next((name for name in sums if name and name not in tensors), None)
    return Weights(tensors, texts, damaged, not_finite, total if sums is None else None)


def _type(name: str, entry: dict[str, Any]) -> str:
    if entry["dtype"] not in _TYPES:
        msg = f"tensor '{name}' has type {entry['dtype']}; allowed are {', '.join(_TYPES)}"
        raise ValueError(msg)
    return _TYPES[entry["dtype"]]


def _read_tensor(
    stream: FileIO, name: str, entry: dict[str, Any], block: bytearray, start: int | None
) -> tuple[Tensor, int, bool]:
    """Read the tensor that comes next in a file; return it, its CRC-32 after ``start`` and whether it is finite."""
    import torch

    dtype: torch.dtype = getattr(torch, _type(name, entry))
    real = dtype.is_floating_point
    tensor = torch.empty(entry["shape"], dtype=torch.float32 if real else dtype)
    values, view, source = tensor.view(-1), memoryview(block), torch.frombuffer(block, dtype=dtype)
    value, finite, at = start or 0, True, 0
    step = BLOCK // dtype.itemsize
    while at < len(values):
        part = values[at : at + step]
        chunk = view[: len(part) * dtype.itemsize]
        if stream.readinto(chunk) != len(chunk):
            msg = f"it ends within tensor '{name}'"
            raise ValueError(msg)
        part.copy_(source[: len(part)])
        if start is not None:
            value = crc32(chunk, value)
            # Where the sum of the squares is finite so are all; where it is too large itself, each is looked at.
            finite = finite and (not real or math.isfinite(part.dot(part).item()) or bool(part.isfinite().all()))
        at += step
    return tensor, value, finite
