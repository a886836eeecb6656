"""What the reader, the writer and the cache of feature stores agree on.

The elements with their encoding types and versions, the key that makes a store's identity, and the
names of the files beside a store. The format in words: docs/store-format.md.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from dcgan_analysis.core.hashing import hash_array, hash_json
from dcgan_analysis.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "CHUNK_TABLE",
    "ELEMENTS",
    "OPTIONAL",
    "STORAGE",
    "Difference",
    "FeatureKey",
    "check_element",
    "check_elements",
    "chunk_offsets",
    "hash_table",
    "opened",
    "part_path",
    "read_key",
    "stamp",
    "unreadable_path",
]

# Path in the file -> (encoding-type, encoding-version).
ELEMENTS = {
    "/": ("dcgan-feature-store", "1"),
    "/key": ("json", "1"),
    "/features": ("feature-matrix", "1"),
    "/chunks": ("chunk-table", "1"),
    "/taps": ("tap-table", "1"),
    "/taps/name": ("string-array", "1"),
    "/taps/columns": ("array", "1"),
    "/taps/shape": ("array", "1"),
    "/ids": ("string-array", "1"),
    "/classes": ("string-array", "1"),
    "/labels": ("array", "1"),
    "/groups": ("array", "1"),
}
OPTIONAL = frozenset({"/labels", "/groups"})

# Feature dtype -> HDF5 dtype. HDF5 1.10 knows no bfloat16: its bits are stored as unsigned
# integers.
STORAGE = {"float32": "<f4", "float16": "<f2", "bfloat16": "<u2"}

# One record per chunk of rows, of 8 bytes at a multiple of 8: a disk writes it whole or not at all.
CHUNK_TABLE = np.dtype([("written", "<u4"), ("crc32", "<u4")])

_GROUPS = frozenset({"/", "/taps"})
# Taps or classes that a store may name: their tables are read whole.
_MOST_NAMES = 1_000_000

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HEAP = b"GCOL\x01\0\0\0"
# Attributes, key and tables stand at the beginning of a store.
_SEARCHED = 1 << 20


class Difference(NamedTuple):
    """One part in which two keys differ."""

    part: str
    here: Any
    there: Any


class FeatureKey(BaseModel):
    """Everything that decides the numbers in a feature store: equal keys, equal stores.

    Example:
        >>> key = FeatureKey(
        ...     weights_sha256="ab", architecture="dcgan32", taps=("conv1",), pooling="max-4x4",
        ...     preprocessing="symmetric-v1", batchnorm="running", dataset_sha256="cd",
        ...     split="test", compute_dtype="float32", store_dtype="bfloat16", code_version=1,
        ... )
        >>> key.difference(key.model_copy(update={"split": "train"}))
        [Difference(part='split', here='test', there='train')]
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    weights_sha256: str = Field(description="content of the network's weights")
    architecture: str = Field(description="name of the architecture")
    architecture_parameters: dict[str, Any] = Field(
        default_factory=dict, description="width, z size, image channels, ...; JSON values"
    )
    taps: tuple[str, ...] = Field(description="names of the taps, in the order of their columns")
    pooling: str = Field(description="'max-4x4'")
    preprocessing: str = Field(description="name and version")
    batchnorm: str = Field(description="BatchNorm mode: running, reestimated or batch")
    batchnorm_split_sha256: str | None = Field(None, description="images used to re-estimate")
    batchnorm_batch_size: int | None = Field(None, description="images a batch, where it matters")
    batchnorm_seed: int | None = Field(None, description="seed of the order of the images")
    dataset_sha256: str = Field(description="content of the split: pixels and labels")
    split: str = Field(description="train, validation, test, ...")
    compute_dtype: str = Field(description="dtype of the forward pass")
    store_dtype: str = Field(description="dtype of the stored features")
    code_version: int = Field(description="version of the extraction code; grows when numbers change")

    @property
    def sha256(self) -> str:
        """Hash of all parts, hexadecimal."""
        return hash_json(self.model_dump(mode="json"))

    def difference(self, other: FeatureKey) -> list[Difference]:
        """Return the parts in which ``other`` differs from this key; empty if they are equal."""
        here, there = self.model_dump(mode="json"), other.model_dump(mode="json")
        return [Difference(part, here[part], there[part]) for part in here if here[part] != there[part]]


def part_path(path: Path) -> Path:
    """Return where a store is written until it is complete."""
    return path.with_name(f"{path.name}.part")


def unreadable_path(path: Path) -> Path:
    """Return where a half-written file goes that HDF5 cannot open."""
    return path.with_name(f"{path.name}.unreadable")


def stamp(element: Any) -> None:
    """Write the encoding type and version onto an HDF5 group or dataset."""
    kind, version = ELEMENTS[element.name]
    element.attrs["encoding-type"] = kind
    element.attrs["encoding-version"] = version


def check_element(path: Path, element: Any) -> None:
    """Check that this release can read an HDF5 group or dataset.

    Raises:
        StoreError: If its encoding type is absent or another, or its version is not the one read
            here.
    """
    kind, version = ELEMENTS[element.name]
    encoding = element.attrs.get("encoding-type")
    if encoding != kind:
        what = "no encoding-type" if encoding is None else f"encoding-type '{encoding}'"
        msg = (
            f"'{path}' is an HDF5 file but not a feature store: {element.name} has {what}, "
            f"expected '{kind}'. Make one with: dcgan-analyze extract."
        )
        raise StoreError(msg)
    written = str(element.attrs.get("encoding-version"))
    if written != version:
        newer = written.isdigit() and int(written) > int(version)
        step = "Update dcgan-analysis." if newer else "Extract the features again."
        msg = (
            f"Feature store {path}: {element.name} has encoding-version '{written}', "
            f"this release reads '{version}'. {step}"
        )
        raise StoreError(msg)


def check_elements(path: Path, file: Any) -> None:
    """Check all elements of an open store; elements that the format does not name are ignored."""
    for name in ELEMENTS:
        if name in file:
            check_element(path, file[name])
        elif name not in OPTIONAL:
            msg = f"Feature store {path}: {name} is missing. Remove the file and extract again."
            raise StoreError(msg)


def _check_layout(file: Any) -> None:
    """Compare kinds, types and shapes with each other and with the size of the file, before anything is read.

    Raises:
        ValueError: If they do not fit, or anything lies in another file.
    """
    import h5py

    for name in filter(file.__contains__, ELEMENTS):
        element = file[name]
        if isinstance(element, h5py.Group) != (name in _GROUPS):
            msg = f"{name} is {'no group' if name in _GROUPS else 'a group'}"
            raise ValueError(msg)
        linked = name != "/" and not isinstance(file.get(name, getlink=True), h5py.HardLink)
        if linked or (name not in _GROUPS and (element.is_virtual or element.external)):
            msg = f"{name} lies in another place"
            raise ValueError(msg)
    features = file["/features"]
    if features.ndim != 2 or features.nbytes > features.file.id.get_filesize():
        msg = f"/features claims the shape {features.shape}, which the file does not hold"
        raise ValueError(msg)
    n = len(features)
    taps, classes = len(file["/taps/name"]), len(file["/classes"])
    if max(taps, classes) > _MOST_NAMES:
        msg = f"it names {taps:,} taps and {classes:,} classes"
        raise ValueError(msg)
    rows = (features.chunks or (n or 1,))[0]
    expected: dict[str, tuple[tuple[int, ...], Any]] = {
        "/key": ((), "O"),
        "/chunks": ((-(-n // rows),), CHUNK_TABLE),
        "/taps/name": ((taps,), "O"),
        "/taps/columns": ((taps, 2), "<i8"),
        "/taps/shape": ((taps, *file["/taps/shape"].shape[1:2]), "<i8"),
        "/ids": ((n,), "O"),
        "/classes": ((classes,), "O"),
        "/labels": ((n,), "<i8"),
        "/groups": ((n,), "<i8"),
    }
    for name, (shape, dtype) in expected.items():
        if name in file and (file[name].shape != shape or file[name].dtype != dtype):
            msg = f"{name} is {file[name].dtype} {file[name].shape}, expected {np.dtype(dtype)} {shape}"
            raise ValueError(msg)


def _check_heaps(start: bytes) -> None:
    """Refuse heaps, which hold strings, whose free space has size 0: HDF5 never comes to their end.

    Raises:
        ValueError: If there is one.
    """
    heap = start.find(_HEAP)
    while heap >= 0:
        at, end = heap + 16, heap + int.from_bytes(start[heap + 8 : heap + 16], "little")
        while at + 16 <= min(end, len(start)):
            size = int.from_bytes(start[at + 8 : at + 16], "little")
            if start[at : at + 2] == b"\0\0":  # the free space, the last of a heap
                if size == 0:
                    msg = f"the heap at byte {heap:,} has free space of size 0"
                    raise ValueError(msg)
                break
            at += 16 + -(-size // 8) * 8
        heap = start.find(_HEAP, heap + 1)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a store, its elements checked; what goes wrong inside becomes a StoreError.

    The HDF5 handle must not outlive the block: a handle that is carried over a fork gives wrong
    data.
    """
    import h5py

    try:
        with path.open("rb") as stream:
            start = stream.read(_SEARCHED)
        if not start.startswith(_SIGNATURE):
            msg = f"'{path}' is not an HDF5 file. Make a store with: dcgan-analyze extract."
            raise StoreError(msg)
        _check_heaps(start)
        # Complete stores never change, and network file systems often lack locks: none is taken.
        with h5py.File(path, "r", locking=False) as file:
            check_elements(path, file)
            _check_layout(file)
            yield file
    except FileNotFoundError:
        msg = f"Feature store '{path}' does not exist. Make it with: dcgan-analyze extract."
        raise StoreError(msg) from None
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        msg = f"Feature store '{path}' is damaged or truncated ({reason}). Remove the file and extract again."
        raise StoreError(msg) from error


def read_key(file: Any) -> FeatureKey:
    """Read the key of an open store."""
    return FeatureKey.model_validate_json(file["key"].asstr()[()])


def hash_table(table: Any) -> str:
    """Hash an array, or a list of strings."""
    return hash_array(table) if isinstance(table, np.ndarray) else hash_json(table)


def chunk_offsets(features: Any) -> list[int]:
    """Return where each chunk of rows begins in the file, in bytes.

    Raises:
        ValueError: If ``/features`` is anything else than plain bytes in chunks of whole rows.
    """
    rows, columns = features.chunks or (1, 0)
    offsets: dict[int, int] = {}

    def visit(chunk: Any) -> None:
        offsets[chunk.chunk_offset[0]] = chunk.byte_offset

    if columns == features.shape[1] and not features.id.get_create_plist().get_nfilters():
        features.id.chunk_iter(visit)
    starts = range(0, len(features), rows)
    if len(offsets) != len(starts):
        msg = "/features is not stored in unfiltered chunks of whole rows, all of them allocated"
        raise ValueError(msg)
    return [offsets[start] for start in starts]
