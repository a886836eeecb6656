"""Writes prepared images block by block, in bounded memory, so that a kill loses no more than a block.

Every block is on the disk when the next one begins; a killed preparation goes on there. The folder appears under its
name when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from dcgan_analysis.core.checksums import crc32, crc32_file
from dcgan_analysis.core.documents import parse_json, read_document
from dcgan_analysis.core.files import put_in_place, write_text
from dcgan_analysis.core.hashing import hash_json
from dcgan_analysis.data.dataset import DatasetSplit
from dcgan_analysis.data.files.decode import Decoding, Room, decode_image, worker_threads
from dcgan_analysis.data.files.pictures import PictureError, most_pixels
from dcgan_analysis.data.files.prepared import PREPARED, SKIPPED, Metadata, SplitRecord
from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from dcgan_analysis.core.progress import Progress
    from dcgan_analysis.data.files.containers import Container
    from dcgan_analysis.data.files.index import ImageIndex

# What a kill can lose, and what is held in memory: at most so many images, of at most so many bytes.
_BLOCK = 4096
_BLOCK_BYTES = 1 << 26
# Pixels that have a checksum of their own: read whole when one of their images is.
_CHUNK_BYTES = 1 << 20
# Images per task of a thread: to hand over one takes as long as to decode it.
_TASK = 64
_JOURNAL = "journal.json"
_FILES = Room(lambda: 4 * most_pixels())
# ITU-R BT.601, as in `Preprocessing`.
_LUMA = np.array([0.299, 0.587, 0.114])


class Plan(TypedDict):
    """What is to be made; a preparation that was begun goes on with the same plan only.

    Attributes:
        source: What the images come from.
        n: How many images there are.
        size: Height and width. None: as they are, and all must be of one size.
        channels: 3 (gray is repeated) or 1 (colour becomes gray by luma). None: 1 where every image is gray, else 3.
        limit: Only the first so many; None: all.
        background: What transparent pixels are composed on, red, green and blue.
        value_range: Which values become 0 and 255 in images of more than 8 bits per channel; None: they are left out.
    """

    source: str
    n: int
    size: int | None
    channels: int | None
    limit: int | None
    background: list[int]
    value_range: list[float] | None


@dataclass(frozen=True)
class Prepared:
    """What a preparation left.

    Attributes:
        folder: Where the images lie.
        n: Images by split.
        skipped: How many could not be read; ``skipped.tsv`` in the folder lists them.
        remarks: What else a user must know: why images were left out, what was changed in others.
    """

    folder: Path
    n: dict[str, int]
    skipped: int
    remarks: list[str]


@dataclass
class _Journal:
    """How far a preparation has come; written after the files that it speaks of."""

    plan: Plan
    position: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    skipped: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    remarks: dict[str, int] = field(default_factory=dict)
    colour: bool = False


@dataclass(frozen=True)
class _Decoded:
    """One image of a block; without pixels where it could not be read."""

    name: str
    pixels: NDArray[np.uint8] | None
    gray: bool = True
    remarks: tuple[str, ...] = ()
    error: str = ""
    reason: str = ""


def write_images(
    container: Container[Any],
    names: Sequence[str],
    out: Path,
    plan: Plan,
    *,
    what: str,
    index: ImageIndex | None = None,
    note: str = "",
    progress: Progress,
) -> Prepared:
    """Decode images of a container into a folder of prepared images, or go on where that was killed.

    Args:
        container: What holds the images.
        names: Their names, in order, at least one.
        out: The folder to make; while it is incomplete it is called ``<out>.part``.
        plan: How they are decoded.
        what: What progress calls the work.
        index: Splits and columns of the same images. None: all are of one split, with their positions in ``names`` as
            their only column.
        note: What a reader of a result must know of how the images were made.
        progress: Called with the number of images done.

    Raises:
        DatasetError: If no image can be read, one is of another size than the first where none is given, or
            ``<out>.part`` was begun with another plan.
    """
    part = out.with_name(f"{out.name}.part")
    journal = _begin(part, plan)
    total = min(len(names), plan["limit"] or len(names))
    first, shape = _shape(container, names, plan)
    block = max(1, min(_BLOCK, _BLOCK_BYTES // int(np.prod(shape))))
    splits = _splits_by_position(index)

    def decode(name: str) -> _Decoded:
        decoded = _decode(container, name, plan)
        # Refused at once: a block has room for images of the first one's size.
        if decoded.pixels is not None and decoded.pixels.shape[1:] != shape[1:]:
            raise _another_size(container, first, shape, name, decoded.pixels.shape)
        return decoded

    with ThreadPoolExecutor(worker_threads()) as pool:
        while journal.position < total:
            chosen = names[journal.position : min(journal.position + block, total)]
            tasks = [chosen[i : i + _TASK] for i in range(0, len(chosen), _TASK)]
            done = pool.map(lambda task: [decode(name) for name in task], tasks)
            _append(part, journal, splits, chain.from_iterable(done))
            progress(what, journal.position, total)
    return _finish(part, out, journal, container.path, index, shape, note)


def _splits_by_position(index: ImageIndex | None) -> list[str] | None:
    if index is None:
        return None
    splits = [""] * len(index.names)
    for split, positions in index.splits.items():
        for position in positions:
            splits[position] = split
    return splits


def _shape(container: Container[Any], names: Sequence[str], plan: Plan) -> tuple[str, tuple[int, int, int]]:
    """Return the shape in which images are written, and the name of the image that tells it, if one does."""
    if plan["size"] is not None:
        return "", (plan["channels"] or 3, plan["size"], plan["size"])
    for name in names:
        decoded = _decode(container, name, plan)
        if decoded.pixels is not None:
            _, height, width = decoded.pixels.shape
            return name, (3, height, width)
    return "", (3, 1, 1)


def _another_size(
    container: Container[Any], first: str, shape: tuple[int, ...], name: str, other: tuple[int, ...]
) -> DatasetError:
    return DatasetError(
        f"Image '{name}' in {container.path.name} is {other[1]}x{other[2]} (height x width), but the first one, "
        f"'{first}', is {shape[1]}x{shape[2]}. Bring all images to one size: "
        "dcgan-analyze prepare, given a size."
    )


def _decode(container: Container[Any], name: str, plan: Plan) -> _Decoded:
    red, green, blue = plan["background"]
    black_white = plan["value_range"]
    decoding = Decoding(plan["size"], (red, green, blue), (black_white[0], black_white[1]) if black_white else None)
    try:
        # Files may be as large as pictures are: not every thread holds one at a time.
        with _FILES.of(container.size(name)):
            decoded = decode_image(container.read(name), f"'{name}' in {container.path.name}", decoding)
    except DatasetError as error:
        reason = error.reason if isinstance(error, PictureError) else "the file cannot be read"
        return _Decoded(name, None, error=" ".join(str(error).split()), reason=reason)
    pixels = decoded.pixels
    if plan["channels"] == 1:
        pixels = np.rint(np.tensordot(_LUMA, pixels, 1))[None].astype(np.uint8)
    return _Decoded(name, pixels, decoded.gray, decoded.remarks)


def _begin(part: Path, plan: Plan) -> _Journal:
    """Make the folder, or cut its files back to what the journal knows."""
    path = part / _JOURNAL
    if path.exists():
        journal = _read_journal(path) or _Journal(plan)
        begun: dict[str, Any] = dict(journal.plan)
        differing = [
            f"{key} (begun {begun.get(key)!r}, now {now!r})" for key, now in plan.items() if begun.get(key) != now
        ]
        # Where not one image could be read, the error may have named the setting that helps.
        if differing and journal.rows:
            msg = (
                f"'{part}' holds a preparation with another {'; '.join(differing)}. Remove it, or choose another (out)."
            )
            raise DatasetError(msg)
        files = {file.name: file for file in part.iterdir() if file.name != _JOURNAL}
        if (
            not differing
            and journal.position
            and all(name in files and files[name].stat().st_size >= size for name, size in journal.bytes.items())
        ):
            for name, file in files.items():
                os.truncate(file, journal.bytes.get(name, 0))
            return journal
        # Killed while it was finished, damaged, or of no use: start again.
        for file in files.values():
            file.unlink()
    part.mkdir(parents=True, exist_ok=True)
    journal = _Journal(plan)
    _write_journal(path, journal)
    return journal


def _read_journal(path: Path) -> _Journal | None:
    """Return the journal; None: it is damaged, or was not written by this release."""
    try:
        document = parse_json(read_document(path))
        if document.pop("checksum") == hash_json(document):
            return _Journal(**document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def _write_journal(path: Path, journal: _Journal) -> None:
    document = asdict(journal)
    write_text(path, json.dumps({**document, "checksum": hash_json(document)}))


def _append(part: Path, journal: _Journal, splits: Sequence[str] | None, images: Iterable[_Decoded]) -> None:
    """Append a block to the files of its splits, then write the journal."""
    data: dict[str, list[bytes]] = {}
    for image in images:
        if image.pixels is None:
            data.setdefault(SKIPPED, []).append(_line(f"{image.name}\t{image.error}"))
            journal.skipped += 1
            journal.reasons[image.reason] = journal.reasons.get(image.reason, 0) + 1
        else:
            split = "train" if splits is None else splits[journal.position]
            data.setdefault(f"{split}.u8", []).append(image.pixels.tobytes())
            data.setdefault(f"{split}.ids", []).append(_line(image.name))
            data.setdefault(f"{split}.positions", []).append(np.int64(journal.position).tobytes())
            journal.rows[split] = journal.rows.get(split, 0) + 1
            journal.colour |= not image.gray
            for remark in image.remarks:
                journal.remarks[remark] = journal.remarks.get(remark, 0) + 1
        journal.position += 1
    for name, parts in data.items():
        with (part / name).open("ab") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
            journal.bytes[name] = file.tell()
    _write_journal(part / _JOURNAL, journal)


def _line(text: str) -> bytes:
    # A file's name may hold what ends a line, or what no text can.
    return " ".join(text.splitlines()).encode(errors="backslashreplace") + b"\n"


def _finish(
    part: Path,
    out: Path,
    journal: _Journal,
    source: Path,
    index: ImageIndex | None,
    shape: tuple[int, int, int],
    note: str,
) -> Prepared:
    """Write columns and metadata, and give the folder its name."""
    if not journal.rows:
        first = (part / SKIPPED).read_text(encoding="utf-8").partition("\n")[0].partition("\t")[2]
        msg = (
            f"None of the {journal.position:,} images of '{source}' can be read; '{part / SKIPPED}' says why. "
            f"The first: {first}"
        )
        raise DatasetError(msg)
    if journal.plan["channels"] is None and not journal.colour:
        for split in journal.rows:
            _keep_one_channel(part / f"{split}.u8", shape)
        shape = (1, *shape[1:])
    columns = {split: _columns(part, split, index, source.name) for split in journal.rows}
    metadata = Metadata(
        image_shape=shape,
        classes=index.classes if index is not None else [],
        attribute_names=index.attribute_names if index is not None else [],
        skipped=journal.skipped,
        reasons=journal.reasons,
        remarks=journal.remarks,
    )
    for split, n in journal.rows.items():
        np.savez(part / f"{split}.npz", allow_pickle=False, **columns[split])
        rows = max(1, _CHUNK_BYTES // int(np.prod(shape)))
        content, chunks = _sums(part / f"{split}.u8", (n, *shape), rows)
        blank = np.broadcast_to(np.uint8(0), (n, *shape))
        labels = columns[split].get("labels")
        without_pixels = DatasetSplit(blank, labels, [""] * n, classes=metadata.classes, images_sha256=content)
        sums = {suffix: crc32_file(part / f"{split}{suffix}") for suffix in (".ids", ".npz")}
        metadata.splits[split] = SplitRecord(
            n=n, sha256=without_pixels.sha256, images_sha256=content, crc32=sums, chunk_rows=rows, chunks=chunks
        )
        (part / f"{split}.positions").unlink()
    remarks = metadata.sentences()
    known = [index.note, note, *index.remarks] if index is not None else [note]
    metadata.note = " ".join(filter(None, [*known, *remarks]))
    metadata.checksum = metadata.own_checksum()
    write_text(part / PREPARED, metadata.model_dump_json(indent=1))
    (part / _JOURNAL).unlink()
    put_in_place(part, out)
    return Prepared(out, journal.rows, journal.skipped, remarks)


def _sums(path: Path, shape: tuple[int, ...], chunk_rows: int) -> tuple[str, list[int]]:
    """Return the hash of the array whose bytes a file holds, as ``hash_array`` gives it, and the CRC-32 of each chunk.

    The file is read once, and not mapped: what is mapped counts as memory that is used.
    """
    digest, sums = hashlib.sha256(f"|u1{shape}".encode()), []
    with path.open("rb") as stream:
        while chunk := stream.read(chunk_rows * int(np.prod(shape[1:]))):
            digest.update(chunk)
            sums.append(crc32(chunk))
    return digest.hexdigest(), sums


def _keep_one_channel(path: Path, shape: tuple[int, int, int]) -> None:
    """Keep the first of the three equal channels of gray images."""
    size = int(np.prod(shape))
    gray = path.with_suffix(".gray")
    with path.open("rb") as three, gray.open("wb") as one:
        while block := three.read(size * max(1, _BLOCK_BYTES // size)):
            one.write(np.frombuffer(block, np.uint8).reshape(-1, *shape)[:, :1].tobytes())
    gray.replace(path)


def _columns(part: Path, split: str, index: ImageIndex | None, where: str) -> dict[str, NDArray[Any]]:
    """Return the arrays that belong to the images of a split that could be read."""
    positions = np.fromfile(part / f"{split}.positions", np.int64)
    if index is None:
        return {"positions": positions}
    kept = np.isin(index.splits[split], positions)
    known = index.columns(split, where)
    known |= known.pop("extras")
    return {key: values[kept] for key, values in known.items() if values is not None}
