"""What moving along a direction of latent space does to new samples, as judges see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from torch import Tensor

    from dcgan_analysis.checkpoints.sampling import Sampler
    from dcgan_analysis.latents.attributes import Judge
    from dcgan_analysis.latents.judges import PerceptualJudge


@dataclass(frozen=True)
class Moves:
    """What one direction does to S new samples at T multiples.

    Attributes:
        margins: (J, S, T, A) each judge's values of A attributes, in their units.
        change: (S,) perceptual distance of the two ends.
    """

    margins: np.ndarray
    change: np.ndarray

    @property
    def ends(self) -> np.ndarray:
        """How far each attribute moves from the first multiple to the last, (J, S, A)."""
        moved: np.ndarray = self.margins[:, :, -1] - self.margins[:, :, 0]
        return moved


def images_along(sampler: Sampler, new: Tensor, vector: Tensor, multiples: Tensor) -> np.ndarray:
    """Return the images of new samples (S, Z) with each multiple (T,) of a direction added: (S x T, C, H, W), uint8."""
    return sampler((new[:, None] + multiples[None, :, None] * vector).flatten(0, 1))


def measure_directions(
    sampler: Sampler,
    judge: Judge,
    embed: PerceptualJudge,
    new: Tensor,
    vectors: Sequence[Tensor],
    multiples: Tensor,
    units: np.ndarray,
    done: Callable[[int], None] | None = None,
) -> list[Moves]:
    """Add multiples of each direction to new samples, and judge the images.

    Args:
        sampler: Draws the images; a conditional generator's must draw one class.
        judge: Predicts their attributes.
        embed: Measures how different they look.
        new: (S, Z).
        vectors: Directions (Z,).
        multiples: (T,), rising.
        units: (J, A) each judge's unit of each attribute, such as its standard deviation among plain samples.
        done: Called with the number of directions done.
    """
    moves = []
    for number, vector in enumerate(vectors, start=1):
        images = images_along(sampler, new, vector, multiples)
        labels = sampler.labels(range(len(images)))
        ends = [slice(at, None, len(multiples)) for at in (0, len(multiples) - 1)]
        low, high = (embed(images[end], None if labels is None else labels[end]) for end in ends)
        each = judge.each(images)
        margins = each.reshape(len(each), len(new), len(multiples), -1) / units[:, None, None]
        moves.append(Moves(margins, (high - low).norm(dim=1).numpy()))
        if done is not None:
            done(number)
    return moves
