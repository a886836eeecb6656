"""How well a hash finds near-duplicates: copies made on purpose, and images that are none."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from dcgan_analysis.core.statistics import wilson_interval
from dcgan_analysis.data.curation.near_duplicates import move, moves_within, nearest_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dcgan_analysis.data.curation.near_duplicates import SemanticHash

_MEASURED = 1000
_JPEG_QUALITY = 85


def _recoded(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    pages = []
    for image in images:
        stream = io.BytesIO()
        picture = image.transpose(1, 2, 0)
        Image.fromarray(picture.squeeze(-1) if picture.shape[2] == 1 else picture).save(
            stream, format="JPEG", quality=_JPEG_QUALITY
        )
        with Image.open(stream) as read:
            pages.append(np.asarray(read).reshape(picture.shape).transpose(2, 0, 1))
    return np.stack(pages)


def _cropped(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut a thirty-second of the width and height off at the top left, and enlarge the rest to the old size."""
    import torch
    from torch.nn.functional import interpolate

    height, width = images.shape[2:]
    cut = torch.from_numpy(images[:, :, max(1, height // 32) :, max(1, width // 32) :].copy()).float()
    large = interpolate(cut, (height, width), mode="bilinear", align_corners=False)
    cropped: NDArray[np.uint8] = large.round().clamp(0, 255).byte().numpy()
    return cropped


def _shifted(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Move the picture down and right by a thirty-second, the edge repeated."""
    height, width = images.shape[2:]
    return move(images, max(1, height // 32), max(1, width // 32))


def _brightened(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    brighter: NDArray[np.uint8] = np.rint(images * 1.1).clip(0, 255).astype(np.uint8)
    return brighter


PERTURBATIONS = {"re-encoded": _recoded, "brightened": _brightened, "shifted": _shifted, "cropped": _cropped}
"""Name -> what makes a near-duplicate: JPEG of quality 85; 10 % brighter; moved down and right by a thirty-second of
the height and width; as much cut off there and the rest enlarged."""


def measure_hash(
    images: NDArray[np.uint8],
    hashes: NDArray[np.uint8],
    hashed: SemanticHash,
    bits: int,
    rng: np.random.Generator,
    moves: int = 0,
) -> dict[str, dict[str, float]]:
    """Measure a hash on near-duplicates made on purpose, and on images that are none.

    Args:
        images: uint8 (N, C, H, W); a thousand of them at most are used.
        hashes: Those of all images (N, 16).
        hashed: The hash.
        bits: In how many bits hashes may differ.
        rng: Chooses the images.
        moves: By how many pixels copies and mirror images are moved to be compared with ``hashes``.

    Returns:
        Recall for each kind of copy: the copy's hash is near the original's. Precision: of all copies' hits, how many
        are the original rather than *another* image; near-duplicates that the images have of themselves count against
        it, so it is a lower bound. False positives: the share of images whose mirror image is near any other image.
        Mirror images look like real ones but are no copies.
    """
    chosen = rng.permutation(len(images))[:_MEASURED]
    originals, own = images[chosen], hashes[chosen]
    measures, hits, wrong = {}, 0, 0
    moved = moves_within(moves)

    def strangers(codes: NDArray[np.uint8]) -> int:
        distances, _ = nearest_hashes(codes.reshape(-1, codes.shape[-1]), hashes, exclude=np.tile(chosen, len(codes)))
        return int((distances.reshape(len(codes), -1).min(axis=0) <= bits).sum())

    for name, change in PERTURBATIONS.items():
        changed = change(originals)
        copies = np.stack([hashed(changed, moved=by) for by in moved])
        right = np.unpackbits(own ^ copies, axis=2).sum(axis=2).min(axis=0) <= bits
        measures[f"recall, {name}"] = _share(int(right.sum()), len(chosen))
        hits += int(right.sum())
        wrong += strangers(copies)
    if hits + wrong:
        measures["precision, all copies"] = _share(hits, hits + wrong)
    mirrored = np.ascontiguousarray(originals[..., ::-1])
    false = strangers(np.stack([hashed(mirrored, moved=by) for by in moved]))
    measures["false positives, mirrored"] = _share(false, len(chosen))
    return measures


def _share(hits: int, n: int) -> dict[str, float]:
    low, high = wilson_interval(hits, n)
    return {"value": hits / n, "low": low, "high": high, "n": n}
