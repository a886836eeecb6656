"""Near-duplicates for the eye: what would be left out beside what stays, the doubtful first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis.figures import image_grid, save_png

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from dcgan_analysis.data.curation.deduplication import Duplicates
    from dcgan_analysis.data.dataset import DatasetSplit

_PAIRS = 48
_COLUMNS = 8
_KEPT, _LEFT_OUT = "#0072b2", "#d55e00"


def write_galleries(duplicates: Duplicates, beside: Path) -> list[Path]:
    """Write a picture of the groups, and one of the leakage, beside the list; return those there are.

    Args:
        duplicates: The near-duplicates.
        beside: The list: ``duplicates.json`` gets ``duplicates.png`` and ``duplicates-against.png``.
    """
    written = []
    for figure, end in ((gallery(duplicates), ""), (leakage_gallery(duplicates), "-against")):
        path = beside.with_name(f"{beside.stem}{end}.png")
        if figure is None:
            path.unlink(missing_ok=True)  # of an earlier search
        else:
            written.append(save_png(figure, path))
    return written


def gallery(duplicates: Duplicates) -> Figure | None:
    """Show 48 groups: the image that stays and, of the others, the one whose hash differs most; None without groups.

    Half of them are those whose hashes differ most, where false positives are likeliest, the others spread evenly over
    the rest.
    """
    if not duplicates.groups:
        return None
    first = np.array([group[0] for group in duplicates.groups])
    furthest, bits = np.empty_like(first), np.empty_like(first)
    for row, group in enumerate(duplicates.groups):
        differing = np.unpackbits(duplicates.hashes[group[1:]] ^ duplicates.hashes[group[0]], axis=1).sum(axis=1)
        furthest[row], bits[row] = group[1 + int(differing.argmax())], differing.max()
    sizes = np.array([len(group) for group in duplicates.groups])
    chosen = _doubtful_first(bits)
    lines = [f"{_bits(bits[row])}{f', 1 of {sizes[row]}' if sizes[row] > 2 else ''}" for row in chosen]
    return _pairs(duplicates.split, first[chosen], duplicates.split, furthest[chosen], ("kept", lines))


def leakage_gallery(duplicates: Duplicates) -> Figure | None:
    """Show 48 images of the other split beside the nearest of the first, chosen as in ``gallery``; None without any."""
    leak = duplicates.leakage
    if leak is None or not len(leak.positions):
        return None
    chosen = _doubtful_first(leak.bits)
    lines = [_bits(leak.bits[row]) for row in chosen]
    return _pairs(duplicates.split, leak.of[chosen], leak.split, leak.positions[chosen], ("known", lines))


def _doubtful_first(bits: NDArray[np.int64]) -> NDArray[np.int64]:
    order = np.argsort(-bits, kind="stable")
    top, rest = order[: _PAIRS // 2], order[_PAIRS // 2 :]
    if not len(rest):
        return top
    spread = np.unique(np.linspace(0, len(rest) - 1, _PAIRS - len(top)).round().astype(np.int64))
    return np.concatenate([top, rest[spread]])


def _bits(bits: np.int64) -> str:
    return "same hash" if bits == 0 else f"{bits} bit{'s' if bits > 1 else ''}"


def _pairs(
    left: DatasetSplit,
    at_left: NDArray[np.int64],
    right: DatasetSplit,
    at_right: NDArray[np.int64],
    texts: tuple[str, list[str]],
) -> Figure:
    """Draw pairs side by side, both in the left one's shape."""
    from dcgan_analysis.data.preprocessing import Preprocessing

    images = np.empty((2 * len(at_left), *left.image_shape), np.uint8)
    images[::2] = left.images[at_left]
    others = right.images[at_right]
    if right.image_shape != left.image_shape:
        prepare = Preprocessing(left.image_shape, fit="resize")
        others = prepare.to_bytes(prepare(others))
    images[1::2] = others
    titles = [text for line in texts[1] for text in (texts[0], line)]
    return image_grid(images, _COLUMNS, titles=titles, borders=[_KEPT, _LEFT_OUT] * len(at_left))
