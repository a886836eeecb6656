"""Preparing images: any source, decoded once to one size, corrupt ones left out and listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis.core.files import make_folder, writer_lock
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.data.files.decode import WHITE
from dcgan_analysis.data.files.index import open_images
from dcgan_analysis.data.files.prepared_writer import Plan, Prepared, write_images
from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Prepared", "prepare_images"]


def prepare_images(
    source: Path,
    out: Path,
    *,
    size: int,
    channels: int = 3,
    limit: int | None = None,
    background: tuple[int, int, int] = WHITE,
    value_range: tuple[float, float] | None = None,
    progress: Progress = silent,
) -> Prepared:
    """Decode a source of images to one size, into a folder that is read through a memory map.

    Args:
        source: A zip, a folder, ``.tar`` shards or an LMDB; see ``open_images``.
        out: The folder to make; while it is incomplete it is called ``<out>.part``.
        size: Height and width. The shorter side is resized to it (bilinear, antialiased), the centre cut out.
        channels: 3 (gray is repeated) or 1 (colour becomes gray by luma).
        limit: Only the first so many images of the source.
        background: What transparent pixels are composed on: red, green and blue, 0 to 255.
        value_range: Which values become 0 and 255 in images of more than 8 bits per channel, as (0, 65535) or (0, 1).
            None: such images are left out, as images that cannot be read are.
        progress: Called with the number of images done.

    Raises:
        DatasetError: If the source cannot be opened, no image can be read, ``out`` exists or is being written by
            another process, or ``<out>.part`` belongs to another preparation.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> Path("photos").mkdir()
        >>> Image.new("RGB", (60, 40)).save("photos/sea.png")
        >>> prepare_images(Path("photos"), Path("photos32"), size=32).n
        {'train': 1}
    """
    if size < 1 or channels not in (1, 3):
        msg = f"size must be >= 1 and channels 1 or 3, got size {size} and channels {channels}."
        raise DatasetError(msg)
    if value_range is not None and not (np.isfinite(value_range).all() and value_range[0] != value_range[1]):
        msg = f"value_range must be two different finite numbers, got {value_range[0]:g} and {value_range[1]:g}."
        raise DatasetError(msg)
    container, index = open_images(source)
    plan = Plan(
        source=str(source.resolve()),
        n=len(index.names),
        size=size,
        channels=channels,
        limit=limit,
        background=list(background),
        value_range=None if value_range is None else list(value_range),
    )
    note = f"Prepared from {source.name}: shorter side to {size}, bilinear, centre crop."
    what = f"prepare {source.name} (images)"
    make_folder(out.parent)
    with writer_lock(out, f"The folder of prepared images '{out}'", DatasetError):
        if out.exists():
            msg = f"'{out}' exists. Choose another folder (out), or remove it first."
            raise DatasetError(msg)
        return write_images(container, index.names, out, plan, what=what, index=index, note=note, progress=progress)
