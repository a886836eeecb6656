"""Near-duplicates by semantic hashing, as the paper removed them before training (section 4.1.1).

An autoencoder, 3072-128-3072, denoising, with dropout and a ReLU code, is trained on centre crops brought to 32x32. The
code of an image, each unit on or off, is its hash of 128 bits; images of equal hash are near-duplicates. Grouping takes
linear time. The paper removed about 275,000 of just over 3 million bedrooms.

Beyond the paper: each image is first brought to mean 0 and variance 1, so that a copy that is only brighter or of more
contrast has the same hash; and hashes that differ in a few bits can be grouped as well, which finds shifted copies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis.errors import DatasetError
from dcgan_analysis.progress import Progress, silent

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

__all__ = ["CODE_BITS", "SemanticHash", "equal_groups", "learn_hash", "near_groups", "nearest_hashes"]

CODE_BITS = 128
_SIDE, _CHANNELS = 32, 3
_BATCH = 128
_LEARNING_RATE = 1e-3
_NOISE, _DROPOUT = 1.0, 0.5
_BLOCK = 1024
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

    def __call__(self, images: NDArray[np.uint8], progress: Progress = silent) -> NDArray[np.uint8]:
        """Hash images.

        Args:
            images: uint8 (N, C, H, W) of any size, C of 1 or 3.
            progress: Told of images done.

        Returns:
            uint8 (N, 16), 128 bits an image.
        """
        import torch

        codes = [np.empty((0, CODE_BITS), bool)]
        with torch.inference_mode():
            for start in range(0, len(images), _BLOCK):
                rows = _pixels(images[start : start + _BLOCK]) - self.mean
                codes.append((torch.addmm(self.bias, rows, self.weight.T) > 0).numpy())
                progress("semantic hash (images)", min(start + _BLOCK, len(images)), len(images))
        return np.packbits(np.concatenate(codes), axis=1)


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
        progress: Told of steps done.

    Raises:
        DatasetError: If there are fewer than two images.
    """
    import torch

    if len(images) < 2:
        msg = f"A semantic hash is learned from two images or more, got {len(images)}."
        raise DatasetError(msg)
    order = np.random.default_rng(seed).permutation(len(images))[:_LEARNED_FROM]
    source = torch.Generator().manual_seed(seed)
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


def equal_groups(hashes: NDArray[np.uint8]) -> list[NDArray[np.int64]]:
    """Return the groups of two or more images whose hashes are equal, in linear time.

    Args:
        hashes: uint8 (N, B).

    Returns:
        Positions in ascending order, groups in the order of their first image.

    Example:
        >>> [group.tolist() for group in equal_groups(np.array([[1], [2], [1], [3]], np.uint8))]
        [[0, 2]]
    """
    members: dict[bytes, int] = {}
    more: dict[int, list[int]] = {}
    for position, key in enumerate(_keys(hashes)):
        first = members.setdefault(key, position)
        if first != position:
            more.setdefault(first, [first]).append(position)
    return [np.array(more[first], np.int64) for first in sorted(more)]


def nearest_hashes(
    hashes: NDArray[np.uint8], known: NDArray[np.uint8], *, exclude: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each hash (N, B) in how many bits the nearest known hash (M, B) differs, and its position.

    Args:
        hashes: uint8.
        known: uint8.
        exclude: (N,) a known position that is not counted for each hash, or None.

    Example:
        >>> bits, positions = nearest_hashes(np.array([[3]], np.uint8), np.array([[0], [2]], np.uint8))
        >>> bits.tolist(), positions.tolist()
        ([1], [1])
    """
    import torch

    # Bits as +1 and -1: a product of two rows is the number of equal bits less that of different ones.
    signs = torch.from_numpy(np.unpackbits(known, axis=1).astype(np.float32) * 2 - 1)
    bits, positions = [], []
    for start in range(0, len(hashes), _BLOCK):
        mine = torch.from_numpy(np.unpackbits(hashes[start : start + _BLOCK], axis=1).astype(np.float32) * 2 - 1)
        products = mine @ signs.T
        if exclude is not None:
            products[torch.arange(len(mine)), torch.from_numpy(exclude[start : start + _BLOCK])] = -torch.inf
        best, at = products.max(dim=1)
        bits.append(((mine.shape[1] - best.clamp_min(-mine.shape[1])) / 2).long())
        positions.append(at)
    return torch.cat(bits).numpy(), torch.cat(positions).numpy()


def near_groups(hashes: NDArray[np.uint8], bits: int, progress: Progress = silent) -> list[NDArray[np.int64]]:
    """Return the groups of two or more images connected by hashes that differ in at most so many bits.

    Every pair is compared, which takes quadratic time: a few minutes for 50,000 images.

    Args:
        hashes: uint8 (N, B).
        bits: How many bits may differ.
        progress: Told of images done.

    Returns:
        As :func:`equal_groups`.

    Example:
        >>> [group.tolist() for group in near_groups(np.array([[1], [3], [255]], np.uint8), 1)]
        [[0, 1]]
    """
    import torch
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    signs = torch.from_numpy(np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1)
    pairs = [np.empty((0, 2), np.int64)]
    for start in range(0, len(hashes), _BLOCK):
        # Only later images: each pair once.
        near = signs[start : start + _BLOCK] @ signs[start:].T >= signs.shape[1] - 2 * bits
        found = near.triu(1).nonzero().numpy() + start
        pairs.append(found)
        progress("pairs of hashes (images)", min(start + _BLOCK, len(hashes)), len(hashes))
    edges = np.concatenate(pairs)
    graph = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(len(hashes), len(hashes)))
    _, component = connected_components(graph, directed=False)
    return equal_groups(component.astype(np.int64)[:, None].view(np.uint8))


def _keys(hashes: NDArray[np.uint8]) -> list[bytes]:
    rows = np.ascontiguousarray(hashes)
    keys: list[bytes] = rows.view(f"V{rows.shape[1]}").ravel().tolist()
    return keys
