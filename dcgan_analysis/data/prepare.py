"""Preparing images: any source, decoded once to one size, corrupt ones left out and listed.

What is done is on the disk after every block; a preparation that was killed goes on there. The folder appears under
its name when it is complete.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from dcgan_analysis.atomic import write_text
from dcgan_analysis.data.dataset import DatasetSplit
from dcgan_analysis.data.decode import decode_image, worker_threads
from dcgan_analysis.data.prepared import FORMAT, PREPARED, VERSION
from dcgan_analysis.data.streams import open_stream
from dcgan_analysis.errors import DatasetError
from dcgan_analysis.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from dcgan_analysis.data.streams import EncodedImage, ImageStream

__all__ = ["Prepared", "prepare_images"]

# What a kill can lose, and what is held in memory: 4,096 images of 3x64x64 are 50 MB.
_BLOCK = 4096
_JOURNAL = "journal.json"
_SKIPPED = "skipped.tsv"
# ITU-R BT.601, as in `Preprocessing`.
_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Prepared:
    """What a preparation left.

    Attributes:
        folder: Where the images lie.
        n: Images by split.
        skipped: How many could not be read; ``skipped.tsv`` in the folder lists them.
    """

    folder: Path
    n: dict[str, int]
    skipped: int


@dataclass
class _Journal:
    """How far a preparation has come; written after the files that it speaks of."""

    plan: dict[str, Any]
    position: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    skipped: int = 0


def prepare_images(
    source: Path,
    out: Path,
    *,
    size: int,
    channels: int = 3,
    limit: int | None = None,
    progress: Progress = silent,
) -> Prepared:
    """Decode a source of images to one size, into a folder that is read through a memory map.

    Args:
        source: A zip, a folder, ``.tar`` shards or an LMDB; see ``open_stream``.
        out: The folder to make; while it is incomplete it is called ``<out>.part``.
        size: Height and width. The shorter side is resized to it (bilinear, antialiased), the centre cut out.
        channels: 3 (gray is repeated) or 1 (colour becomes gray by luma).
        limit: Only the first so many images of the source.
        progress: Told of images done.

    Raises:
        DatasetError: If the source is no such thing, no image can be read, ``out`` exists, or ``<out>.part`` belongs to
            another preparation.

    Example:
        >>> prepare_images(Path("imagenet/train"), Path("imagenet32"), size=32)  # doctest: +SKIP
    """
    if size < 1 or channels not in (1, 3):
        msg = f"size must be >= 1 and channels 1 or 3, got size {size} and channels {channels}."
        raise DatasetError(msg)
    if out.exists():
        msg = f"'{out}' exists. Choose another --out, or remove it first."
        raise DatasetError(msg)
    stream = open_stream(source)
    total = min(stream.n, limit or stream.n)
    plan = {"source": str(source.resolve()), "n": stream.n, "size": size, "channels": channels, "limit": limit}
    part = out.with_name(f"{out.name}.part")
    journal = _begin(part, plan)
    images = islice(stream.start(journal.position), None if limit is None else limit - journal.position)
    with ThreadPoolExecutor(worker_threads()) as pool:
        while block := list(islice(images, _BLOCK)):
            decoded = pool.map(lambda image: _decode(image, source.name, size, channels), block)
            _append(part, journal, stream, zip(block, decoded, strict=True))
            progress(f"prepare {source.name} (images)", journal.position, total)
    return _finish(part, out, journal, stream)


def _decode(image: EncodedImage, where: str, size: int, channels: int) -> NDArray[np.uint8] | DatasetError:
    try:
        pixels, _ = decode_image(image.read(), f"'{image.name}' in {where}", size=size)
    except DatasetError as error:
        return error
    if channels == len(pixels):
        return pixels
    return np.rint(np.tensordot(_LUMA, pixels, 1))[None].astype(np.uint8)


def _begin(part: Path, plan: dict[str, Any]) -> _Journal:
    """Make the folder, or cut its files back to what the journal knows."""
    path = part / _JOURNAL
    if not path.exists():
        part.mkdir(parents=True, exist_ok=True)
        journal = _Journal(plan)
        write_text(path, json.dumps(asdict(journal)))
        return journal
    journal = _Journal(**json.loads(path.read_text(encoding="utf-8")))
    differing = [
        f"{key} (begun {journal.plan[key]!r}, now {plan[key]!r})" for key in plan if journal.plan[key] != plan[key]
    ]
    if differing:
        msg = f"'{part}' holds a preparation with another {'; '.join(differing)}. Remove it, or choose another --out."
        raise DatasetError(msg)
    for file in part.iterdir():
        if file.name != _JOURNAL:
            os.truncate(file, journal.bytes.get(file.name, 0))
    return journal


def _append(
    part: Path,
    journal: _Journal,
    stream: ImageStream,
    images: Iterable[tuple[EncodedImage, NDArray[np.uint8] | DatasetError]],
) -> None:
    """Append a block to the files of its splits, then write the journal."""
    data: dict[str, list[bytes]] = {}
    for image, pixels in images:
        if isinstance(pixels, DatasetError):
            reason = " ".join(str(pixels).split())
            data.setdefault(_SKIPPED, []).append(f"{image.name}\t{reason}\n".encode())
            journal.skipped += 1
        else:
            split = stream.split(image)
            label = -1 if image.label is None else image.label
            data.setdefault(f"{split}.u8", []).append(pixels.tobytes())
            data.setdefault(f"{split}.ids", []).append(f"{image.name}\n".encode())
            data.setdefault(f"{split}.labels", []).append(np.int64(label).tobytes())
            data.setdefault(f"{split}.positions", []).append(np.int64(journal.position).tobytes())
            journal.rows[split] = journal.rows.get(split, 0) + 1
        journal.position += 1
    for name, parts in data.items():
        with (part / name).open("ab") as file:
            file.write(b"".join(parts))
            file.flush()
            os.fsync(file.fileno())
            journal.bytes[name] = file.tell()
    write_text(part / _JOURNAL, json.dumps(asdict(journal)))


def _finish(part: Path, out: Path, journal: _Journal, stream: ImageStream) -> Prepared:
    """Write columns and metadata, and give the folder its name."""
    if not journal.rows:
        msg = f"None of the {journal.position:,} images of '{stream.path}' can be read; '{part / _SKIPPED}' says why."
        raise DatasetError(msg)
    plan, shape = journal.plan, (journal.plan["channels"], journal.plan["size"], journal.plan["size"])
    columns = {split: _columns(part, split, stream) for split in journal.rows}
    classes = stream.classes or _numbered([each.get("labels") for each in columns.values()])
    note = f"Prepared from {stream.path.name}: shorter side to {plan['size']}, bilinear, centre crop."
    if journal.skipped:
        note += f" {journal.skipped:,} of {journal.position:,} images could not be read and were left out."
    metadata: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "image_shape": shape,
        "classes": classes,
        "attribute_names": stream.index.attribute_names if stream.index is not None else [],
        "note": " ".join(filter(None, [str(stream.index.metadata.get("note", "")) if stream.index else "", note])),
        "skipped": journal.skipped,
        "splits": {},
    }
    for split, n in journal.rows.items():
        np.savez(part / f"{split}.npz", allow_pickle=False, **columns[split])
        pixels = np.memmap(part / f"{split}.u8", np.uint8, "r", shape=(n, *shape))
        held = DatasetSplit(pixels, columns[split].get("labels"), [""] * n, classes=classes)
        metadata["splits"][split] = {"n": n, "sha256": held.sha256}
        for suffix in ("labels", "positions"):
            (part / f"{split}.{suffix}").unlink()
    write_text(part / PREPARED, json.dumps(metadata, indent=1))
    (part / _JOURNAL).unlink()
    part.rename(out)
    return Prepared(out, journal.rows, journal.skipped)


def _columns(part: Path, split: str, stream: ImageStream) -> dict[str, NDArray[Any]]:
    """Return the arrays that belong to the images of a split that could be read."""
    labels = np.fromfile(part / f"{split}.labels", np.int64)
    if stream.index is None:
        return {"labels": labels} if (labels >= 0).all() else {}
    positions = stream.index.splits(str(stream.path))[split]
    kept = np.isin(positions, np.fromfile(part / f"{split}.positions", np.int64))
    known = stream.index.columns(split, positions, stream.path.name)
    known |= known.pop("extras")
    return {key: values[kept] for key, values in known.items() if values is not None}


def _numbered(labels: list[NDArray[np.int64] | None]) -> list[str]:
    found = [each for each in labels if each is not None]
    return [str(number) for number in range(1 + max(int(each.max()) for each in found))] if found else []
