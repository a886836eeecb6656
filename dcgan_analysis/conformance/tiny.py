"""The small things that tests and conformance checks work on: a network, a run context."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.core.progress import Progress
    from dcgan_analysis.data.dataset import Dataset

_SEED = 0
_WIDTH = 8
_CONDITIONAL_WIDTH = 4


def make_checkpoint(*, conditional: bool = False, seed: int = _SEED) -> Checkpoint:
    """Make a network with random weights, always the same ones: generator and discriminator.

    The generator's batch normalisation has statistics of its own samples, so that these differ.

    Args:
        conditional: False: a ``dcgan32`` of width 8. True: a ``dcgan28-conditional`` of width 4, gray, ten classes.
        seed: Another seed gives other weights.

    Example:
        >>> make_checkpoint().sample(2, seed=0).shape
        torch.Size([2, 3, 32, 32])
    """
    made = _made(conditional, seed)
    return replace(
        made, weights={role: {name: w.clone() for name, w in state.items()} for role, state in made.weights.items()}
    )


@cache  # many tests ask for the same one; each gets a copy
def _made(conditional: bool, seed: int) -> Checkpoint:
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.checkpoints.sampling import with_sample_statistics
    from dcgan_analysis.models.tables import dcgan28_conditional, dcgan32

    if conditional:
        fresh = Checkpoint.random(dcgan28_conditional(width=_CONDITIONAL_WIDTH), seed, name="tiny-conditional")
    else:
        fresh = Checkpoint.random(dcgan32(width=_WIDTH), seed, name="tiny")
    return with_sample_statistics(fresh, batches=1)


def make_context(
    folder: Path,
    *,
    checkpoint: Checkpoint | None = None,
    dataset: Dataset | None = None,
    progress: Progress | None = None,
) -> RunContext:
    """Make a run context on the CPU whose run folder and cache lie in ``folder``.

    Args:
        folder: An existing folder.
        checkpoint: What the run works on; None: none.
        dataset: What the run works on; None: none.
        progress: Told how long work goes on.
    """
    import torch

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.api.environment import describe_environment
    from dcgan_analysis.core.progress import silent
    from dcgan_analysis.runs.provenance import code_sha256

    output_dir = folder / "run"
    output_dir.mkdir()
    device = torch.device("cpu")
    return RunContext(
        output_dir=output_dir,
        device=device,
        seed=_SEED,
        environment=describe_environment(device, code_sha256()),
        progress=progress or silent,
        cache_dir=folder / "cache",
        _checkpoint=checkpoint,
        _dataset=dataset,
    )
