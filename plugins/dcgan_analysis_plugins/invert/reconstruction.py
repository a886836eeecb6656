"""Images of each kind, and what the generator and its random twin make of their latent vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis import figures
from dcgan_analysis.checkpoints.inversion import invert
from dcgan_analysis.checkpoints.sampling import Sampler
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.latents.seen_images import Images, held_out_images, seen_images
from dcgan_analysis.latents.twins import sampling_twin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dcgan_analysis.api import RunContext
    from dcgan_analysis.checkpoints.inversion import Inversion
    from dcgan_analysis.latents import PerceptualJudge

TRAINING, HELD_OUT, OWN = "training images", "held-out images", "own samples"
TWIN_TRAINING, TWIN_HELD_OUT = "training images, twin", "held-out images, twin"
_LEAST = 10
_SHOWN = 10


@dataclass(frozen=True)
class Chosen:
    """N training images and M held-out ones."""

    training: Images
    held_out: Images


@dataclass(frozen=True)
class Reconstructed:
    """Images of one kind with their reconstructions.

    Attributes:
        images: uint8 (N, C, H, W).
        inversion: Their latent vectors, reconstructions, and errors of pixels.
        features: (N,) distances of images and reconstructions by the judge's features.
    """

    images: np.ndarray
    inversion: Inversion
    features: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        """Root mean square differences of pixels in [0, 1], (N,)."""
        return self.inversion.errors


def choose_images(context: RunContext, n: int) -> Chosen:
    """Draw n training and n held-out images, fewer where there are fewer.

    Raises:
        AnalysisError: If there are fewer than 10 held-out images, or images are of other classes than the checkpoint's.
    """
    training, held_out = seen_images(context), held_out_images(context)
    there = 0 if held_out is None else len(held_out.images)
    if held_out is None or there < _LEAST:
        msg = (
            f"Dataset '{context.dataset.name}' has {there} images that checkpoint '{context.checkpoint.name}' has not "
            f"seen, at least {_LEAST} are needed: give one with a split 'test' or 'validation', or train on a part of "
            "it (the setting images=N of a training)."
        )
        raise AnalysisError(msg)
    drawn = [
        images.take(np.sort(context.rng(name).permutation(len(images.images))[:n]))
        for name, images in ((TRAINING, training), (HELD_OUT, held_out))
    ]
    if there < n:
        context.note(f"There are {there} held-out images: this is what the power of the tests rests on.")
    return Chosen(*drawn)


def reconstruct(
    context: RunContext, chosen: Chosen, judge: PerceptualJudge, *, steps: int, candidates: int
) -> dict[str, Reconstructed]:
    """Invert images of each kind; own samples are half as many as training images."""
    checkpoint = context.checkpoint
    sampler = Sampler(checkpoint, context.device, context.progress)
    n = max(_LEAST, len(chosen.training.images) // 2)
    labels = sampler.labels(range(n))
    own = Images(sampler(checkpoint.latents(n, context.seed), labels), labels)
    twin = sampling_twin(context)
    measured = {}
    for name, network, targets in (
        (TRAINING, checkpoint, chosen.training),
        (HELD_OUT, checkpoint, chosen.held_out),
        (OWN, checkpoint, own),
        (TWIN_TRAINING, twin, chosen.training),
        (TWIN_HELD_OUT, twin, chosen.held_out),
    ):
        with context.stage(name):
            inversion = invert(
                network,
                targets.images,
                labels=targets.labels,
                seed=context.seed,
                steps=steps,
                candidates=candidates,
                device=context.device,
                progress=context.progress,
            )
            moved = judge(targets.images, targets.labels) - judge(inversion.images, targets.labels)
        measured[name] = Reconstructed(targets.images, inversion, moved.norm(dim=1).numpy())
    return measured


def save_images(context: RunContext, measured: Mapping[str, Reconstructed]) -> None:
    """Show images over their reconstructions, of every kind those with the least errors and some in the middle."""
    for rank, title in (("best", "with the least error"), ("typical", "with errors in the middle")):
        rows, titles = [], []
        for name, short, twin in (
            (TRAINING, "training", TWIN_TRAINING),
            (HELD_OUT, "held out", TWIN_HELD_OUT),
            (OWN, "own", None),
        ):
            reconstructed = measured[name]
            order = reconstructed.errors.argsort()
            start = 0 if rank == "best" else max(0, len(order) // 2 - _SHOWN // 2)
            chosen = order[start : start + _SHOWN]
            strips = {short: reconstructed.images, "found": reconstructed.inversion.images}
            if twin is not None:
                strips["twin"] = measured[twin].inversion.images
            for label, images in strips.items():
                rows.append(images[chosen])
                titles += [label, *[""] * (len(chosen) - 1)]
        context.save_figure(
            figures.image_grid(np.concatenate(rows), _SHOWN, titles=titles),
            f"reconstructions-{rank}",
            f"Images and their reconstructions: {title}",
            "Training images, held-out images and own samples, each above what the generator makes of the latent "
            "vector found, and above what the random twin makes of the one found for it.",
        )


def save_errors(context: RunContext, measured: Mapping[str, Reconstructed]) -> None:
    """Draw the distributions of errors."""
    figure = figures.cumulative(
        {name: measured[name].errors for name in (TRAINING, HELD_OUT, OWN)},
        x_label="reconstruction error (root mean square, pixels in [0, 1])",
    )
    context.save_figure(
        figure,
        "errors",
        "Reconstruction errors",
        "Without memorisation the first two lines differ by chance alone; own samples show what the search can reach.",
    )


def save_arrays(context: RunContext, measured: Mapping[str, Reconstructed]) -> None:
    """Save latent vectors and errors of every kind as inversion.npz."""
    arrays: dict[str, np.ndarray] = {}
    for name, of in measured.items():
        key = name.replace(", ", "_").replace(" ", "_").replace("-", "_")
        arrays |= {f"{key}_latents": of.inversion.latents.numpy(), f"{key}_errors": of.errors}
        arrays[f"{key}_feature_distances"] = of.features
    context.save_arrays("inversion", **arrays)
