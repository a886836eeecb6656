"""memorisation: does the generator show training images again? (sections 4.1.1 and 6.1).

1. The nearest training image of each sample, exact, by L1 and L2 on pixels, by the discriminator's features, and by
   VGG-19's where its weights lie in torch's hub cache (nothing is downloaded).
2. The same for real images that were held out: the test split, or, without one, training images against all others.
   Are samples nearer to training images than held-out images are? Blurred images are nearer to everything, so:
3. Are samples nearer to training images than to as many held-out ones? Without memorisation half are; two random
   halves of the training images say what chance does.
4. Semantic hashes (4.1.1): how many samples collide with a training image, against held-out images.
5. A walk through latent space: the paper reads sharp transitions as memorisation (6.1).
6. Positive control: training images, slightly brightened and noisy, in place of samples. What does not find these
   finds nothing.

Consumes a checkpoint with generator and discriminator and the dataset it was trained on.
Produces one verdict with its evidence; ``closer_than_real_*``, ``prefers_training_*``, ``hash_collisions``,
``near_copies``, ``sharp_steps``, their references, and distances.npz.

Reference: Radford, Metz, Chintala, ICLR 2016, arXiv 1511.06434, sections 4.1.1 and 6.1. Point 3 after the test for data
copying of Meehan, Chaudhuri, Dasgupta 2020, arXiv 2004.05675, without its cells.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from dcgan_analysis.api import Demo, Needs
from dcgan_analysis.latents import JudgeSettings, choose_judge
from dcgan_analysis_plugins.memorisation.copying import (
    COPIES,
    FEATURES,
    HASH,
    REAL,
    SAMPLES,
    Evidence,
    perturbed_copies,
)
from dcgan_analysis_plugins.memorisation.nearest_images import (
    Images,
    View,
    disjoint_subsets,
    hash_view,
    held_out_images,
    nearest_images,
    pixel_views,
    seen_images,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from torch import Tensor

    from dcgan_analysis.api import Result, RunContext
    from dcgan_analysis.latents import PerceptualJudge
    from dcgan_analysis.neighbours import Nearest

VGG = "vgg19"
_GRID = 4
_HALVES = 5
_POINTS, _STEPS, _PAIRS = 9, 16, 64
_SHOWN = 8


class MemorisationConfig(JudgeSettings):
    """Settings."""

    samples: int = Field(default=500, ge=10, description="samples that are looked up")
    copies: int = Field(default=200, ge=10, description="perturbed training images of the positive control")
    bits: int = Field(default=8, ge=0, lt=128, description="hashes that differ in so many of 128 bits collide")
    hash_steps: PositiveInt = Field(default=600, description="minibatches that the semantic hash is learned from")
    vgg19: bool = Field(default=True, description="whether VGG-19's features are used where its weights are present")


def views(
    context: RunContext, config: MemorisationConfig, train: np.ndarray, embed: PerceptualJudge
) -> dict[str, View]:
    """Return all ways of seeing, by name; learns the semantic hash."""
    from dcgan_analysis.data.curation import learn_hash
    from dcgan_analysis.latents import vgg19_embedding, vgg19_path

    named = pixel_views(train.shape[1:]) | {FEATURES: View(embed)}
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

        return [
            lambda: seen_images(context),
            partial(choose_judge, context, config, grid=_GRID),
            lambda: check_samples_vary(context, Sampler(context.checkpoint, context.device)),
        ]

    def run(self, context: RunContext, config: MemorisationConfig) -> Result:
        """Look up samples, held-out images and copies; compare; judge."""
        gallery = seen_images(context)
        checkpoint = context.checkpoint
        embed = choose_judge(context, config, grid=_GRID)
        with context.stage("images"):
            queries = {
                SAMPLES: _samples(context, config, gallery),
                REAL: _real(context, config, gallery),
                COPIES: _copies(context, config, gallery),
            }
            subsets, held_out = _subsets(context, gallery)
        with context.stage("semantic hash and features"):
            view_of = views(context, config, gallery.images, embed)
        neighbours: dict[str, dict[str, Nearest]] = {}
        kept: dict[str, dict[str, np.ndarray]] = {}
        for name, view in view_of.items():
            with context.stage(f"nearest by {name}"):
                look_up = partial(nearest_images, view, what=f"nearest by {name} (images)", progress=context.progress)
                halves = None if name == HASH else subsets
                neighbours[name] = {source: look_up(some, gallery, halves) for source, some in queries.items()}
                if held_out is not None and name != HASH:
                    kept[name] = {
                        source: look_up(queries[source], held_out).distances.numpy() for source in (SAMPLES, COPIES)
                    }
        with context.stage("walk"):
            sharp = _walk(context, embed)
        evidence = Evidence(neighbours, kept, sharp, bits=config.bits)
        with context.stage("figures"):
            _save_neighbours(context, gallery.images, queries[SAMPLES].images, neighbours)
            _save_distances(context, view_of, neighbours)
        return context.result(
            title=f"Memorisation in {checkpoint.name}: {evidence.verdict}",
            headline="closer_than_real_features",
            metrics=evidence.metrics,
            tables=[evidence.table()],
        )


def _samples(context: RunContext, config: MemorisationConfig, train: Images) -> Images:
    from dcgan_analysis.checkpoints import Sampler
    from dcgan_analysis.latents import check_samples_vary

    sampler = Sampler(context.checkpoint, context.device, context.progress)
    check_samples_vary(context, sampler, train.images)
    labels = sampler.labels(range(config.samples))
    return Images(sampler(context.checkpoint.latents(config.samples, context.seed), labels), labels)


def _real(context: RunContext, config: MemorisationConfig, train: Images) -> Images:
    """Return held-out images, or without such training images that do not count as their own neighbours."""
    import torch

    source = held_out_images(context)
    if source is None:
        context.note(
            "The dataset has no held-out split: real images are training images, each compared with all others, as an "
            "unseen image would be. Features may treat seen images differently, pixels and hashes cannot."
        )
        source = Images(train.images, train.labels, own=torch.arange(len(train.images)))
    return source.take(context.rng("real").permutation(len(source.images))[: config.samples])


def _copies(context: RunContext, config: MemorisationConfig, train: Images) -> Images:
    rng = context.rng("copies")
    copied = train.take(rng.permutation(len(train.images))[: config.copies])
    return Images(perturbed_copies(copied.images, rng), copied.labels)


def _subsets(context: RunContext, train: Images) -> tuple[Tensor | None, Images | None]:
    """Return masks of pairs of disjoint training subsets, and as many held-out images; None twice without a split."""
    held_out, n = held_out_images(context), len(train.images)
    if held_out is None:
        return None, None
    # All held-out images, not only those looked up: the larger the subsets, the more of what is copied is in them.
    size = min(len(held_out.images), n // 2)
    masks = disjoint_subsets(n, size, [context.rng("halves", str(pair)) for pair in range(_HALVES)])
    return masks, held_out.take(context.rng("held out").permutation(len(held_out.images))[:size])


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


def _save_neighbours(
    context: RunContext, train: np.ndarray, samples: np.ndarray, neighbours: dict[str, dict[str, Nearest]]
) -> None:
    import numpy as np

    from dcgan_analysis import figures

    order = neighbours[FEATURES][SAMPLES].distances.argsort().numpy()
    names = [name for name in neighbours if name != HASH]
    for rank, chosen in (("nearest", order[:_SHOWN]), ("typical", order[len(order) // 2 :][:_SHOWN])):
        rows = [samples[chosen], *(train[neighbours[name][SAMPLES].positions.numpy()[chosen]] for name in names)]
        titles = [title if not at else "" for title in ("sample", *names) for at in range(len(chosen))]
        context.save_figure(
            figures.image_grid(np.concatenate(rows), len(chosen), titles=titles),
            f"neighbours-{rank}",
            f"Samples and their nearest training images: the {rank}",
            "First row: samples. Below: nearest training image by L1, L2, and features, each column one sample.",
        )


def _save_distances(context: RunContext, view_of: dict[str, View], neighbours: dict[str, dict[str, Nearest]]) -> None:
    from dcgan_analysis import figures

    arrays: dict[str, np.ndarray] = {}
    for name, nearest in neighbours.items():
        scaled = {source: nearest[source].distances.numpy() * view_of[name].scale for source in (SAMPLES, REAL, COPIES)}
        arrays |= {f"{name}_{source.split()[0]}": values for source, values in scaled.items()}
        unit = "bits that differ" if name == HASH else "distance"
        figure = figures.cumulative(scaled, x_label=f"{unit} to the nearest training image")
        context.save_figure(figure, f"distances-{name}", f"Distance to the nearest training image, {name}")
    context.save_arrays("distances", **arrays)
