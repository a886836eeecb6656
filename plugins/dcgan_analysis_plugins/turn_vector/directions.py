"""Directions in latent space: between averages of samples, added to new samples, and judged (section 6.3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from torch import Tensor

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.sampling import Sampler
    from dcgan_analysis.latents.attributes import Judge
    from dcgan_analysis.latents.judges import PerceptualJudge

TURN, RANDOM = "turn vector", "random direction"
"""Directions of an attribute, and their controls."""


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


def tails(values: np.ndarray, share: float, needed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the lowest and of the highest of N values.

    Args:
        values: (N,).
        share: Which share of them counts as an end, at most 0.5.
        needed: How many each end must hold.

    Raises:
        AnalysisError: If they hold fewer.

    Example:
        >>> import numpy as np
        >>> [end.tolist() for end in tails(np.array([3.0, 1.0, 2.0, 5.0]), share=0.25, needed=1)]
        [[1], [3]]
    """
    import numpy as np

    order, size = np.argsort(values, kind="stable"), end_size(len(values), share, needed)
    return order[:size], order[len(order) - size :]


def end_size(samples: int, share: float, needed: int) -> int:
    """Return how many of the samples either end holds.

    Raises:
        AnalysisError: If they are fewer than needed.
    """
    size = round(share * samples)
    if size < needed:
        msg = (
            f"The ends hold {size} of {samples:,} samples each, {needed} are averaged. "
            "Draw more (the setting samples) or take wider ends (the setting tail)."
        )
        raise AnalysisError(msg)
    return size


def draw_directions(
    context: RunContext, z: Tensor, values: np.ndarray, *, directions: int, averaged: int, tail: float
) -> dict[str, list[Tensor]]:
    """Draw directions of an attribute, and random ones of the same lengths.

    Args:
        context: The run, for its randomness.
        z: (N, Z) samples.
        values: (N,) the attribute.
        directions: How many, each of samples of its own.
        averaged: Samples at either end, or in either random set.
        tail: Share of the samples that counts as an end.

    Returns:
        ``TURN``, ``RANDOM`` -> directions (Z,).

    Raises:
        AnalysisError: If an end holds too few samples.
    """
    from dcgan_analysis.latents.arithmetic import direction

    ends = tails(values, tail, averaged)
    drawn: dict[str, list[Tensor]] = {TURN: [], RANDOM: []}
    for number in range(directions):
        rng = context.rng("vector", str(number))
        low, high = (rng.choice(end, averaged, replace=False) for end in ends)
        turn = direction(z[low], z[high])
        others = rng.choice(len(z), 2 * averaged, replace=False)
        drawn[TURN].append(turn)
        drawn[RANDOM].append(direction(z[others[:averaged]], z[others[averaged:]], float(turn.norm())))
    return drawn


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
