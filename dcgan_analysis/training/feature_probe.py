"""Feature accuracy during training: the L2-SVM of section 5.1 on a fixed part of the training split.

Of the images 60 % fit the SVM, 20 % choose C and 20 % give the accuracy. The networks were trained on all of them,
without labels. Test sets are never used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis.data.splits import holdout
from dcgan_analysis.linear import probe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint

# The authors' grid, every other value: the curve over epochs needs no finer one.
_CS = (1e-4, 5e-4, 2e-3, 1e-2)
_STREAM = 200


class FeatureProbe:
    """Measures a discriminator's features on the same images each time.

    Args:
        images: Training images, uint8 (N, C, H, W).
        labels: Their classes (N,).
        count: How many of them are used; all where there are fewer.
        seed: Decides which.

    Raises:
        DatasetError: If there are too few images to divide.
    """

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64], count: int, seed: int) -> None:
        rng = np.random.default_rng([seed, _STREAM])
        chosen = np.arange(len(labels))
        if count < len(labels):
            _, chosen = holdout(len(labels), count, rng, labels=labels)
        self._images, self._labels = images, labels
        labels = labels[chosen]
        fifth = max(1, len(chosen) // 5)
        fitting, judged = holdout(len(chosen), fifth, rng, labels=labels)
        _, choosing = holdout(len(fitting), fifth, rng, labels=labels[fitting])
        self._fitting, self._judged = chosen[fitting], chosen[judged]
        self._choosing = np.zeros(len(fitting), dtype=bool)
        self._choosing[choosing] = True

    def accuracy(self, checkpoint: Checkpoint, device: str = "auto") -> tuple[float, int]:
        """Return the accuracy, and the number of images judged.

        Batch normalisation uses the checkpoint's statistics, re-estimated on real training images.

        Args:
            checkpoint: Holds the discriminator.
            device: Where features are computed.
        """
        fitting = checkpoint.features(self._images[self._fitting], device=device)
        judged = checkpoint.features(self._images[self._judged], device=device)
        svm = probe(fitting, self._labels[self._fitting], self._choosing, judged, _CS)
        return float((svm.predictions == self._labels[self._judged]).mean()), len(self._judged)
