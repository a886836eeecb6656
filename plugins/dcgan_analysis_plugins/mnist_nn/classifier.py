"""A small convolutional network, to ask what can be learned from a set of labelled images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.models.builder import build

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["train_classifier"]

_BATCH, _JUDGED = 100, 500
_LEARNING_RATE = 1e-3


def train_classifier(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    test: NDArray[np.uint8],
    *,
    classes: int,
    passes: int = 3,
    seed: int = 0,
    progress: Progress = silent,
    what: str = "classifier",
) -> NDArray[np.int64]:
    """Train on one set of images and return what it takes the images of another for.

    Two 5x5 convolutions of stride 2 with 32 and 64 maps and ReLU, then one linear layer; cross entropy, Adam with
    learning rate 1e-3, minibatches of 100. The same images and seed give the same network.

    Args:
        images: uint8 (N, C, H, W), H and W at least 4.
        labels: (N,) class numbers 0 to K - 1.
        test: uint8 (M, C, H, W).
        classes: K.
        passes: Passes over the images.
        seed: Of initial weights and order.
        progress: Told of steps done.
        what: What to call the training there.

    Returns:
        (M,) class numbers.
    """
    _, channels, height, width = images.shape
    # Each convolution halves the sides, rounded up.
    sides = [(length + 3) // 4 for length in (height, width)]

    def make() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(channels, 32, 5, 2, 2),
            nn.ReLU(),
            nn.Conv2d(32, 64, 5, 2, 2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * sides[0] * sides[1], classes),
        )

    network = build(make, seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE, fused=True)
    rng = np.random.default_rng(seed)
    steps, done = passes * -(-len(images) // _BATCH), 0
    for _ in range(passes):
        order = rng.permutation(len(images))
        for first in range(0, len(order), _BATCH):
            batch = order[first : first + _BATCH]
            loss = nn.functional.cross_entropy(network(_scaled(images[batch])), torch.from_numpy(labels[batch]))
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            done += 1
            progress(f"{what} (steps)", done, steps)
    with torch.inference_mode():
        found = [network(_scaled(test[first : first + _JUDGED])).argmax(1) for first in range(0, len(test), _JUDGED)]
    return torch.cat(found).numpy()


def _scaled(images: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images)).float().div_(127.5).sub_(1)
