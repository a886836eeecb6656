"""Directions in latent space between averages of samples at either end of an attribute (section 6.3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.latents.moving import Moves, images_along, measure_directions

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from dcgan_analysis.api.context import RunContext

__all__ = [
    "RANDOM",
    "TURN",
    "Moves",
    "draw_directions",
    "end_size",
    "images_along",
    "measure_directions",
    "tails",
]

TURN, RANDOM = "turn vector", "random direction"
"""Directions of an attribute, and their controls."""


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
