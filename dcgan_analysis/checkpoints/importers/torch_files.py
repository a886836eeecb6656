"""What ``torch.save`` wrote, both kinds, read without unpickling: dictionaries, inert records and arrays.

The zip of today holds one pickle, ``NAME/data.pkl``, and the numbers of each storage as a file of its own,
``NAME/data/KEY``. Before torch 1.6 a file was a row of pickles followed by the storages. The pickle's calls all come
down to a view of a storage, ``torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...)``.

Source: ``torch/serialization.py`` and ``torch/_utils.py``.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from dcgan_analysis.checkpoints.importers.arrays import Array
from dcgan_analysis.checkpoints.importers.pickles import Global, PickleError, ProgramError, Record, read_pickle
from dcgan_analysis.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

__all__ = ["read_torch"]

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_LONGEST_PICKLE = 1 << 26
_MOST_AXES = 8
_STORAGES: dict[str, torch.dtype] = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
_DTYPES: dict[str, torch.dtype] = {
    f"torch.{name}": getattr(torch, name)
    for name in ["float32", "float16", "bfloat16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"]
}


@dataclass(frozen=True)
class _Storage:
    """Where the numbers of a storage are; ``read`` gives its bytes."""

    key: str
    dtype: torch.dtype
    count: int
    read: Callable[[str, int], bytearray]

    @property
    def nbytes(self) -> int:
        return self.count * self.dtype.itemsize


def read_torch(path: Path) -> Any:
    """Read a file that ``torch.save`` wrote, or a plain pickle of such things.

    Returns:
        What was saved: dictionaries, lists, strings and numbers as they are, tensors as
        :class:`~dcgan_analysis.checkpoints.importers.arrays.Array`, all else as
        :class:`~dcgan_analysis.checkpoints.importers.pickles.Record`. Storages are read when an array is.

    Raises:
        CheckpointError: If the file is damaged or holds what no file of weights does.
    """
    with _explained(path):
        return _read_zip(path) if zipfile.is_zipfile(path) else _read_legacy(path)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except ProgramError as error:
        msg = f"File '{path}' hides code: it calls {error}. Nothing was run. Save netG.state_dict() alone."
        raise CheckpointError(msg) from None
    except PickleError as error:
        msg = (
            f"File '{path}' cannot be read as a PyTorch file: {error}. Copy it again, or save netG.state_dict() alone."
        )
        raise CheckpointError(msg) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        text = " ".join(str(error).split())
        msg = f"File '{path}' cannot be read as a PyTorch file: truncated or damaged ({text}). Copy it again."
        raise CheckpointError(msg) from None


def _read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as file:
        members = {info.filename: info for info in file.infolist()}
        (pickled, *others) = (name for name in members if name.split("/")[-1] == "data.pkl" and name.count("/") <= 1)
        if others:
            msg = "it holds several pickles"
            raise PickleError(msg)
        folder = pickled.removesuffix("data.pkl")
        if members[pickled].file_size > _LONGEST_PICKLE:
            msg = f"its pickle has {members[pickled].file_size:,} bytes"
            raise PickleError(msg)
        program = file.read(pickled)
        order = file.read(f"{folder}byteorder") if f"{folder}byteorder" in members else b"little"
    if order != b"little":
        msg = "it was written on a big-endian machine"
        raise PickleError(msg)

    def read(key: str, nbytes: int) -> bytearray:
        with _explained(path), zipfile.ZipFile(path) as file, file.open(f"{folder}data/{key}") as stream:
            return _exactly(stream.read(nbytes), nbytes, path)

    def storage(identity: Any) -> _Storage:
        _, kind, key, _, count, *_ = identity
        stored = _Storage(str(key), _storage_type(kind), _count(count), read)
        info = members.get(f"{folder}data/{stored.key}")
        # Torch stores numbers as they are; a compressed storage could be a thousand times the size of its file.
        if info is None or info.file_size < stored.nbytes or info.compress_type != zipfile.ZIP_STORED:
            msg = f"storage {stored.key} of {stored.count:,} numbers is not whole"
            raise PickleError(msg)
        return stored

    return read_pickle(io.BytesIO(program), _CALLS, storage)


def _read_legacy(path: Path) -> Any:
    places: dict[str, int] = {}
    storages: dict[str, _Storage] = {}

    def read(key: str, nbytes: int) -> bytearray:
        with path.open("rb") as stream:
            stream.seek(places[key])
            return _exactly(stream.read(nbytes), nbytes, path)

    def storage(identity: Any) -> _Storage:
        _, kind, key, _, count, *_ = identity
        return storages.setdefault(str(key), _Storage(str(key), _storage_type(kind), _count(count), read))

    with path.open("rb") as stream:
        first = read_pickle(stream, _CALLS)
        if first != _LEGACY_MAGIC:
            return first
        protocol = read_pickle(stream, _CALLS)
        system = read_pickle(stream, _CALLS)
        if protocol != _LEGACY_PROTOCOL or not isinstance(system, dict) or system.get("little_endian") is not True:
            msg = "it is of an unknown version, or from a big-endian machine"
            raise PickleError(msg)
        document = read_pickle(stream, _CALLS, storage)
        keys = read_pickle(stream, _CALLS)
        size = path.stat().st_size
        for key in keys if isinstance(keys, list) else ():
            count = int.from_bytes(stream.read(8), "little", signed=True)
            known = storages.get(str(key))
            end = stream.tell() + (0 if known is None else known.nbytes)
            if known is None or count != known.count or end > size:
                msg = f"storage {key} is not whole"
                raise PickleError(msg)
            places[str(key)] = stream.tell()
            stream.seek(end)
    for key in storages:
        if key not in places:
            msg = f"storage {key} is missing"
            raise PickleError(msg)
    return document


def _exactly(data: bytes, nbytes: int, path: Path) -> bytearray:
    if len(data) != nbytes:
        msg = f"File '{path}' cannot be read as a PyTorch file: truncated or changed while it was read. Copy it again."
        raise CheckpointError(msg)
    # Writable, as torch wants its memory to be.
    return bytearray(data)


def _storage_type(kind: Any) -> torch.dtype:
    name = kind.name.rsplit(".", 1)[-1] if isinstance(kind, Global) else str(kind)
    if name not in _STORAGES:
        msg = f"it holds numbers of the kind {name}"
        raise PickleError(msg)
    return _STORAGES[name]


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        msg = "a storage has no number of elements"
        raise PickleError(msg)
    return value


def _numbers(values: Any) -> tuple[int, ...]:
    if not isinstance(values, tuple) or len(values) > _MOST_AXES or not all(type(n) is int and n >= 0 for n in values):
        msg = "a tensor has no shape"
        raise PickleError(msg)
    return tuple(int(n) for n in values)


def _rebuild_tensor(
    storage: Any, offset: Any, size: Any, stride: Any, *_: Any, dtype: torch.dtype | None = None
) -> Any:
    if not isinstance(storage, _Storage):
        msg = "a tensor has no storage"
        raise PickleError(msg)
    (start,), shape, strides = _numbers((offset,)), _numbers(size), _numbers(stride)
    dtype = dtype or storage.dtype
    count = storage.nbytes // dtype.itemsize
    last = start + sum((extent - 1) * step for extent, step in zip(shape, strides, strict=True))
    # A stride of 0 makes a few numbers an array of any size.
    numbers: int = math.prod(shape)
    if numbers > count or (numbers and last >= count):
        msg = f"a tensor of shape {shape} is larger than its storage of {count:,} numbers"
        raise PickleError(msg)

    def read() -> Tensor:
        if not math.prod(shape):
            return torch.empty(shape, dtype=dtype)
        flat = torch.frombuffer(storage.read(storage.key, storage.nbytes), dtype=dtype)
        return flat.as_strided(shape, strides, start).clone()

    return Array("", shape, read)


def _rebuild_tensor_v3(storage: Any, offset: Any, size: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Any) -> Any:
    name = dtype.name if isinstance(dtype, Global) else ""
    if name not in _DTYPES:
        msg = f"it holds numbers of the kind {name or 'unknown'}"
        raise PickleError(msg)
    return _rebuild_tensor(storage, offset, size, stride, dtype=_DTYPES[name])


def _rebuild_typed(function: Any, _kind: Any, arguments: Any, *_: Any) -> Any:
    """A tensor of a class derived from Tensor, or one with attributes."""
    meaning = _CALLS.get(function.name) if isinstance(function, Global) else None
    return Record(getattr(function, "name", "?"), arguments) if meaning is None else meaning(*arguments)


def _first(value: Any, *_: Any) -> Any:
    return value


def _ordered(*arguments: Any) -> dict[Any, Any]:
    # With arguments, a list of pairs: protocol 2 and below.
    pairs = arguments[0] if arguments else ()
    return {key: value for key, value in pairs if isinstance(key, str)}


def _empty(*_: Any) -> dict[Any, Any]:
    return {}


def _sequence(values: Any = ()) -> Any:
    return tuple(values) if isinstance(values, list | tuple) else ()


def _reconstructed(kind: Any, *_: Any) -> Record:
    return Record(kind.name if isinstance(kind, Global) else "?")


_CALLS: Mapping[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered,
    "collections.defaultdict": _empty,
    "builtins.dict": _ordered,
    "builtins.list": _sequence,
    "builtins.tuple": _sequence,
    "torch.Size": _sequence,
    "copyreg._reconstructor": _reconstructed,
    "copy_reg._reconstructor": _reconstructed,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch.nn.parameter.Parameter": _first,
    "torch._tensor._rebuild_from_type_v2": _rebuild_typed,
}
