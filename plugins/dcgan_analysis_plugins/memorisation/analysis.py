"""memorisation: does the generator show training images again? (sections 4.1.1 and 6.1).

1. The nearest training images of each sample, exact, by L1 and L2 on pixels, by a judge's features, by VGG-19's where
   its weights lie in torch's hub cache (nothing is downloaded), and by semantic hashes (4.1.1).
2. Are samples nearer to training images than to as many held-out images? Without memorisation half are. All samples
   share the held-out images, so the test deals out anew which images are held out.
3. Is one training image much nearer than the next ten, more often than for real images? Nearness alone says nothing,
   for blurred images are near to everything. Real images are held-out ones, and, for pixels, training images looked up
   among the others: this test needs no held-out images.
4. Do hashes collide with those of training images more often than those of held-out images do?
5. A walk through latent space: the paper reads sharp transitions as memorisation (6.1); alone they decide nothing.
6. Power: a share of the samples is replaced by training images, slightly brightened and noisy, 0 to 10 % of them, 100
   times each: how often do the tests find it? Only where they do "no sign" is said; else that they cannot tell.

Consumes a checkpoint with a generator and the dataset it was trained on.
Produces one verdict with its evidence; ``prefers_training_*``, ``near_copies_*``, ``hash_collisions``,
``closer_than_real_*``, ``sharp_steps``, ``power``, ``least_found``, and distances.npz.

Reference: Radford, Metz, Chintala, ICLR 2016, arXiv 1511.06434, sections 4.1.1 and 6.1. Point 2 after the test for data
copying of Meehan, Chaudhuri, Dasgupta 2020, arXiv 2004.05675, without its cells; point 3 after Carlini et al. 2023,
arXiv 2301.13188, section 4.2.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from dcgan_analysis.api import Demo, Needs
from dcgan_analysis.latents import JudgeSettings, choose_judge
from dcgan_analysis_plugins.memorisation.nearest_images import (
    FEATURES,
    HASH,
    SAMPLES,
    View,
    hash_view,
    nearest_images,
    pixel_views,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from dcgan_analysis.api import Result, RunContext
    from dcgan_analysis.latents import PerceptualJudge
    from dcgan_analysis.neighbours import Nearest

VGG = "vgg19"
_GRID = 4
_POINTS, _STEPS, _PAIRS = 9, 16, 64


class MemorisationConfig(JudgeSettings):
    """Settings."""

    samples: int = Field(default=500, ge=10, description="samples that are looked up")
    copies: int = Field(default=200, ge=10, description="perturbed training images that are planted")
    bits: int = Field(default=8, ge=0, lt=128, description="hashes that differ in so many of 128 bits collide")
    hash_steps: PositiveInt = Field(default=600, description="minibatches that the semantic hash is learned from")
    vgg19: bool = Field(default=True, description="whether VGG-19's features are used where its weights are present")


def views(
    context: RunContext, config: MemorisationConfig, train: np.ndarray, embed: PerceptualJudge
) -> dict[str, View]:
    """Return all ways of seeing, by name; learns the semantic hash."""
    from dcgan_analysis.data.curation import learn_hash
    from dcgan_analysis.latents import vgg19_embedding, vgg19_path

    named = pixel_views(train.shape[1:]) | {FEATURES: View(embed, learned="discriminator" in embed.name)}
    if config.vgg19 and vgg19_path() is not None:
        vgg = vgg19_embedding(context.device, grid=_GRID)
        named[VGG] = View(lambda images, _: vgg(images))
    elif config.vgg19:
        context.note("VGG-19's weights are not in torch's hub cache; its features were left out.")
    seed = int(context.rng("hash").integers(2**31))
    hashed = learn_hash(train, seed=seed, steps=config.hash_steps, progress=context.progress)
    return named | {HASH: hash_view(hashed)}


class Memorisation:
    """Samples against the images the generator learned from."""

    name = "memorisation"
    summary = "Nearest training images, semantic-hash collisions, walk smoothness: one verdict (4.1.1, 6.1)"
    question = "Does the generator show training images again?"
    reference = "Radford, Metz, Chintala 2016, sections 4.1.1 and 6.1: https://arxiv.org/abs/1511.06434"
    config_type = MemorisationConfig
    needs = Needs(checkpoint="digits-dcgan32", dataset="digits", splits=("train",), generator=True, fit="exact")
    demo = Demo(settings={"samples": 200, "copies": 100, "hash_steps": 300})

    def requires(self, config: MemorisationConfig) -> Needs:
        """Return what it consumes with this judge."""
        return config.needs(self.needs)

    def checks(self, context: RunContext, config: MemorisationConfig) -> list[Callable[[], object]]:
        """Look at the training images' classes, for the judge, and at a few samples."""
        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary
        from dcgan_analysis_plugins.memorisation.queries import find_gallery

        return [
            lambda: find_gallery(context),
            partial(choose_judge, context, config, grid=_GRID),
            lambda: check_samples_vary(context, Sampler(context.checkpoint, context.device)),
        ]

    def run(self, context: RunContext, config: MemorisationConfig) -> Result:
        """Look up samples, real images and copies; compare; judge."""
        from dcgan_analysis_plugins.memorisation.copying import Evidence, depth
        from dcgan_analysis_plugins.memorisation.queries import find_gallery, gather
        from dcgan_analysis_plugins.memorisation.showing import save_distances, save_neighbours

        embed = choose_judge(context, config, grid=_GRID)
        with context.stage("images"):
            gallery = find_gallery(context)
            queries = gather(context, gallery, config.samples, config.copies)
        with context.stage("semantic hash and features"):
            view_of = views(context, config, gallery.seen.images, embed)
        neighbours: dict[str, dict[str, Nearest]] = {}
        for name, view in view_of.items():
            with context.stage(f"nearest by {name}"):
                what = f"nearest by {name} (images)"
                neighbours[name] = nearest_images(
                    view, queries, gallery.parts, k=depth(gallery), what=what, progress=context.progress
                )
        with context.stage("walk"):
            sharp = _walk(context, embed)
        with context.stage("tests and their power"):
            evidence = Evidence(
                view_of,
                neighbours,
                gallery,
                sharp,
                bits=config.bits,
                rng=context.rng("evidence"),
            )
        with context.stage("figures"):
            save_neighbours(context, gallery.seen.images, queries[SAMPLES].images, neighbours)
            save_distances(context, view_of, neighbours, gallery.n)
            tables = evidence.tables(context)
        return context.result(
            title=f"Memorisation in {context.checkpoint.name}: {evidence.verdict}",
            headline="near_copies_features",
            metrics=evidence.metrics,
            tables=tables,
        )


def _walk(context: RunContext, embed: PerceptualJudge) -> np.ndarray:
    """Return which steps of a linear walk are sharp transitions; a conditional generator walks within class 0."""
    import numpy as np

    from dcgan_analysis.checkpoints import Sampler
    from dcgan_analysis.latents import measure_walk, sharp_steps, unrelated_distances, walk

    sampler = Sampler(context.checkpoint, context.device, context.progress, label=0)
    drawn = context.checkpoint.latents(_POINTS + 2 * _PAIRS, context.seed)
    z = walk(drawn[:_POINTS], _STEPS)
    steps = measure_walk(sampler(z), embed, sampler.labels(range(len(z)))).perceptual
    return sharp_steps(steps, float(np.median(unrelated_distances(sampler, embed, drawn[_POINTS:]))))
