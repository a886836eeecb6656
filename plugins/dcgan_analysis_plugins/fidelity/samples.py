"""Samples of the generator and of its random twin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis.checkpoints.sampling import Sampler, with_sample_statistics

if TYPE_CHECKING:
    import numpy as np

    from dcgan_analysis.api import RunContext

__all__ = ["draw", "twin_sampler"]


def draw(context: RunContext, sampler: Sampler, n: int) -> np.ndarray:
    """Return samples of the run's seed, uint8 (n, C, H, W); of a conditional generator classes in turn."""
    return sampler(sampler.checkpoint.latents(n, context.seed), sampler.labels(range(n)))


def twin_sampler(context: RunContext) -> Sampler:
    """Return the sampler of the random twin, its statistics re-estimated: else its samples are one gray image."""
    twin = with_sample_statistics(context.checkpoint.twin(context.seed))
    context.note("The random twin's batch-normalisation statistics were re-estimated on latent vectors.")
    return Sampler(twin, context.device, context.progress)
