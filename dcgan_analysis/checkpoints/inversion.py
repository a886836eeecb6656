"""Latent vectors of given images: which samples of a generator come nearest to them.

From two starting points for each image, Adam goes down the mean squared error of pixels; the better end is kept. One
start is the nearest of some thousand samples, the other what a linear encoder says, which those samples are fitted by:
the first is nearer, the second more often leads to the very vector that a sample was made from. Vectors stay where the
prior is: in the box of the uniform one (clipped as in Lipton and Tripathi 2017, arXiv 1702.04782), in the ball with
99.9 % of the normal one.

Nothing that is drawn depends on the images: what is found for one does not depend on the others, nor on how many go
through the generator together, up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from dcgan_analysis.checkpoints.sampling import BATCH, Sampler
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.core.randomness import derive_seed
from dcgan_analysis.data.preprocessing import Preprocessing
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.models.replicas import run_batches

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from torch import Tensor, nn

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.models.architecture import Architecture

# Of Adam, in standard deviations of the prior; it falls to 0 along half a cosine.
_RATE, _BETAS = 0.1, (0.9, 0.99)
_BALL = 0.999
# Of the encoder's ridge, beside the mean square of a sample's distance from the mean image.
_RIDGE = 0.1


@dataclass(frozen=True)
class Inversion:
    """What N images were inverted to.

    Attributes:
        latents: (N, Z), within the prior.
        images: uint8 (N, C, H, W): what the generator makes of them.
        errors: (N,) root mean square difference of these images, before they were rounded, from the given ones, pixels
            in [0, 1].
        labels: (N,) their classes; None of an unconditional generator.
    """

    latents: Tensor
    images: np.ndarray
    errors: np.ndarray
    labels: Tensor | None


def invert(
    checkpoint: Checkpoint,
    images: np.ndarray | Tensor,
    *,
    labels: Tensor | None = None,
    seed: int = 0,
    steps: int = 200,
    candidates: int = 2048,
    device: torch.device | None = None,
    progress: Progress = silent,
    batch: int = BATCH,
) -> Inversion:
    """Find latent vectors of images; see ``Checkpoint.invert``.

    Args:
        checkpoint: Whose generator.
        images: As there.
        labels: As there.
        seed: As there.
        steps: As there.
        candidates: As there.
        device: Where to compute.
        progress: Told of searches done, two for each image.
        batch: Searches in one pass of the generator.

    Raises:
        AnalysisError: If there is no image, labels do not fit, or the generator gives no gradient.
        CheckpointError: If there is no generator.
        DatasetError: If the images are neither bytes nor floats in the image range, or of another shape.
    """
    metadata, architecture = checkpoint.metadata, checkpoint.architecture
    device = device or torch.device("cpu")
    prepare = Preprocessing.for_range(architecture.image_shape, metadata.image_range)
    targets = prepare.inputs(images, checkpoint=checkpoint.name)
    channels, height, width = targets.shape[1:]
    prepare.check((channels, height, width), checkpoint=checkpoint.name, choice=False)
    _check_labels(architecture, len(targets), labels)
    sampler = Sampler(checkpoint, device, progress, batch=batch)
    z = checkpoint.latents(candidates, derive_seed("inversion", seed))
    drawn = sampler.images(z, what="candidates").cpu()
    classes = sampler.labels(range(candidates))
    nearest = _nearest(drawn, targets, classes, labels)
    if classes is not None and labels is None:
        labels = classes[nearest]
    keep_within = _prior(checkpoint)
    starts = torch.cat([z[nearest], keep_within(_encoded(z, drawn, targets))])
    del drawn
    descend = partial(
        _descend, steps=steps, rate=_RATE * metadata.z_deviation, keep_within=keep_within, name=checkpoint.name
    )

    def search(generator: nn.Module, rows: Tensor) -> tuple[Tensor, Tensor]:
        image = rows % len(targets)
        conditions = () if labels is None else (labels[image].to(device),)
        return descend(generator, targets[image].to(device), starts[rows].to(device), conditions)

    ends, squares = [], []
    for end, square in run_batches(search, sampler.generator, torch.split(torch.arange(len(starts)), batch)):
        ends.append(end)
        squares.append(square)
        progress("searches", min(batch * len(ends), len(starts)), len(starts))
    low, high = metadata.image_range
    errors = (torch.cat(squares).double().sqrt() / (high - low)).view(2, -1)
    best = errors.argmin(0)
    if not bool(errors.isfinite().all()):
        msg = f"The generator of '{checkpoint.name}' makes images that are not finite. Its weights may be damaged."
        raise AnalysisError(msg)
    each = torch.arange(len(targets))
    latents = torch.cat(ends).view(2, len(targets), -1)[best, each]
    return Inversion(latents, sampler(latents, labels), errors[best, each].numpy(), labels)


def _check_labels(architecture: Architecture, n: int, labels: Tensor | None) -> None:
    if not n:
        msg = "There is no image to invert."
        raise AnalysisError(msg)
    if labels is None:
        return
    if not architecture.classes:
        msg = f"Labels are for conditional generators; architecture '{architecture.name}' is not. Leave them out."
        raise AnalysisError(msg)
    if labels.shape != (n,):
        msg = f"Labels are one class number for each of {n} images, got {tuple(labels.shape)}."
        raise AnalysisError(msg)


def _nearest(drawn: Tensor, targets: Tensor, classes: Tensor | None, labels: Tensor | None) -> Tensor:
    """Return which of M samples is nearest to each image (N,), of its class where classes are given."""
    distances = torch.cdist(targets.flatten(1), drawn.flatten(1))
    if classes is not None and labels is not None:
        distances[labels[:, None] != classes] = torch.inf
        missing = distances.isinf().all(1)
        if bool(missing.any()):
            number = int(labels[missing][0])
            msg = f"There is no sample of class {number} among {len(drawn)} candidates. Give more of them."
            raise AnalysisError(msg)
    return distances.argmin(1)


def _encoded(z: Tensor, drawn: Tensor, targets: Tensor) -> Tensor:
    """Return the latent vectors (N, Z) that a ridge regression from M samples (M, C, H, W) to z (M, Z) gives images."""
    pixels, wanted = drawn.flatten(1), targets.flatten(1)
    mean = pixels.mean(0)
    gram = (pixels - mean) @ (pixels - mean).T
    ridge = (_RIDGE * gram.diagonal().mean()).clamp_min(torch.finfo(gram.dtype).tiny)
    weights = torch.linalg.solve(gram + ridge * torch.eye(len(gram)), z)
    encoded: Tensor = ((wanted - mean) @ (pixels - mean).T) @ weights
    return encoded


def _prior(checkpoint: Checkpoint) -> Callable[[Tensor], Tensor]:
    """Return what brings vectors (N, Z) back to where the checkpoint's prior has its mass."""
    if checkpoint.metadata.z_prior == "uniform":
        return lambda z: z.clamp(-1, 1)
    from scipy.stats import chi

    radius = float(chi.ppf(_BALL, checkpoint.architecture.z_size))
    return lambda z: z * (radius / z.norm(dim=1, keepdim=True).clamp_min(radius))


def _descend(
    generator: nn.Module,
    targets: Tensor,
    start: Tensor,
    labels: tuple[Tensor, ...],
    *,
    steps: int,
    rate: float,
    keep_within: Callable[[Tensor], Tensor],
    name: str,
) -> tuple[Tensor, Tensor]:
    """Return latent vectors (N, Z) and their mean squared errors (N,), on the CPU."""

    def errors(z: Tensor) -> Tensor:
        differences: Tensor = generator(z, *labels).float() - targets
        return differences.square().flatten(1).mean(1)

    z = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([z], lr=rate, betas=_BETAS)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    with torch.enable_grad():
        for _ in range(steps):
            loss = errors(z).sum()
            if not loss.requires_grad:
                msg = (
                    f"The generator of '{name}' gives no gradient with respect to z: it computes under "
                    "torch.no_grad(), or detaches. Images are inverted by gradients alone."
                )
                raise AnalysisError(msg)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                z.copy_(keep_within(z))
    with torch.no_grad():
        return z.detach().cpu(), errors(z).cpu()
