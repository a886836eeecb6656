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

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from dcgan_analysis import hookimpl
from dcgan_analysis.api import AnalysisConfig, Demo, Needs
from dcgan_analysis.api.copying import COPIES, FEATURES, HASH, REAL, SAMPLES, Evidence
from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from torch import Tensor

    from dcgan_analysis.api import Analysis, Result, RunContext
    from dcgan_analysis.api.sampling import Sampler
    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis.extraction.perceptual import PerceptualEmbedding
    from dcgan_analysis.neighbours import Nearest

__all__ = ["Memorisation", "MemorisationConfig", "perturbed_copies"]

VGG = "vgg19"
_BLOCK = 512
_GRID = 4
_HALVES = 5
_POINTS, _STEPS, _PAIRS = 9, 16, 64
_SHOWN = 8


class MemorisationConfig(AnalysisConfig):
    """Settings."""

    samples: int = Field(default=500, ge=10, description="samples that are looked up")
    copies: int = Field(default=200, ge=10, description="perturbed training images of the positive control")
    bits: int = Field(default=8, ge=0, lt=128, description="hashes that differ in so many of 128 bits collide")
    hash_steps: PositiveInt = Field(default=600, description="minibatches that the semantic hash is learned from")
    vgg19: bool = Field(default=True, description="whether VGG-19's features are used where its weights are present")


@dataclass(frozen=True)
class Images:
    """A set of images that is looked up.

    Attributes:
        images: uint8 (N, C, H, W).
        labels: (N,) for a conditional discriminator, or None.
        own: (N,) positions among the training images, which do not count as neighbours, or None.
    """

    images: np.ndarray
    labels: Tensor | None
    own: Tensor | None = None


@dataclass(frozen=True)
class View:
    """One way of seeing images: rows and a norm; ``scale`` turns distances into readable units."""

    rows: Callable[[np.ndarray, Tensor | None], Tensor]
    norm: int
    scale: float


def perturbed_copies(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return images, uint8 (N, C, H, W), brightened by 3 %, with noise of 2 shades."""
    import numpy as np

    noisy = 1.03 * images.astype(np.float32) + rng.normal(0, 2, images.shape)
    return np.rint(noisy).clip(0, 255).astype(np.uint8)


def views(
    context: RunContext, config: MemorisationConfig, train: DatasetSplit, embed: PerceptualEmbedding
) -> dict[str, View]:
    """Return all ways of seeing, by name; learns the semantic hash."""
    import numpy as np
    import torch

    from dcgan_analysis.data.near_duplicates import learn_hash
    from dcgan_analysis.extraction.perceptual import vgg19_embedding, vgg19_path

    def pixels(images: np.ndarray, _: Tensor | None) -> Tensor:
        return torch.from_numpy(images).flatten(1).float() / 255

    size = int(np.prod(train.image_shape))
    found = {"l1": View(pixels, 1, 1 / size), "l2": View(pixels, 2, size**-0.5), FEATURES: View(embed, 2, 1.0)}
    if config.vgg19 and vgg19_path() is not None:
        vgg = vgg19_embedding(context.device, grid=_GRID)
        found[VGG] = View(lambda images, _: vgg(images), 2, 1.0)
    elif config.vgg19:
        context.note("VGG-19's weights are not in torch's hub cache; its features were left out.")
    seed = int(context.rng("hash").integers(2**31))
    hashed = learn_hash(train.images, seed=seed, steps=config.hash_steps, progress=context.progress)

    def bits(images: np.ndarray, _: Tensor | None) -> Tensor:
        return torch.from_numpy(np.unpackbits(hashed(images), axis=1).astype(np.float32))

    # The sum of absolute differences of bits is the number of bits that differ.
    return found | {HASH: View(bits, 1, 1.0)}


def look_up(
    context: RunContext, view: View, name: str, wanted: Images, gallery: Images, subsets: Tensor | None
) -> Nearest:
    """Find the nearest image of a gallery to each image, block by block."""
    from dcgan_analysis.neighbours import nearest_rows

    def blocks() -> Iterator[Tensor]:
        total = len(gallery.images)
        for start in range(0, total, _BLOCK):
            chosen = slice(start, start + _BLOCK)
            yield view.rows(gallery.images[chosen], None if gallery.labels is None else gallery.labels[chosen])
            context.progress(f"nearest by {name} (images)", min(start + _BLOCK, total), total)

    rows = view.rows(wanted.images, wanted.labels)
    return nearest_rows(rows, blocks(), norm=1 if view.norm == 1 else 2, exclude=wanted.own, subsets=subsets)


class Memorisation:
    """Samples against the images the generator learned from."""

    name = "memorisation"
    summary = "Nearest training images, semantic-hash collisions, walk smoothness: one verdict (4.1.1, 6.1)"
    question = "Does the generator show training images again?"
    reference = "Radford, Metz, Chintala 2016, sections 4.1.1 and 6.1: https://arxiv.org/abs/1511.06434"
    config_type = MemorisationConfig
    needs = Needs(checkpoint="digits-dcgan32", dataset="digits", splits=("train",), generator=True, discriminator=True)
    demo = Demo(settings={"samples": 200, "copies": 100, "hash_steps": 300})

    def run(self, context: RunContext, config: MemorisationConfig) -> Result:
        """Look up samples, held-out images and copies; compare; judge."""
        from dcgan_analysis.api.sampling import Sampler
        from dcgan_analysis.extraction.perceptual import discriminator_embedding

        train = context.split("train")
        _check(context, train)
        checkpoint = context.checkpoint
        sampler = Sampler(checkpoint, context.device, context.progress)
        network = checkpoint.discriminator()
        embed = discriminator_embedding(network, checkpoint.architecture, context.device, grid=_GRID)
        with context.stage("images"):
            gallery = Images(train.images, _labels(context, train))
            asked = _asked(context, config, sampler, train)
        with context.stage("semantic hash and features"):
            ways = views(context, config, train, embed)
        found: dict[str, dict[str, Nearest]] = {}
        subsets, held_out = _subsets(context, train, asked)
        kept: dict[str, dict[str, np.ndarray]] = {}
        for name, view in ways.items():
            with context.stage(f"nearest by {name}"):
                halves = None if name == HASH else subsets
                found[name] = {who: look_up(context, view, name, some, gallery, halves) for who, some in asked.items()}
                if held_out is not None and name != HASH:
                    kept[name] = {
                        who: look_up(context, view, name, asked[who], held_out, None).distances.numpy()
                        for who in (SAMPLES, COPIES)
                    }
        with context.stage("walk"):
            sharp = _walk(context, sampler, embed)
        evidence = Evidence(found, kept, sharp, bits=config.bits)
        with context.stage("figures"):
            _save_neighbours(context, train, asked[SAMPLES].images, found)
            _save_distances(context, ways, found)
        return context.result(
            self,
            config,
            title=f"Memorisation in {checkpoint.name}: {evidence.verdict}",
            headline="closer_than_real_features",
            metrics=evidence.metrics,
            tables=[evidence.table()],
        )


def _check(context: RunContext, train: DatasetSplit) -> None:
    shape = context.checkpoint.architecture.image_shape
    if train.image_shape != shape:
        msg = (
            f"Dataset '{context.dataset.name}' has images of {train.image_shape}, checkpoint "
            f"'{context.checkpoint.name}' makes {shape}. Give the dataset it was trained on (--dataset)."
        )
        raise AnalysisError(msg)
    known = context.checkpoint.metadata.data.get("sha256")
    if known != train.sha256:
        context.note("The checkpoint does not name these very images as those it was trained on.")


def _labels(context: RunContext, split: DatasetSplit) -> Tensor | None:
    import torch

    classes = context.checkpoint.architecture.classes
    if not classes:
        return None
    if split.labels is None or len(split.classes) != classes:
        msg = (
            f"Checkpoint '{context.checkpoint.name}' is conditioned on {classes} classes; dataset "
            f"'{context.dataset.name}' has {len(split.classes)}. Give the dataset it was trained on (--dataset)."
        )
        raise AnalysisError(msg)
    return torch.from_numpy(split.labels)


def _held_out_name(context: RunContext) -> str | None:
    return next((split for split in ("test", "validation") if split in context.dataset.split_names), None)


def _asked(context: RunContext, config: MemorisationConfig, sampler: Sampler, train: DatasetSplit) -> dict[str, Images]:
    """Return samples, held-out real images, and perturbed copies of training images."""
    import torch

    from dcgan_analysis.api.sampling import class_labels

    n = config.samples
    labels = class_labels(context.checkpoint, n)
    samples = Images(sampler(context.checkpoint.latents(n, context.seed), labels), labels)
    name = _held_out_name(context)
    source = train if name is None else context.split(name)
    chosen = torch.from_numpy(context.rng("real").permutation(len(source))[:n])
    of_source = _labels(context, source)
    real = Images(
        source.images[chosen.numpy()],
        None if of_source is None else of_source[chosen],
        chosen if name is None else None,
    )
    if name is None:
        context.note(
            "The dataset has no held-out split: real images are training images, each compared with all others, as an "
            "unseen image would be. Features may treat seen images differently, pixels and hashes cannot."
        )
    rng = context.rng("copies")
    copied = rng.permutation(len(train))[: config.copies]
    of_train = _labels(context, train)
    copies = Images(perturbed_copies(train.images[copied], rng), None if of_train is None else of_train[copied])
    return {SAMPLES: samples, REAL: real, COPIES: copies}


def _subsets(context: RunContext, train: DatasetSplit, asked: dict[str, Images]) -> tuple[Tensor | None, Images | None]:
    """Return masks of pairs of disjoint training subsets, and as many held-out images; None twice without a split."""
    import torch

    if asked[REAL].own is not None:
        return None, None
    # All held-out images, not only those looked up: the larger the subsets, the more of what is copied is in them.
    held_out = context.split(_held_out_name(context) or "test")
    size = min(len(held_out), len(train) // 2)
    masks = torch.zeros(2 * _HALVES, len(train), dtype=torch.bool)
    for pair in range(_HALVES):
        order = torch.from_numpy(context.rng("halves", str(pair)).permutation(len(train)))
        masks[2 * pair, order[:size]] = True
        masks[2 * pair + 1, order[size : 2 * size]] = True
    labels = _labels(context, held_out)
    chosen = context.rng("held out").permutation(len(held_out))[:size]
    return masks, Images(held_out.images[chosen], None if labels is None else labels[torch.from_numpy(chosen)])


def _walk(context: RunContext, sampler: Sampler, embed: PerceptualEmbedding) -> np.ndarray:
    """Return which steps of a linear walk are sharp transitions."""
    from dcgan_analysis.api.sampling import class_labels
    from dcgan_analysis.api.walking import SHARP, measure_walk, unrelated_distance
    from dcgan_analysis.models.interpolation import walk

    label = 0 if context.checkpoint.architecture.classes else None
    drawn = context.checkpoint.latents(_POINTS + 2 * _PAIRS, context.seed)
    z = walk(drawn[:_POINTS], _STEPS)
    labels = class_labels(context.checkpoint, len(z), label)
    steps = measure_walk(sampler(z, labels), embed, labels).perceptual
    sharp: np.ndarray = steps > SHARP * unrelated_distance(sampler, embed, drawn[_POINTS:], label)
    return sharp


def _save_neighbours(
    context: RunContext, train: DatasetSplit, samples: np.ndarray, found: dict[str, dict[str, Nearest]]
) -> None:
    import numpy as np

    from dcgan_analysis import figures

    order = found[FEATURES][SAMPLES].distances.argsort().numpy()
    names = [name for name in found if name != HASH]
    for who, chosen in (("nearest", order[:_SHOWN]), ("typical", order[len(order) // 2 :][:_SHOWN])):
        rows = [samples[chosen], *(train.images[found[name][SAMPLES].positions.numpy()[chosen]] for name in names)]
        titles = [title if not at else "" for title in ("sample", *names) for at in range(len(chosen))]
        context.save_figure(
            figures.image_grid(np.concatenate(rows), len(chosen), titles=titles),
            f"neighbours-{who}",
            f"Samples and their nearest training images: the {who}",
            "First row: samples. Below: nearest training image by L1, L2, and features, each column one sample.",
        )


def _save_distances(context: RunContext, ways: dict[str, View], found: dict[str, dict[str, Nearest]]) -> None:
    import numpy as np

    from dcgan_analysis import figures

    arrays: dict[str, np.ndarray] = {}
    for name, nearest in found.items():
        scaled = {who: nearest[who].distances.numpy() * ways[name].scale for who in (SAMPLES, REAL, COPIES)}
        arrays |= {f"{name}_{who.split()[0]}": values for who, values in scaled.items()}
        shares = np.linspace(0, 1, 51)
        series = {
            who: figures.Series(np.quantile(values, shares).tolist(), shares.tolist()) for who, values in scaled.items()
        }
        unit = "bits that differ" if name == HASH else "distance"
        figure = figures.curve(
            series, x_label=f"{unit} to the nearest training image", y_label="share of images", log_x=False
        )
        context.save_figure(figure, f"distances-{name}", f"Distance to the nearest training image, {name}")
    context.save_arrays("distances", **arrays)


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Register the analysis."""
    register(Memorisation())
