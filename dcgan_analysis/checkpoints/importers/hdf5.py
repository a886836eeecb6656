"""Arrays in an HDF5 file, nothing outside of it: no links to other files, no virtual or external arrays, no bombs."""

from __future__ import annotations

import math
from typing import IO, TYPE_CHECKING, Any

import h5py
import numpy as np
import torch

from dcgan_analysis.checkpoints.importers.arrays import Array
from dcgan_analysis.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

__all__ = ["attribute_texts", "read_arrays"]

_MOST_OBJECTS = 20_000
_DEEPEST = 24
_LARGEST_RATIO = 200
_SMALL = 1 << 20
_LONGEST_TEXT = 1 << 26


def read_arrays(path: Path, source: Path | IO[bytes]) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays of a file by path, and the attributes of its groups that hold texts.

    Args:
        path: What messages call the file.
        source: The file, or its bytes.

    Returns:
        Arrays by path, as ``"model_weights/dense/kernel:0"``, in the order in which groups list them; and the
        attributes of each group by path (the root's is empty) that are texts or lists of texts.

    Raises:
        CheckpointError: If the file is damaged or points outside of itself.
    """
    arrays: dict[str, Array] = {}
    attributes: dict[str, dict[str, Any]] = {}
    try:
        with h5py.File(source, "r") as file:
            for name, thing in _objects(file, path):
                if isinstance(thing, h5py.Dataset):
                    _check(path, name, thing)
                    if thing.dtype.kind in "fiu":
                        arrays[name] = Array(name, tuple(thing.shape), _reader(path, source, name))
                else:
                    attributes[name] = _texts(thing)
    except CheckpointError:
        raise
    except Exception as error:  # The library reports a damaged file in any way.
        text = " ".join(str(error).split())[:200]
        msg = f"File '{path}' cannot be read as HDF5: truncated or damaged ({text}). Copy it again."
        raise CheckpointError(msg) from None
    return arrays, attributes


def _objects(file: h5py.File, path: Path) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    seen: set[Any] = set()
    stack: list[tuple[str, h5py.Group | h5py.Dataset, int]] = [("", file, 0)]
    while stack:
        name, thing, depth = stack.pop()
        address = h5py.h5o.get_info(thing.id).addr
        if address in seen:
            continue
        seen.add(address)
        if len(seen) > _MOST_OBJECTS or depth > _DEEPEST:
            msg = f"File '{path}' holds more groups than a file of weights does, or deeper ones."
            raise CheckpointError(msg)
        yield name, thing
        if isinstance(thing, h5py.Group):
            inner = []
            for key in thing:
                link = thing.get(key, getlink=True)
                full = f"{name}/{key}" if name else key
                if not isinstance(link, h5py.HardLink):
                    msg = (
                        f"File '{path}': '{full}' is a link to elsewhere, which is not followed. Save the model again."
                    )
                    raise CheckpointError(msg)
                each = thing[key]
                if isinstance(each, h5py.Group | h5py.Dataset):
                    inner.append((full, each, depth + 1))
            stack += inner[::-1]


def _check(path: Path, name: str, dataset: h5py.Dataset) -> None:
    if dataset.is_virtual or dataset.external:
        msg = f"File '{path}': array '{name}' lies in another file, which is not opened. Save the model again."
        raise CheckpointError(msg)
    if dataset.shape is None:
        msg = f"File '{path}': array '{name}' is empty. Save the model again."
        raise CheckpointError(msg)
    claimed = math.prod(dataset.shape) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if claimed > _SMALL and claimed > _LARGEST_RATIO * stored:
        msg = f"File '{path}': array '{name}' claims {claimed:,} bytes, {stored:,} are stored. Save the model again."
        raise CheckpointError(msg)


def _reader(path: Path, source: Path | IO[bytes], name: str) -> Any:
    def read() -> Tensor:
        try:
            with h5py.File(source, "r") as file:
                values = file[name][()]
        except Exception as error:
            text = " ".join(str(error).split())[:200]
            msg = f"File '{path}': array '{name}' cannot be read: truncated or damaged ({text}). Copy it again."
            raise CheckpointError(msg) from None
        return torch.from_numpy(np.ascontiguousarray(values.astype(np.float32)))

    return read


def _texts(group: h5py.Group) -> dict[str, Any]:
    texts: dict[str, Any] = {}
    for key in group.attrs:
        kind = group.attrs.get_id(key)
        if kind.dtype.kind not in "OSU" or kind.get_storage_size() > _LONGEST_TEXT:
            continue
        value = group.attrs[key]
        if isinstance(value, bytes | str):
            texts[key] = _text(value)
        elif isinstance(value, np.ndarray) and value.dtype.kind in "OSU":
            texts[key] = [_text(each) for each in value.flatten()]
    return texts


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def attribute_texts(attributes: dict[str, Any], name: str) -> list[str]:
    """Return a list of texts that Keras may have cut into ``name0``, ``name1``, ...; empty where there is none."""
    if isinstance(attributes.get(name), list):
        return list(attributes[name])
    parts: list[str] = []
    for number in range(len(attributes)):
        parts += attributes.get(f"{name}{number}", [])
    return parts
