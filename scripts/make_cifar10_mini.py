"""Make ``dcgan_analysis/data/embedded/cifar10-mini.zip`` again: 3,000 photos of CIFAR-10, with exact pixels.

    python scripts/make_cifar10_mini.py [OUT.zip]

CIFAR-10 is read as the program reads it: from DCGAN_ANALYSIS_DATA, in torchvision's layout or as cifar10.zip, or from
torchvision's download. Training photos: 200 of each class of the official training split, drawn with a fixed seed. Test
photos: the first 1,000 of the official test split, as they come, the same ones that docs/results.md measures on.
A file's name says where the photo stands in the official order. Pixels are the same each time; bytes too, with the same
version of the WebP library.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from dcgan_analysis.data import load_dataset

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dcgan_analysis.data import Dataset

OUT = Path(__file__).parents[1] / "dcgan_analysis/data/embedded/cifar10-mini.zip"
SEED = 2016
PER_CLASS = 200
TEST = 1000
NOTE = (
    "3,000 photos of CIFAR-10 (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html), pixels exact. train: 200 "
    "of each class of the official training split, drawn with a fixed seed; test: the first 1,000 of the official test "
    "split, 86 to 112 of a class. Terms: its authors give no licence, they ask that the report be cited (A. "
    "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009); the photos were collected on the web "
    "and belong to whoever took them. For research and teaching."
)


def chosen(dataset: Dataset) -> dict[str, NDArray[np.int64]]:
    """Return the positions of the photos in each official split, in ascending order."""
    labels = dataset.split("train").labels
    # RandomState, because its numbers never change; those of Generator may (NEP 19).
    order = np.random.RandomState(SEED).permutation(len(labels))
    drawn = [order[labels[order] == label][:PER_CLASS] for label in range(len(dataset.classes))]
    return {"train": np.sort(np.concatenate(drawn)), "test": np.arange(TEST)}


def webp(pixels: NDArray[np.uint8]) -> bytes:
    """Return (3, H, W) bytes as a lossless WebP image."""
    stream = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(stream, "webp", lossless=True, quality=100, method=6)
    return stream.getvalue()


def main(out: Path) -> None:
    """Write the zip."""
    dataset = load_dataset("cifar10")
    listed: list[tuple[str, int]] = []
    with zipfile.ZipFile(out, "w") as archive:

        def add(name: str, content: bytes, method: int = zipfile.ZIP_STORED) -> None:
            archive.writestr(zipfile.ZipInfo(name), content, method)  # ZipInfo: always the same date

        for name, positions in chosen(dataset).items():
            split = dataset.split(name)
            for position in positions:
                file = f"{name}/{position:05d}.webp"
                listed.append((file, int(split.labels[position])))
                add(file, webp(split.images[position]))
        document = {"name": "cifar10-mini", "classes": dataset.classes, "note": NOTE, "labels": listed}
        add("dataset.json", json.dumps(document).encode(), zipfile.ZIP_DEFLATED)
    print(f"{out}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
