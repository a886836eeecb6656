"""Images of zips and folders, decoded once: kept as bytes in the cache, opened through a memory map ever after.

``<cache>/images/<first 16 digits of the key's SHA-256>/`` is a folder of prepared images (``data.files.prepared``). The
key is made of the images' names, in order, and of what tells their contents without reading them: in a zip size and
CRC-32, in a folder size and time of last change. It only finds the pixels again: the identity of a split is the hash of
the pixels themselves.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dcgan_analysis.core.distributed import launched_first
from dcgan_analysis.core.files import make_folder, writer_lock
from dcgan_analysis.core.folders import cache_folder
from dcgan_analysis.core.progress import silent
from dcgan_analysis.data.files.checked import CheckedImages
from dcgan_analysis.data.files.decode import WHITE, decode_image
from dcgan_analysis.data.files.prepared import SKIPPED, load_prepared, read_metadata
from dcgan_analysis.data.files.prepared_writer import Plan, write_images
from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from dcgan_analysis.core.progress import Progress
    from dcgan_analysis.data.files.containers import Container

IMAGES = "images"
"""The folder of the cache that decoded images lie in."""

_log = logging.getLogger(__name__)
# Grows when the same files give other pixels than before.
_VERSION = 2


@dataclass(frozen=True)
class DecodedImages:
    """Pixels of those images that can be read.

    Attributes:
        images: uint8 (M, C, H, W), a memory map: one channel where every image is gray, otherwise three.
        positions: int64 (M,), which of the N names they belong to.
        sha256: Hash of ``images``.
        reasons: Why images are left out, and how many for each reason.
        remarks: What was changed in the others, and in how many.
    """

    images: NDArray[np.uint8]
    positions: NDArray[np.int64]
    sha256: str
    reasons: dict[str, int]
    remarks: dict[str, int]


def decode_once(
    container: Container[Any], names: Sequence[str], *, where: str, progress: Progress | None = None
) -> DecodedImages:
    """Return the pixels of images of one size, decoded now or before.

    Images that cannot be read are left out, with a warning that says how many, and where they are listed.

    Args:
        container: The zip or folder.
        names: N names of images in it, at least one.
        where: What holds the images, for messages.
        progress: Called as ``progress(what, done, total)`` while images are decoded.

    Raises:
        DatasetError: If no image can be read, one differs in size from the first, or the cache cannot be written.
    """
    key = _key(container, names)
    folder = cache_folder() / IMAGES / key[:16]
    if folder.exists() and not _of_use(container, names, folder):
        shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        _decode(container, names, folder, key, where, progress or silent)
    # Used now, for the cache's garbage collection; a cache that others share may be read-only.
    with suppress(OSError):
        os.utime(folder)
    decoded = _opened(folder)
    if launched_first():
        _warn(decoded, len(names), where, folder / SKIPPED)
    return decoded


def _of_use(container: Container[Any], names: Sequence[str], folder: Path) -> bool:
    """Say whether decoded images are whole, and none is missing that could be read now."""
    try:
        return not _mended(container, names, _opened(folder))
    except (DatasetError, KeyError) as error:
        _log.warning("%s The images are decoded anew.", str(error).removesuffix(" Prepare the images again."))
        return False


def _warn(decoded: DecodedImages, n: int, where: str, listed: Path) -> None:
    read = len(decoded.positions)
    if read < n:
        why = ", ".join(f"{reason} ({count:,})" for reason, count in decoded.reasons.items())
        _log.warning("%s: %s of %s images cannot be read: %s; see %s", where, f"{n - read:,}", f"{n:,}", why, listed)
    for remark, count in decoded.remarks.items():
        _log.warning("%s: %s of %s images %s", where, f"{count:,}", f"{read:,}", remark)


def _opened(folder: Path) -> DecodedImages:
    split = load_prepared(folder).split("train")
    assert split.images_sha256 is not None
    metadata = read_metadata(folder)
    positions = split.extras["positions"]
    images: object = split.images  # large ones are no ndarray
    if isinstance(images, CheckedImages):
        images.remedy = f"Remove '{folder}', and they are decoded anew."
    return DecodedImages(split.images, positions, split.images_sha256, metadata.reasons, metadata.remarks)


def _mended(container: Container[Any], names: Sequence[str], decoded: DecodedImages) -> bool:
    """Say whether an image that could not be read can be now: a disk may fail once, a zip be fetched again."""
    unread = np.setdiff1d(np.arange(len(names)), decoded.positions, assume_unique=True)
    for position in unread:
        with suppress(DatasetError):
            decode_image(container.read(names[position]), names[position])
            return True
    return False


def _key(container: Container[Any], names: Sequence[str]) -> str:
    digest = hashlib.sha256(f"{_VERSION}\n".encode())
    for name in names:
        digest.update(f"{name}\t{container.state(name)}\n".encode(errors="backslashreplace"))
    return digest.hexdigest()


def _decode(
    container: Container[Any], names: Sequence[str], folder: Path, key: str, where: str, progress: Progress
) -> None:
    plan = Plan(
        source=key, n=len(names), size=None, channels=None, limit=None, background=list(WHITE), value_range=None
    )
    try:
        make_folder(folder.parent)
        # Others wait, and then find it done, or go on where one was killed.
        with writer_lock(folder, f"The images of {where}", DatasetError, wait=True):
            if not folder.exists():
                write_images(container, names, folder, plan, what=f"decode {where}", progress=progress)
    except OSError as error:
        msg = (
            f"Images of {where} are decoded into '{folder}', which cannot be written: {error.strerror}. Free some "
            "space, or set DCGAN_ANALYSIS_CACHE to another folder; what is done is kept."
        )
        raise DatasetError(msg) from error
