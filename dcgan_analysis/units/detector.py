"""Positions of feature maps in and outside of boxes, and a detector of objects that looks at images alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from dcgan_analysis.annotations.cells import cells_inside, cells_touched, draw_cells
from dcgan_analysis.core.statistics import judged_interval
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.units.positions import fit_linear

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from dcgan_analysis.annotations.cells import Box
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint

__all__ = ["Detector", "Positions", "draw_positions", "make_detector", "removed"]

Part = TypeVar("Part")

# Share of positions outside of boxes that the detector may take for the object.
FALSE_ALARMS = 0.01
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Positions:
    """Positions of a feature map on boxed samples.

    Attributes:
        rows: (P,) which of the boxed samples, by its place among them.
        cells: (P,) which position of the map laid flat.
        inside: (P,) whether it lies in a box.
        grid: Height and width of the map.
    """

    rows: NDArray[np.int64]
    cells: NDArray[np.int64]
    inside: NDArray[np.bool_]
    grid: tuple[int, int]

    def gather(self, maps: Tensor, start: int) -> NDArray[np.float32]:
        """Return the features (P', D) of the positions on samples from ``start`` on, whose maps are (B, D, H, W)."""
        import torch

        here = np.flatnonzero((self.rows >= start) & (self.rows < start + len(maps)))
        rows, cells = (torch.from_numpy(x[here]).to(maps.device) for x in (self.rows - start, self.cells))
        features: NDArray[np.float32] = maps.flatten(2)[rows, :, cells].float().cpu().numpy()
        return features


def draw_positions(
    boxes: Sequence[Sequence[Box]],
    grid: tuple[int, int],
    image: tuple[int, int],
    negatives: float,
    rng: np.random.Generator,
) -> Positions:
    """Take every position inside boxes and, from the same samples, random ones clear of them.

    Args:
        boxes: The boxes of each sample, in pixels.
        grid: Height and width of the map.
        image: Height and width of the image.
        negatives: Positions outside for each one inside, as far as there are so many.
        rng: Draws them.
    """
    rows, cells, inside = [], [], []
    for row, of_sample in enumerate(boxes):
        positive = np.flatnonzero(cells_inside(of_sample, grid, image))
        negative = draw_cells(~cells_touched(of_sample, grid, image), round(negatives * len(positive)), rng)
        cells += [positive, negative]
        inside += [np.ones(len(positive), bool), np.zeros(len(negative), bool)]
        rows.append(np.full(len(positive) + len(negative), row))
    return Positions(np.concatenate(rows), np.concatenate(cells), np.concatenate(inside), grid)


@dataclass(frozen=True)
class Detector:
    """Finds the object in images, without looking into the generator; its judges were fitted on different samples.

    Every image is first brought to one mean and one spread, so that neither its brightness nor its contrast counts.

    Attributes:
        weights: (J, D) of the judges' linear probes, on what the discriminator's taps, or the pixels, show.
        biases: (J,).
        thresholds: (J,) score above which a position counts as the object: of positions outside of boxes on samples
            that the judge was not fitted on, ``FALSE_ALARMS`` lie above it.
        positions: Where they were fitted.
        held_out: (P,) mean score by the judges that were not fitted on the sample, in units of each judge's spread;
            NaN where all were.
        usual: Mean and standard deviation that images are brought to.
        kind: What it looks at.
        network: The discriminator, or None.
        taps: Its convolutional layers.
    """

    weights: NDArray[np.float64]
    biases: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    positions: Positions
    held_out: NDArray[np.float64]
    usual: tuple[float, float]
    kind: str
    network: nn.Module | None
    taps: tuple[str, ...]

    def seen(self, images: Tensor, labels: Tensor | None, like: Tensor | None = None) -> Tensor:
        """Return which positions of images (N, C, H, W) show the object to each judge, (N, J, *grid).

        Args:
            images: Images as drawn.
            labels: (N,) for a conditional discriminator.
            like: Images whose mean and spread decide what is done to these; None: the images themselves.
        """
        import torch

        from dcgan_analysis.units.hypercolumns import column_scores, pixel_columns, with_moments

        weights = torch.from_numpy(self.weights).to(images)
        least = torch.from_numpy(self.thresholds - self.biases).to(images)[:, None, None]

        def look(network: nn.Module | None, rows: slice) -> Tensor:
            batch = with_moments(images[rows], *self.usual, None if like is None else like[rows])
            if network is None:
                scores = torch.einsum("nchw,jc->njhw", pixel_columns(batch, self.positions.grid), weights)
            else:
                classes = None if labels is None else labels[rows]
                scores = column_scores(network, self.taps, batch, self.positions.grid, weights, classes)
            return scores > least

        return torch.cat(list(_by_batches(look, self.network, images)))


def make_detector(
    checkpoint: Checkpoint,
    images: Tensor,
    labels: Tensor | None,
    boxes: Sequence[Sequence[Box]],
    *,
    kind: Literal["auto", "discriminator", "pixels"],
    judges: int,
    device: torch.device,
    rng: np.random.Generator,
) -> Detector:
    """Fit a detector on boxed samples.

    It works on a grid of half the image's height and width. It knows the boxes and the rendered images alone: neither
    the generator's maps nor the probe that chooses which of them are dropped. Each judge is fitted on as many samples
    drawn with replacement, each under a light of its own: brighter here, darker there, as smooth as a shade.

    Args:
        checkpoint: Gives the discriminator.
        images: The boxed samples (N, C, H, W), in the image range.
        labels: (N,) for a conditional checkpoint.
        boxes: The boxes of each.
        kind: What it looks at; ``auto``: the discriminator where there is one with convolutions, else pixels.
        judges: J.
        device: Where to compute.
        rng: Draws positions outside of boxes, samples and lights.

    Raises:
        AnalysisError: If the discriminator is asked for and there is none, or it has no convolutions.
    """
    from dcgan_analysis.units.hypercolumns import shaded

    network: nn.Module | None = None
    taps: tuple[str, ...] = ()
    if kind != "pixels" and checkpoint.has("discriminator"):
        network = checkpoint.discriminator().to(device)
        taps = _map_taps(network, checkpoint.architecture.taps, images[:1].to(device), labels)
    if not taps:
        network = None
    if kind == "discriminator" and network is None:
        msg = f"Checkpoint '{checkpoint.name}' has no discriminator with convolutions. Use the setting detector=pixels."
        raise AnalysisError(msg)
    height, width = checkpoint.architecture.image_shape[1:]
    positions = draw_positions(boxes, (height // 2, width // 2), (height, width), 2.0, rng)
    usual = float(images.mean()), float(images.flatten(1).std(dim=1).mean())
    plain = _columns(images, labels, positions, usual, network, taps)
    of_sample = [np.flatnonzero(positions.rows == row) for row in range(len(images))]
    fits, scores = [], np.full((judges, len(positions.rows)), np.nan)
    for judge in range(judges):
        lit = shaded(images, checkpoint.metadata.image_range, rng)
        features = _columns(lit, labels, positions, usual, network, taps)
        drawn = _draw_samples(len(images), rng)
        rows = np.concatenate([of_sample[sample] for sample in drawn])
        fit = fit_linear(features[rows], positions.inside[rows], c=0.01)
        unseen = ~np.isin(positions.rows, drawn)
        values = plain[unseen] @ fit[0] + fit[1]
        outside = values[~positions.inside[unseen]]
        if not len(outside):
            msg = "The boxes leave no place outside of them on some samples. Draw smaller ones, or on more samples."
            raise AnalysisError(msg)
        fits.append((*fit, float(np.quantile(outside, 1 - FALSE_ALARMS))))
        scores[judge, unseen] = (values - outside.mean()) / max(float(outside.std()), 1e-9)
    weights, biases, thresholds = (np.array(part) for part in zip(*fits, strict=True))
    known = ~np.isnan(scores).all(axis=0)
    held_out = np.full(len(known), np.nan)
    held_out[known] = np.nanmean(scores[:, known], axis=0)
    word = "pixels" if network is None else f"discriminator ({', '.join(taps)})"
    return Detector(weights, biases, thresholds, positions, held_out, usual, word, network, taps)


def removed(before: NDArray[np.float64], after: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return which share of the object is gone: 1 - sum(after) / sum(before), with its 95 % interval.

    The interval is over judges and samples (``judged_interval``), of the ratio linearised around its value. Where
    nothing is left in anybody's eyes, its lower end is the one-sided bound of Clopper and Pearson 1934 (Biometrika
    26:404) for none of the samples that showed the object.

    Args:
        before: (J, N) share of each sample that shows the object, to each judge.
        after: (J, N) the same for the same latent vectors with maps dropped. More than before gives a negative value.

    Example:
        >>> removed(np.full((2, 2), 0.4), np.full((2, 2), 0.1))
        (0.75, 0.75, 0.75)
    """
    left = float(after.sum() / before.sum())
    if left == 0:
        seen = max(1, round(float((before > 0).sum(axis=1).mean())))
        return 1.0, float((1 - _CONFIDENCE) ** (1 / seen)), 1.0
    value, low, high = judged_interval(1 - left - (after - left * before) / before.mean())
    return value, low, min(1.0, high)


def _draw_samples(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw as many samples as there are, with replacement, so that one at least is left out."""
    drawn = rng.integers(n, size=n)
    if len(np.unique(drawn)) == n:
        drawn[0] = drawn[1]
    return drawn


def _columns(
    images: Tensor,
    labels: Tensor | None,
    positions: Positions,
    usual: tuple[float, float],
    network: nn.Module | None,
    taps: Sequence[str],
) -> NDArray[np.float32]:
    """Return what images (N, C, H, W) show at the positions, (P, D)."""
    from dcgan_analysis.units.hypercolumns import hypercolumns, pixel_columns, with_moments

    def columns(network: nn.Module | None, rows: slice) -> NDArray[np.float32]:
        batch = with_moments(images[rows], *usual)
        if network is None:
            return positions.gather(pixel_columns(batch, positions.grid), rows.start)
        classes = None if labels is None else labels[rows]
        return positions.gather(hypercolumns(network, taps, batch, positions.grid, classes), rows.start)

    return np.concatenate(list(_by_batches(columns, network, images)))


def _by_batches(
    function: Callable[[nn.Module | None, slice], Part], network: nn.Module | None, images: Tensor
) -> Iterator[Part]:
    """Yield what a function makes of each batch of images, with the network or without one."""
    from dcgan_analysis.checkpoints.sampling import BATCH
    from dcgan_analysis.core.parallel import parallel_map
    from dcgan_analysis.models.replicas import run_batches

    batches = [slice(start, start + BATCH) for start in range(0, len(images), BATCH)]
    if network is None:
        return parallel_map(partial(function, None), batches, device=images.device)
    return run_batches(function, network, batches)


def _map_taps(network: nn.Module, taps: Sequence[str], image: Tensor, labels: Tensor | None) -> tuple[str, ...]:
    """Return the taps whose values are maps."""
    import torch

    from dcgan_analysis.models.hooks import capture

    with torch.inference_mode(), capture(network, taps) as outputs:
        network(image) if labels is None else network(image, labels[:1].to(image.device))
    return tuple(tap for tap in taps if outputs[tap].dim() == 4)
