"""What is looked up among real images: samples, held-out images, training images themselves, and planted copies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis.checkpoints.sampling import Sampler
from dcgan_analysis.latents.seen_images import Images, held_out_images, seen_images
from dcgan_analysis.latents.variation import check_samples_vary
from dcgan_analysis_plugins.memorisation.nearest_images import COPIES, HELD_OUT, SAMPLES, SEEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dcgan_analysis.api import RunContext
    from dcgan_analysis_plugins.memorisation.nearest_images import View


@dataclass(frozen=True)
class Gallery:
    """The images that are looked up in.

    Attributes:
        seen: n training images; they come first.
        held_out: m others, at most n, or None.
    """

    seen: Images
    held_out: Images | None = None

    @property
    def n(self) -> int:
        """How many training images."""
        return len(self.seen.images)

    @property
    def m(self) -> int:
        """How many held-out ones."""
        return 0 if self.held_out is None else len(self.held_out.images)

    @property
    def parts(self) -> list[Images]:
        """Both, in order."""
        return [self.seen] if self.held_out is None else [self.seen, self.held_out]


def find_gallery(context: RunContext) -> Gallery:
    """Return the images that the generator learned from, and as many held-out ones at most.

    Raises:
        AnalysisError: If they are of other classes than the checkpoint's.
    """
    seen, held_out = seen_images(context), held_out_images(context)
    if held_out is None:
        context.note(
            "There are no held-out images: samples are compared with training images, each looked up among all others, "
            "as an unseen image would be."
        )
        return Gallery(seen)
    # No more than training images: whichever kind is nearer is then a matter of chance without memorisation.
    kept = context.rng("held out").permutation(len(held_out.images))[: len(seen.images)]
    return Gallery(seen, held_out.take(kept))


def gather(context: RunContext, gallery: Gallery, samples: int, copies: int) -> dict[str, Images]:
    """Return images by source: up to ``samples`` of each kind, and ``copies``; real ones do not find themselves."""
    n, sampler = gallery.n, Sampler(context.checkpoint, context.device, context.progress)
    check_samples_vary(context, sampler, gallery.seen.images)
    labels = sampler.labels(range(samples))
    queries = {SAMPLES: Images(sampler(context.checkpoint.latents(samples, context.seed), labels), labels)}
    if gallery.held_out is not None:
        first = np.arange(min(samples, gallery.m))
        queries[HELD_OUT] = replace(gallery.held_out.take(first), own=torch.from_numpy(n + first))
    drawn = context.rng("real").permutation(n)[:samples]
    queries[SEEN] = replace(gallery.seen.take(drawn), own=torch.from_numpy(drawn))
    rng = context.rng("copies")
    copied = gallery.seen.take(rng.permutation(n)[:copies])
    return queries | {COPIES: replace(copied, images=perturbed_copies(copied.images, rng))}


def perturbed_copies(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return images, uint8 (N, C, H, W), brightened by 3 %, with noise of 2 shades: what such tests must find."""
    noisy = 1.03 * images.astype(np.float32) + rng.normal(0, 2, images.shape)
    return np.rint(noisy).clip(0, 255).astype(np.uint8)


def reference(view: View, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the values of real images that those of samples are compared with, in a view.

    Training images looked up among the others are like unseen ones to pixels and hashes, but not to a network that has
    learned from them.
    """
    if view.learned and HELD_OUT in values:
        return values[HELD_OUT]
    return np.concatenate([values[source] for source in (HELD_OUT, SEEN) if source in values])
