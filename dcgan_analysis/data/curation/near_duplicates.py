"""Near-duplicates by semantic hashing, as the paper removed them before training (section 4.1.1).

An autoencoder, 3072-128-3072, denoising, with dropout and a ReLU code, is trained on centre crops brought to 32x32. The
code of an image, each unit on or off, is its hash of 128 bits; images of equal hash are near-duplicates. The paper
removed about 275,000 of just over 3 million bedrooms.

Beyond the paper: each image is first brought to mean 0 and variance 1, so that a copy that is only brighter or of more
contrast has the same hash; hashes that differ in a few bits can be grouped as well; and images can be compared moved
by a few pixels, which finds shifted and cropped copies.
How hashes are grouped: ``hash_groups``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.core.randomness import torch_generator
from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

CODE_BITS = 128
_SIDE, _CHANNELS = 32, 3
_BATCH = 128
_LEARNING_RATE = 1e-3
_NOISE, _DROPOUT = 1.0, 0.5
_BLOCK, _KNOWN = 1024, 1 << 15  # images at once; known hashes at once: 16 MB of signs
# Images that a hash is learned from at most: more do not make it better, and learning would take as long as hashing.
_LEARNED_FROM = 50_000


@dataclass(frozen=True)
class SemanticHash:
    """A learned hash; calling it hashes images.

    Attributes:
        mean: (3072,) of the pixels it was learned from.
        weight: (128, 3072) of the encoder.
        bias: (128,).
    """

    mean: Tensor
    weight: Tensor
    bias: Tensor

    def __call__(
        self, images: NDArray[np.uint8], progress: Progress = silent, *, moved: tuple[int, int] = (0, 0)
    ) -> NDArray[np.uint8]:
        """Hash images.

        Args:
            images: uint8 (N, C, H, W) of any size, C of 1 or 3.
            progress: Called with the number of images done.
            moved: Pixels down and to the right by which images are moved before, see :func:`move`.

        Returns:
            uint8 (N, 16), 128 bits an image.
        """
        import torch

        codes = [np.empty((0, CODE_BITS // 8), np.uint8)]
        with torch.inference_mode():
            for start in range(0, len(images), _BLOCK):
                rows = _pixels(move(images[start : start + _BLOCK], *moved)) - self.mean
                codes.append(np.packbits((torch.addmm(self.bias, rows, self.weight.T) > 0).numpy(), axis=1))
                progress("semantic hash (images)", min(start + _BLOCK, len(images)), len(images))
        return np.concatenate(codes)


def move(images: NDArray[np.uint8], down: int, right: int) -> NDArray[np.uint8]:
    """Move images (N, C, H, W) by some pixels, the edge repeated.

    Example:
        >>> move(np.array([[[[1, 2, 3]]]], np.uint8), 0, 1).ravel().tolist()
        [1, 1, 2]
    """
    if not down and not right:
        return images
    height, width = images.shape[2:]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return images[:, :, rows[:, None], columns]


def moves_within(pixels: int) -> list[tuple[int, int]]:
    """Return all moves by at most so many pixels down or up, right or left; the first is none.

    Example:
        >>> len(moves_within(0)), len(moves_within(1)), moves_within(1)[0]
        (1, 9, (0, 0))
    """
    steps = sorted(range(-pixels, pixels + 1), key=abs)
    return [(down, right) for down in steps for right in steps]


def _pixels(images: NDArray[np.uint8]) -> Tensor:
    """Return images as rows (N, 3072): shorter side to 32, centre crop, three channels; mean 0 and variance 1 each."""
    from dcgan_analysis.data.preprocessing import Preprocessing

    rows = Preprocessing((_CHANNELS, _SIDE, _SIDE), fit="resize")(images).flatten(1)
    rows -= rows.mean(dim=1, keepdim=True)
    return rows / rows.std(dim=1, keepdim=True).clamp_min(1e-3)


def learn_hash(
    images: NDArray[np.uint8], *, seed: int = 0, steps: int = 600, progress: Progress = silent
) -> SemanticHash:
    """Learn a hash: minimise the squared error of images rebuilt from noisy pixels through a dropped-out code.

    Args:
        images: uint8 (N, C, H, W), N >= 2.
        seed: Initial weights, order, noise, dropout; the same seed gives the same hash.
        steps: Minibatches of 128.
        progress: Called with the number of steps done.

    Raises:
        DatasetError: If there are fewer than two images.
    """
    import torch

    if len(images) < 2:
        msg = f"A semantic hash is learned from two images or more, got {len(images)}."
        raise DatasetError(msg)
    source = torch_generator(seed)
    order = np.random.default_rng(seed).permutation(len(images))[:_LEARNED_FROM]
    mean = torch.stack([_pixels(images[order[i : i + _BLOCK]]).sum(0) for i in range(0, len(order), _BLOCK)]).sum(0)
    mean /= len(order)
    encoder, decoder = _layers(source)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], _LEARNING_RATE)
    for step in range(steps):
        chosen = torch.randint(len(order), (_BATCH,), generator=source).numpy()
        clean = _pixels(images[order[chosen]]) - mean
        noisy = clean + _NOISE * torch.randn(clean.shape, generator=source)
        code = encoder(noisy).relu()
        kept = torch.rand(code.shape, generator=source) >= _DROPOUT
        loss = (decoder(code * kept / (1 - _DROPOUT)) - clean).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 20 == 0 or step + 1 == steps:
            progress("learning the semantic hash (steps)", step + 1, steps)
    return SemanticHash(mean, encoder.weight.detach(), encoder.bias.detach())


def _layers(source: object) -> tuple[nn.Linear, nn.Linear]:
    import torch
    from torch import nn

    size = _CHANNELS * _SIDE * _SIDE
    layers = nn.Linear(size, CODE_BITS), nn.Linear(CODE_BITS, size)
    with torch.no_grad():
        for layer in layers:
            bound = layer.in_features**-0.5
            layer.weight.uniform_(-bound, bound, generator=source)  # type: ignore[arg-type]
            layer.bias.zero_()
    return layers


def nearest_hashes(
    hashes: NDArray[np.uint8], known: NDArray[np.uint8], *, exclude: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each hash (N, B) in how many bits the nearest known hash (M, B) differs, and its position.

    Args:
        hashes: uint8.
        known: uint8.
        exclude: (N,) a known position that is not counted for each hash, or None. Where no other is left, the hash
            differs in one bit more than it has.

    Example:
        >>> bits, positions = nearest_hashes(np.array([[3]], np.uint8), np.array([[0], [2]], np.uint8))
        >>> bits.tolist(), positions.tolist()
        ([1], [1])
    """
    import torch

    bits = torch.full((len(hashes),), 8 * hashes.shape[1] + 1.0)
    positions = torch.zeros(len(hashes), dtype=torch.int64)
    queries = _signs(hashes)
    for start in range(0, len(known), _KNOWN):
        signs = _signs(known[start : start + _KNOWN])
        for first in range(0, len(queries), _BLOCK):
            rows = slice(first, first + _BLOCK)
            differing = (queries.shape[1] - queries[rows] @ signs.T) / 2
            if exclude is not None:
                own = torch.from_numpy(exclude[rows]) - start
                inside = ((own >= 0) & (own < len(signs))).nonzero().squeeze(1)
                differing[inside, own[inside]] = torch.inf
            least, at = differing.min(dim=1)
            nearer = least < bits[rows]
            positions[rows] = torch.where(nearer, at + start, positions[rows])
            bits[rows] = torch.where(nearer, least, bits[rows])
    return bits.long().numpy(), positions.numpy()


def _signs(hashes: NDArray[np.uint8]) -> Tensor:
    """Return bits as +1 and -1: a product of two rows is the number of equal bits less that of different ones."""
    import torch

    return torch.from_numpy(np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1)
