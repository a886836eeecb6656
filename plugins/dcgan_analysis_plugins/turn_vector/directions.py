"""Directions in latent space between averages of samples at either end of an attribute (section 6.3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis.core.statistics import end_size, tails
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
]

TURN, RANDOM = "turn vector", "random direction"
"""Directions of an attribute, and their controls."""


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
