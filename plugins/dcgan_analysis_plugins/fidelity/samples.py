"""Samples of the generator and of its random twin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis.checkpoints.sampling import Sampler
from dcgan_analysis.latents.twins import sampling_twin

if TYPE_CHECKING:
    import numpy as np

    from dcgan_analysis.api import RunContext

__all__ = ["draw", "twin_sampler"]


def draw(context: RunContext, sampler: Sampler, n: int) -> np.ndarray:
    """Return samples of the run's seed, uint8 (n, C, H, W); of a conditional generator classes in turn."""
    return sampler(sampler.checkpoint.latents(n, context.seed), sampler.labels(range(n)))


def twin_sampler(context: RunContext) -> Sampler:
    """Return the sampler of the random twin."""
    return Sampler(sampling_twin(context), context.device, context.progress)
