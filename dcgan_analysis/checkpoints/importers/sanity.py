"""Numbers and pictures by which a wrong assumption shows: what the imported networks make of noise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from dcgan_analysis.checkpoints.importers.evidence import latent_vectors, misfit
from dcgan_analysis.checkpoints.sampling import as_bytes, class_labels
from dcgan_analysis.figures import image_grid, save_png

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint

__all__ = ["add_numbers", "numbers", "save_samples"]

_SAMPLES, _COLUMNS, _SEED = 36, 9, 0
_END = 0.01  # of the range
_FLAT = 0.01  # standard deviation, of half the range, below which samples are all but one colour
_FULL = 0.9
_FAR, _FARTHER = 0.5, 2.0  # distances of BatchNorm statistics; a discriminator's are of real images too
_MARGIN = 0.5


def numbers(checkpoint: Checkpoint) -> dict[str, float]:
    """Measure 36 samples and as many images of noise.

    Returns:
        ``samples_mean`` and ``samples_std`` of all pixels in the units of the image range; ``samples_variation``, the
        standard deviation of a pixel from sample to sample, mean over pixels; ``share_at_ends`` of pixels within 1 % of
        the range's ends; ``batchnorm_generator`` and ``batchnorm_discriminator``, how far the running statistics are
        from those of what goes into the normalisations (:func:`~.evidence.misfit`); ``judged_samples`` and
        ``judged_noise``, mean probabilities (0 to 1) that the discriminator gives to samples and to uniform noise. What
        needs a network that is not there is left out.

    Example:
        >>> from dcgan_analysis.checkpoints.checkpoint import Checkpoint
        >>> from dcgan_analysis.models.tables import dcgan32_svhn
        >>> sorted(numbers(Checkpoint.random(dcgan32_svhn(width=4), seed=0)))[:2]
        ['judged_noise', 'judged_samples']
    """
    result: dict[str, float] = {}
    low, high = checkpoint.architecture.image_range
    samples: Tensor | None = None
    if checkpoint.has("generator"):
        samples = _samples(checkpoint)
        margin = _END * (high - low)
        at_ends = (samples <= low + margin) | (samples >= high - margin)
        result = {
            "samples_mean": float(samples.mean()),
            "samples_std": float(samples.std()),
            "samples_variation": float(samples.std(dim=0).mean()),
            "share_at_ends": float(at_ends.float().mean()),
        }
    for role in checkpoint.weights:
        inputs = _latents(checkpoint) if role == "generator" else samples
        if inputs is not None:
            distance = misfit(
                checkpoint.network(role), inputs, class_labels(checkpoint.architecture, range(len(inputs)))
            )
            if distance is not None:
                result[f"batchnorm_{role}"] = distance.coarse
    if checkpoint.has("discriminator"):
        shape = (_SAMPLES, *checkpoint.architecture.image_shape)
        noise = torch.rand(shape, generator=torch.Generator().manual_seed(_SEED)) * (high - low) + low
        for name, images in (("samples", samples), ("noise", noise)):
            if images is not None:
                result[f"judged_{name}"] = float(torch.sigmoid(_judged(checkpoint, images)).mean())
    return {name: round(value, 6) for name, value in result.items()}


def _latents(checkpoint: Checkpoint) -> Tensor:
    return latent_vectors(_SAMPLES, checkpoint.architecture.z_size, checkpoint.metadata.z_prior)


@torch.no_grad()
def _judged(checkpoint: Checkpoint, images: Tensor) -> Tensor:
    labels = class_labels(checkpoint.architecture, range(len(images)))
    network = checkpoint.discriminator()
    logits: Tensor = network(images) if labels is None else network(images, labels)
    return logits


def _samples(checkpoint: Checkpoint) -> Tensor:
    return checkpoint.sample(_SAMPLES, _SEED, class_labels(checkpoint.architecture, range(_SAMPLES)))


def add_numbers(checkpoint: Checkpoint) -> Checkpoint:
    """Return the checkpoint with its numbers, and warnings where they are odd, in its provenance."""
    measured = numbers(checkpoint)
    provenance = dict(checkpoint.metadata.provenance)
    warnings = list(provenance.get("warnings", ()))
    low, high = checkpoint.architecture.image_range
    half = (high - low) / 2
    if "samples_std" in measured and measured["samples_std"] < _FLAT * half:
        warnings.append(
            f"The samples are nearly one colour (standard deviation {measured['samples_std']:.2g}): the generator is "
            "untrained, or something was assumed wrongly."
        )
    elif "samples_variation" in measured and measured["samples_variation"] < _FLAT * half:
        warnings.append(
            f"All samples are nearly alike (a pixel's standard deviation is {measured['samples_variation']:.2g}): the "
            "generator makes one image, or something was assumed wrongly."
        )
    elif measured.get("share_at_ends", 0.0) > _FULL:
        warnings.append(
            f"{measured['share_at_ends']:.0%} of the samples' pixels lie at the ends of the range: look at "
            "samples.png, something may be assumed wrongly."
        )
    if measured.get("batchnorm_generator", 0.0) > _FAR:
        warnings.append(
            f"The generator's BatchNorm statistics are not those of what it makes of its latent vectors (distance "
            f"{measured['batchnorm_generator']:.2g}; 0.1 is near): activations, paddings, order or the latent vectors' "
            "distribution may be assumed wrongly, or the statistics are stale (--set batchnorm=reestimate)."
        )
    elif measured.get("batchnorm_discriminator", 0.0) > _FARTHER:
        warnings.append(
            "The discriminator's BatchNorm statistics are far from those of what it makes of samples (distance "
            f"{measured['batchnorm_discriminator']:.2g}): it belongs to another generator, the samples are unlike its "
            "training images, or something was assumed wrongly."
        )
    if measured.get("judged_noise", 0.0) - measured.get("judged_samples", 1.0) > _MARGIN:
        warnings.append(
            f"The discriminator takes noise for real ({measured['judged_noise']:.2f}) rather than samples "
            f"({measured['judged_samples']:.2f}): the networks may not belong together, or it judges the other "
            "way round."
        )
    provenance |= {"numbers": measured, "warnings": warnings}
    return replace(checkpoint, metadata=checkpoint.metadata.model_copy(update={"provenance": provenance}))


def save_samples(checkpoint: Checkpoint, path: Path) -> None:
    """Draw 36 samples, without selection; nothing where there is no generator."""
    if not checkpoint.has("generator"):
        return
    images = as_bytes(checkpoint, _samples(checkpoint))
    # Transparency and whatever else cannot be seen is left off.
    channels = 3 if images.shape[1] >= 3 else 1
    save_png(image_grid(images[:, :channels], _COLUMNS), path)
