"""The random twin as a generator: what its samples are when nothing was learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis.checkpoints.sampling import with_sample_statistics

if TYPE_CHECKING:
    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint


def sampling_twin(context: RunContext) -> Checkpoint:
    """Return the random twin of the run's checkpoint, its statistics re-estimated: else its samples are one image."""
    context.note(
        "The random twin's batch-normalisation statistics were re-estimated on latent vectors. It is one network: its "
        "intervals do not hold the spread between random networks."
    )
    return with_sample_statistics(context.checkpoint.twin(context.seed))
