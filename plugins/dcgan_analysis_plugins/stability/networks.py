"""The networks as they are: how much samples differ, filters, and what the discriminator says of whose images."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dcgan_analysis.checkpoints.fitting import image_problems
from dcgan_analysis.checkpoints.judgement import discriminator_logits
from dcgan_analysis.checkpoints.sampling import Sampler
from dcgan_analysis.data.preprocessing import Preprocessing
from dcgan_analysis.latents.seen_images import held_out_images, seen_images, trained_split
from dcgan_analysis.latents.twins import sampling_twin
from dcgan_analysis.training.measures import samples_and_maps
from dcgan_analysis.training.monitors import Monitors, filter_health

if TYPE_CHECKING:
    from dcgan_analysis.api import RunContext
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.latents.seen_images import Images

__all__ = [
    "DRAW",
    "HELD_OUT",
    "SAMPLES",
    "TRAINING",
    "RealImages",
    "filters",
    "judgements",
    "random_twin",
    "real_images",
    "spreads",
]

DRAW = 64
"""Samples of a draw, as many as the monitors of a training look at."""
TRAINING, HELD_OUT, SAMPLES = "training images", "held-out images", "samples"


class RealImages(NamedTuple):
    """Images that the networks were trained on, and others of the same data; None: there are none."""

    training: Images
    held_out: Images | None


def real_images(context: RunContext) -> RealImages:
    """Return the images of the run's dataset, as the checkpoint's metadata say what it was trained on.

    Raises:
        DcganAnalysisError: If they have another shape than the networks' images, or are of other classes.
    """
    split = trained_split(context)
    for problem in image_problems(context.checkpoint, split, context.dataset.name, "exact", judged=False, choice=False):
        raise problem
    return RealImages(seen_images(context), held_out_images(context))


def random_twin(context: RunContext) -> Checkpoint:
    """Return the random twin of the run's checkpoint, as other analyses sample it."""
    return sampling_twin(context)


def filters(checkpoint: Checkpoint, seed: int) -> dict[str, dict[str, int]]:
    """Return the counts of the generator's maps by layer, as ``filters`` of a history has them."""
    z, sampler = checkpoint.latents(DRAW, seed), Sampler(checkpoint)
    _, maps = samples_and_maps(sampler.generator, checkpoint.architecture, z, sampler.labels(range(DRAW)))
    return {layer: asdict(filter_health(values)) for layer, values in maps.items() if values.dim() == 4}


def spreads(context: RunContext, twin: Checkpoint, real: RealImages, draws: int) -> dict[str, list[dict[str, Any]]]:
    """Read the monitors on samples (``""``), on other real images (``"real_"``) and on the random twin (``"twin_"``).

    Args:
        context: The run.
        twin: Of its checkpoint.
        real: Images.
        draws: How many draws of 64 images of each kind; fewer images where there are not so many real ones.

    Returns:
        Kind -> one reading a draw, as ``Monitors.read`` gives them.
    """
    checkpoint = context.checkpoint
    n = min(DRAW, len(real.training.images) // 2)
    prepare = Preprocessing.for_range(checkpoint.architecture.image_shape, checkpoint.metadata.image_range)
    z = checkpoint.latents(n * draws, context.seed)
    samplers = {"": Sampler(checkpoint, context.device), "twin_": Sampler(twin, context.device)}
    drawn = {kind: sampler.images(z, sampler.labels(range(len(z)))).cpu() for kind, sampler in samplers.items()}
    readings: dict[str, list[dict[str, Any]]] = {"": [], "real_": [], "twin_": []}
    for draw in range(draws):
        order = context.rng("spread", str(draw)).permutation(len(real.training.images))[: 2 * n]
        chosen, other = (prepare(real.training.images[np.sort(half)]) for half in (order[:n], order[n:]))
        monitors = Monitors(chosen, [other])
        images = {kind: of_kind[draw * n : (draw + 1) * n] for kind, of_kind in drawn.items()} | {"real_": other}
        for kind, of_kind in readings.items():
            of_kind.append(monitors.read(images[kind], {}))
        context.progress("draws", draw + 1, draws)
    return readings


def judgements(context: RunContext, real: RealImages, n: int) -> dict[str, np.ndarray]:
    """Return the discriminator's logits of at most n images of each kind, in evaluation mode.

    Its statistics are those of real images, for samples too; in training each minibatch has its own.
    """
    checkpoint = context.checkpoint
    sampler = Sampler(checkpoint, context.device, context.progress)
    labels = sampler.labels(range(n))
    samples = sampler(checkpoint.latents(n, context.seed), labels)
    by_label = checkpoint.architecture.takes_labels("discriminator")
    logits = {}
    for kind, images in {TRAINING: real.training, HELD_OUT: real.held_out}.items():
        if images is None:
            continue
        judged = images.take(np.sort(context.rng("judged", kind).permutation(len(images.images))[:n]))
        classes = judged.labels if by_label else None
        logits[kind] = discriminator_logits(checkpoint, context.device, judged.images, classes)
    logits[SAMPLES] = discriminator_logits(checkpoint, context.device, samples, labels if by_label else None)
    return logits
