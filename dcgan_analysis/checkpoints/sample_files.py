"""Samples in files: a sheet, a folder or zip of pictures that reads back as a dataset, or arrays."""

from __future__ import annotations

import json
import math
import zipfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from dcgan_analysis.checkpoints.sampling import BATCH, Sampler, as_bytes, class_labels
from dcgan_analysis.core.files import atomic_folder, atomic_path, exists
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.errors import AnalysisError, ConfigError
from dcgan_analysis.figures import save_image, tiled

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import Tensor

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint

__all__ = ["save_samples"]

_FORMATS = "a name that ends in .png (a sheet), .zip, .npz or with a slash or no ending (a folder)"
_SHEET_DOTS = 640  # a sheet's images are enlarged by a whole factor up to about so many
_LARGEST_SHEET = 10_000


def save_samples(
    checkpoint: Checkpoint,
    path: str | Path,
    n: int,
    seed: int = 0,
    *,
    start: int = 0,
    label: int | None = None,
    device: torch.device | None = None,
    progress: Progress = silent,
) -> Path:
    """Write samples ``start`` to ``start + n - 1`` of a seed; the name says in what form.

    - ``.png``: one sheet.
    - ``.zip``, or a folder: PNG files named by number, and a dataset.json with the classes of a conditional generator
      and a note where the samples come from. It is a dataset: ``load_dataset(path)``.
    - ``.npz``: ``images`` uint8 (n, C, H, W), ``z`` (n, Z), ``indices`` (n,), and ``labels`` (n,) where there are any.

    A sample depends on checkpoint, seed and number alone: bit for bit on one machine, whatever ``n`` and ``start``.

    Args:
        checkpoint: Whose generator.
        path: Where; it must not exist.
        n: How many, at least 1.
        seed: Of the latent vectors.
        start: Number of the first.
        label: Class of all samples of a conditional generator; None: sample i is of class i modulo their number.
        device: Where to compute; None: the CPU.
        progress: Called with the samples done.

    Returns:
        ``path``.

    Raises:
        AnalysisError: If there is no such class, or a sheet would hold more than 10,000 samples.
        CheckpointError: If there is no generator.
        ConfigError: If ``path`` exists or has another ending, or a number is out of range.

    Example:
        >>> save_samples(checkpoint, "sheet.png", 64)  # doctest: +SKIP
        >>> load_dataset(save_samples(checkpoint, "samples.zip", 10_000, seed=1))  # doctest: +SKIP
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if n < 1 or start < 0:
        msg = f"Samples: n must be at least 1 and start at least 0, got {n} and {start}."
        raise ConfigError(msg)
    if suffix not in (".png", ".zip", ".npz", ""):
        msg = f"Samples cannot be written to '{path}': '{suffix}' is none of the formats. Give {_FORMATS}."
        raise ConfigError(msg)
    if exists(target):
        msg = f"'{path}' exists. Give another name, or remove it."
        raise ConfigError(msg)
    if suffix == ".png" and n > _LARGEST_SHEET:
        msg = (
            f"A sheet holds at most {_LARGEST_SHEET:,} samples, asked for {n:,}. Give a name that ends in .zip or .npz."
        )
        raise AnalysisError(msg)
    sampler = Sampler(checkpoint, device, progress)
    # Whole batches that begin at multiples of their size: whatever is asked for, a sample is computed among the same.
    first, end = start - start % BATCH, start + n
    z = checkpoint.latents(end + -end % BATCH, seed)
    labels = class_labels(checkpoint.architecture, range(first, len(z)), label)
    images = _between(sampler, z[first:], labels, start - first, end - first)
    classes = None if labels is None else labels[start - first : end - first].tolist()
    if suffix == ".png":
        _save_sheet(target, np.concatenate(list(images)))
    elif suffix == ".npz":
        arrays: dict[str, Any] = {
            "images": np.concatenate(list(images)),
            "z": z[start:end].numpy(),
            "indices": np.arange(start, end),
        }
        if classes is not None:
            arrays["labels"] = np.array(classes)
        with atomic_path(target) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **arrays)
    else:
        names = [f"{number:06d}.png" for number in range(start, end)]
        note = (
            f"samples {start:,} to {end - 1:,} of seed {seed} of the checkpoint {checkpoint.name} "
            f"({checkpoint.sha256()[:12]}){'' if label is None else f', class {label}'}"
        )
        index = {
            "labels": None if classes is None else [list(pair) for pair in zip(names, classes, strict=True)],
            "note": note,
        }
        _save_pictures(target, suffix, images, names, json.dumps(index))
    return target


def _between(sampler: Sampler, z: Tensor, labels: Tensor | None, first: int, end: int) -> Iterator[np.ndarray]:
    """Draw samples in whole batches and yield those from ``first`` to before ``end``."""
    for number, images in enumerate(sampler.batches(z, labels)):
        begin = number * BATCH
        yield as_bytes(sampler.checkpoint, images[max(0, first - begin) : end - begin])


def _save_sheet(path: Path, images: np.ndarray) -> None:
    columns = math.ceil(math.sqrt(len(images)))
    page = tiled(images, columns)
    save_image(page, path, scale=max(1, min(4, _SHEET_DOTS // page.shape[2])))


def _png(image: np.ndarray) -> bytes:
    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    stream = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, format="PNG")
    return stream.getvalue()


def _save_pictures(path: Path, suffix: str, batches: Iterator[np.ndarray], names: list[str], index: str) -> None:
    pictures = zip(names, (_png(image) for batch in batches for image in batch), strict=True)
    if suffix == ".zip":
        # Pictures are compressed already.
        with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            # Without the time of day: the same samples are the same file.
            archive.writestr(zipfile.ZipInfo("dataset.json"), index)
            for name, data in pictures:
                archive.writestr(zipfile.ZipInfo(name), data)
        return
    with atomic_folder(path) as folder:
        (folder / "dataset.json").write_text(index, encoding="utf-8")
        for name, data in pictures:
            (folder / name).write_bytes(data)
