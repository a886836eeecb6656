"""What a file of weights is, by its first bytes and its content, never by its name.

What cannot be read is refused in one line that says what it is and what to do instead. Needs no torch.
"""

from __future__ import annotations

import re
import struct
import zipfile
from typing import TYPE_CHECKING, NoReturn

from dcgan_analysis.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["READABLE", "kind_of_file", "zip_members"]

READABLE = "PyTorch files, safetensors, Keras .h5 and .keras, .npz, and folders of .npy arrays"
_HEAD = 4096
_LARGEST_DIRECTORY = 1 << 23
_SAVE_STATE_DICT = "torch.save(netG.state_dict(), 'netG.pth')"
_SAVE_MODULE = "torch.save(m.state_dict(), 'netG.pth')"
_SAVE_KERAS = "in TensorFlow, save it with model.save('generator.h5') or model.save('generator.keras')"
_RAW_FILE = "Download the file itself: 'Download raw file' on GitHub, /resolve/ in place of /blob/ on Hugging Face"

# What begins with these bytes is one of these things, none of which can be read.
_STRANGERS: tuple[tuple[bytes, str], ...] = (
    (
        b"version https://git-lfs",
        "is a git-LFS pointer, not the weights that it points to. Run 'git lfs pull' where it was cloned",
    ),
    (b"\x1f\x8b", "is a gzip archive. Unpack it and name the file of weights in it"),
    (b"BZh", "is a bzip2 archive. Unpack it and name the file of weights in it"),
    (b"\xfd7zXZ", "is an xz archive. Unpack it and name the file of weights in it"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive. Unpack it and name the file of weights in it"),
    (b"Rar!", "is a RAR archive. Unpack it and name the file of weights in it"),
    (b"\x28\xb5\x2f\xfd", "is a zstd archive. Unpack it and name the file of weights in it"),
    (
        b"\x04\x00\x00\x00\x01\x00\x00\x00\x03\x00\x00\x00V 1",
        "is a file of Lua Torch. Convert it there to named arrays and save them as .npz",
    ),
    (b"MATLAB 5.0 MAT-file", "is a MATLAB file. Save its arrays with numpy.savez('generator.npz', **arrays)"),
    (b"\x89PNG", "is a PNG image, not weights. Name the file of weights"),
    (b"\xff\xd8\xff", "is a JPEG image, not weights. Name the file of weights"),
    (b"GGUF", "is a GGUF file of a language model. Name the file of weights of a DCGAN"),
    (b"%PDF", "is a PDF document, not weights. Name the file of weights"),
)
_NUMPY_MAGIC = b"\x93NUMPY"
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_TABLE_MAGIC = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"  # the last eight bytes of LevelDB tables: TensorFlow's index files
_TENSORFLOW_NAMES = re.compile(r".*\.(?:data-\d+-of-\d+|index|meta)|saved_model\.pb")


def kind_of_file(path: Path) -> str:
    """Say which reader a file is for.

    Args:
        path: A file.

    Returns:
        ``pytorch``, ``safetensors``, ``keras``, ``npz`` or ``npy``.

    Raises:
        CheckpointError: If it is none of them, in one line that says what it is.

    Example:
        >>> kind_of_file(Path("netG.pth"))  # doctest: +SKIP
        'pytorch'
    """
    size, head = _beginning(path)
    if not size:
        _refuse(path, "is empty. Copy it again")
    for start, text in _STRANGERS:
        if head.startswith(start):
            _refuse(path, text)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(path)
    if any(_signature(path, at, size) for at in (0, 512, 1024, 2048)):
        return "keras"
    if head.startswith(_NUMPY_MAGIC):
        return "npy"
    if _is_safetensors(head, size):
        return "safetensors"
    if head[:1] == b"\x80" and len(head) > 1 and head[1] in range(1, 6):
        return "pytorch"
    return _other(path, head, size)


def _beginning(path: Path) -> tuple[int, bytes]:
    """Return how many bytes a file has, and the first of them; a pipe would be waited for without end."""
    if path.exists() and not path.is_file():
        _refuse(path, "is a pipe or a device, not weights")
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            return size, stream.read(_HEAD)
    except OSError as error:
        _refuse(path, f"cannot be read: {error.strerror}. Check path and permissions")


def _refuse(path: Path, text: str) -> NoReturn:
    msg = f"File '{path}' {text}."
    raise CheckpointError(msg)


def _signature(path: Path, at: int, size: int) -> bool:
    # HDF5 allows a block of the user's own before its data.
    if at >= size:
        return False
    with path.open("rb") as stream:
        stream.seek(at)
        return stream.read(len(_HDF5_MAGIC)) == _HDF5_MAGIC


def _is_safetensors(head: bytes, size: int) -> bool:
    length = int.from_bytes(head[:8], "little")
    return len(head) > 9 and head[8:9] == b"{" and 2 <= length <= size - 8


def zip_members(path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the members of a zip by name.

    Raises:
        CheckpointError: If it is damaged, or has far more members than a file of weights.
    """
    try:
        # Python makes an object of every entry, ten times as large as the entry is in the file.
        _check_directory(path)
        with zipfile.ZipFile(path) as file:
            return {info.filename: info for info in file.infolist()}
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        text = " ".join(str(error).split())
        _refuse(path, f"is a zip that cannot be read: truncated or damaged ({text}). Copy it again")


def _check_directory(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - 65_557))
        tail = stream.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0:
        msg = "its directory is missing"
        raise ValueError(msg)
    (length,) = struct.unpack_from("<I", tail, at + 12)
    if length == 0xFFFFFFFF:
        (length,) = struct.unpack_from("<Q", tail, tail.rfind(b"PK\x06\x06") + 40)
    if length > _LARGEST_DIRECTORY:
        msg = f"its directory has {length:,} bytes"
        raise ValueError(msg)


def _zip(path: Path) -> str:
    names = list(zip_members(path))
    pickles = [name for name in names if name.split("/")[-1] == "data.pkl" and name.count("/") <= 1]
    if pickles:
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}constants.pkl" in names or any(name.startswith(f"{folder}code/") for name in names):
            _refuse(path, f"is TorchScript, a program. In PyTorch: m = torch.jit.load(...); {_SAVE_MODULE}")
        return "pytorch"
    if "model.weights.h5" in names and "config.json" in names:
        return "keras"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    if any("saved_model.pb" in name for name in names):
        _refuse(path, f"is a zip with a TensorFlow SavedModel: {_SAVE_KERAS}")
    first = f" ('{names[0]}' and so on)" if names else ""
    _refuse(path, f"is a zip of {len(names)} files{first}. Unpack it and name the file of weights in it")


def _other(path: Path, head: bytes, size: int) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<!--")) or b"<html" in start[:1024]:
        _refuse(path, f"is an HTML page, not weights. {_RAW_FILE}")
    if head[257:262] == b"ustar":
        _refuse(path, "is a tar archive. Unpack it and name the file of weights in it")
    if head[4:8] == b"TFL3":
        _refuse(path, f"is a TensorFlow Lite model, whose weights may be rounded. Where it was made: {_SAVE_KERAS}")
    if _TENSORFLOW_NAMES.fullmatch(path.name) or _ends_with(path, _TABLE_MAGIC, size):
        _refuse(path, f"is a TensorFlow checkpoint or graph. Load it there: {_SAVE_KERAS}")
    if start.startswith(b"model_checkpoint_path"):
        _refuse(path, f"names a TensorFlow checkpoint. Load it there: {_SAVE_KERAS}")
    if _is_onnx(head):
        _refuse(path, f"is an ONNX model. In PyTorch, where it was exported from: {_SAVE_STATE_DICT}")
    if path.suffix == ".pb":
        _refuse(path, f"is a TensorFlow graph. Load it there: {_SAVE_KERAS}")
    if _is_old_pickle(path):
        return "pytorch"
    if b"\x00" not in head and _is_text(head):
        kind = "JSON" if start[:1] in b"{[" else "text"
        _refuse(path, f"is a {kind} file, not weights. Name the file that holds the arrays: {READABLE}")
    _refuse(path, f"is of no known kind (it begins with the bytes {head[:8].hex(' ')}). Readable are {READABLE}")


def _ends_with(path: Path, end: bytes, size: int) -> bool:
    with path.open("rb") as stream:
        stream.seek(max(0, size - len(end)))
        return stream.read() == end


def _is_onnx(head: bytes) -> bool:
    """ONNX is a protobuf message: field 1 a small version, field 2 the producer's name."""
    if len(head) < 8 or head[0] != 0x08 or head[1] > 0x7F:
        return False
    if head[2] != 0x12:
        return head[2] == 0x3A  # no producer: the graph follows
    name = head[4 : 4 + head[3]]
    return bool(name) and name.replace(b"-", b"").replace(b".", b"").replace(b"_", b"").isalnum()


def _is_old_pickle(path: Path) -> bool:
    """Say whether a file is a pickle of protocol 0, which has no mark of its own: opcodes, one after another."""
    import pickletools

    with path.open("rb") as stream:
        if stream.read(1) not in b"(cd}l]":
            return False
        stream.seek(0)
        try:
            for count, _ in enumerate(pickletools.genops(stream.read(1 << 20))):
                if count > 20:
                    return True
        except Exception:  # Any failure means the same.
            return False
    return True


def _is_text(head: bytes) -> bool:
    try:
        head[: max(len(head) - 4, 1)].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
