"""How strongly units respond to images: streamed maxima, a running top-k, and running sums, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.models.hooks import capture
from dcgan_analysis.models.replicas import run_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn


@dataclass(frozen=True)
class BatchResponses:
    """The strongest response of each feature to each image of a batch.

    Attributes:
        values: Largest activation over the positions of a map, float32 (N, F).
        positions: Where it lies, row * width + column of the map, int64 (N, F).
        map_size: Rows and columns of the maps; (1, 1) for a layer without maps.
    """

    values: NDArray[np.float32]
    positions: NDArray[np.int64]
    map_size: tuple[int, int]


def as_maps(output: Tensor) -> Tensor:
    """Return a tap's output as maps (N, F, H, W); a layer without maps has one position."""
    return output if output.dim() == 4 else output.flatten(1)[:, :, None, None]


def stream_responses(
    network: nn.Module, taps: Sequence[str], batches: Iterable[tuple[Tensor, ...]]
) -> Iterator[dict[str, BatchResponses]]:
    """Run batches through a network, side by side, and yield the strongest responses at each tap.

    Args:
        network: In evaluation mode; its hooks are as before while a result is looked at, and after an error.
        taps: Module paths.
        batches: The network's arguments: ``(images,)`` or ``(images, labels)``.

    Raises:
        AnalysisError: If a response is not finite.
        UnknownNameError: If a tap is no module of the network.
    """

    def strongest(own: nn.Module, arguments: tuple[Tensor, ...]) -> dict[str, BatchResponses]:
        with torch.no_grad(), capture(own, taps) as outputs:
            own(*arguments)
            return {tap: _strongest(tap, as_maps(outputs[tap])) for tap in taps}

    return run_batches(strongest, network, batches)


def _strongest(tap: str, maps: Tensor) -> BatchResponses:
    values, positions = maps.flatten(2).max(dim=2)
    if not bool(torch.isfinite(values).all()):
        msg = f"Tap '{tap}' gives responses that are not finite. The weights are damaged, or the training diverged."
        raise AnalysisError(msg)
    height, width = maps.shape[2:]
    return BatchResponses(values.float().cpu().numpy(), positions.cpu().numpy(), (int(height), int(width)))


class TopResponses:
    """For each feature the images that it responds to most, kept while images stream by.

    Memory is bounded by features x k. Among equals the image that came first stays first.

    Args:
        k: How many images are kept for each feature.

    Attributes:
        values: Responses, falling, (F, k'), k' at most ``k`` and the number of images seen.
        positions: Place in the map, (F, k').
        images: Number of the image, in the order seen, (F, k').

    Example:
        >>> top = TopResponses(k=2)
        >>> for values in ([[1.0], [5.0]], [[3.0]]):
        ...     top.update(np.array(values, np.float32), np.zeros((len(values), 1), np.int64))
        >>> top.values.tolist(), top.images.tolist()
        ([[5.0, 3.0]], [[1, 2]])
    """

    def __init__(self, k: int) -> None:
        self.k = k
        self.seen = 0
        self.values: NDArray[np.float32] = np.empty((0, 0), np.float32)
        self.positions: NDArray[np.int64] = np.empty((0, 0), np.int64)
        self.images: NDArray[np.int64] = np.empty((0, 0), np.int64)

    def update(self, values: NDArray[np.float32], positions: NDArray[np.int64]) -> None:
        """Take in the next images: values and positions (N, F)."""
        n, features = values.shape
        images = np.broadcast_to(np.arange(self.seen, self.seen + n), (features, n))
        if not self.seen:
            self.values, self.positions, self.images = values.T, positions.T, images
        else:
            self.values = np.concatenate([self.values, values.T], axis=1)
            self.positions = np.concatenate([self.positions, positions.T], axis=1)
            self.images = np.concatenate([self.images, images], axis=1)
        self.seen += n
        order = np.argsort(-self.values, axis=1, kind="stable")[:, : self.k]
        self.values = np.take_along_axis(self.values, order, axis=1)
        self.positions = np.take_along_axis(self.positions, order, axis=1)
        self.images = np.take_along_axis(self.images, order, axis=1)


class ResponseSums:
    """Mean and variance of each feature's response, over all images and within classes, kept while images stream by.

    Args:
        classes: K, number of classes; 0: images without labels.
    """

    def __init__(self, classes: int = 0) -> None:
        self.classes = max(classes, 1)
        self.counts: NDArray[np.int64] = np.zeros(self.classes, np.int64)
        self._sums: NDArray[np.float64] = np.zeros((self.classes, 0))
        self._squares: NDArray[np.float64] = np.zeros((self.classes, 0))

    def update(self, values: NDArray[np.float32], labels: NDArray[np.int64] | None = None) -> None:
        """Take in the next images: values (N, F) and labels (N,)."""
        if not self._sums.size:
            self._sums = np.zeros((self.classes, values.shape[1]))
            self._squares = np.zeros_like(self._sums)
        classes = np.zeros(len(values), np.int64) if labels is None else labels
        exact = values.astype(np.float64)
        np.add.at(self._sums, classes, exact)
        np.add.at(self._squares, classes, exact**2)
        self.counts += np.bincount(classes, minlength=self.classes)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean response of each feature (F,)."""
        total: NDArray[np.float64] = self._sums.sum(0) / self.counts.sum()
        return total

    @property
    def std(self) -> NDArray[np.float64]:
        """Standard deviation of each feature's response (F,)."""
        variance = self._squares.sum(0) / self.counts.sum() - self.mean**2
        result: NDArray[np.float64] = np.sqrt(np.maximum(variance, 0))
        return result

    def explained_by_class(self) -> NDArray[np.float64]:
        """Return the share of each feature's variance that lies between classes (F,), 0 where it never varies.

        This is eta squared of a one-way analysis of variance.
        """
        present = self.counts > 0
        means = self._sums[present] / self.counts[present, None]
        between = (self.counts[present, None] * (means - self.mean) ** 2).sum(0) / self.counts.sum()
        variance = self.std**2
        # Below: a constant response, whose variance is rounding.
        floor = 1e-12 * np.maximum(self.mean**2, 1e-30)
        share: NDArray[np.float64] = np.where(variance > floor, between / np.maximum(variance, floor), 0.0)
        return np.clip(share, 0.0, 1.0)


@dataclass(frozen=True)
class TapResponses:
    """What is kept of all features of one tap.

    Attributes:
        top: The images of the strongest responses.
        sums: Mean and variance of the responses.
        map_size: Rows and columns of the maps.
    """

    top: TopResponses
    sums: ResponseSums
    map_size: tuple[int, int]

    @property
    def features(self) -> int:
        """F, number of features."""
        return len(self.top.values)

    def place(self, feature: int, rank: int) -> tuple[int, int]:
        """Return row and column of the unit that gave a feature's response of a rank."""
        row, column = divmod(int(self.top.positions[feature, rank]), self.map_size[1])
        return row, column

    def margins(self, k: int) -> NDArray[np.float64]:
        """Return how far the mean of the k strongest responses lies above the mean of all, in standard deviations (F,).

        A feature that never varies has margin 0.
        """
        gap = self.top.values[:, :k].mean(1, dtype=np.float64) - self.sums.mean
        std = self.sums.std
        varies = std > 1e-6 * np.maximum(np.abs(self.sums.mean), 1e-12)
        result: NDArray[np.float64] = np.where(varies, gap / np.where(varies, std, 1.0), 0.0)
        return result


def collect_responses(
    stream: Iterable[dict[str, BatchResponses]],
    k: int,
    labels: NDArray[np.int64] | None = None,
    classes: int = 0,
    done: Callable[[int], None] | None = None,
) -> dict[str, TapResponses]:
    """Read a stream of responses to its end.

    Args:
        stream: What ``stream_responses`` yields.
        k: How many images are kept for each feature.
        labels: Labels (N,) in the order of the images, or None.
        classes: K, number of classes.
        done: Called with the number of images seen after each batch.
    """
    collected: dict[str, TapResponses] = {}
    count = 0
    for batch in stream:
        n = 0
        for tap, responses in batch.items():
            if tap not in collected:
                collected[tap] = TapResponses(TopResponses(k), ResponseSums(classes), responses.map_size)
            n = len(responses.values)
            collected[tap].top.update(responses.values, responses.positions)
            collected[tap].sums.update(responses.values, None if labels is None else labels[count : count + n])
        count += n
        if done is not None:
            done(count)
    return collected
