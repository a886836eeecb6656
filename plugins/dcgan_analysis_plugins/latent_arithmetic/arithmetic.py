"""Vector arithmetic on samples: a - b + c for many triples of exemplars, and its figure (section 6.3.2, Figure 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.sampling import Sampler
    from dcgan_analysis_plugins.latent_arithmetic.exemplars import Exemplars

__all__ = [
    "C_ALONE",
    "LATENT",
    "ONE_LATENT",
    "ONE_PIXELS",
    "ONE_RESCALED",
    "PIXELS",
    "compute_triples",
    "draw_triples",
    "save_arithmetic",
]

LATENT, ONE_LATENT, ONE_RESCALED = "latent", "latent, one exemplar", "latent, one exemplar, as long as a sample"
PIXELS, ONE_PIXELS = "pixels", "pixels, one exemplar"
C_ALONE = "c alone, averaged"
"""Ways of computing: on latent vectors, on pixels, and without the vector a - b."""

_SIDE = 3  # of the square of the result and its neighbours


def draw_triples(pools: Sequence[np.ndarray], averaged: int, triples: int, rng: np.random.Generator) -> list[Tensor]:
    """Draw exemplars of a, b and c for many triples.

    Args:
        pools: Positions of the samples that may be exemplars of each.
        averaged: How many exemplars E of each make a triple; they are different samples.
        triples: T.
        rng: The randomness.

    Returns:
        Three of (T, E).
    """
    import numpy as np
    import torch

    return [
        torch.from_numpy(np.stack([rng.choice(pool, averaged, replace=False) for _ in range(triples)]))
        for pool in pools
    ]


def compute_triples(sampler: Sampler, z: Tensor, triples: Sequence[Tensor]) -> dict[str, np.ndarray]:
    """Compute a - b + c for many triples, in every way.

    Args:
        sampler: Draws the images; of a conditional generator it is to draw one class.
        z: Latent vectors (N, Z).
        triples: Positions of the exemplars of a, b and c, (T, E) each.

    Returns:
        Way -> images, uint8 (T, C, H, W). The ways of one exemplar take the first of each. A sum of three single
        vectors is longer than any sample; ``ONE_RESCALED`` brings it back to the root mean square length of ``z``.
    """
    import numpy as np
    import torch

    from dcgan_analysis.latents.arithmetic import combine, combine_pixels

    many = [z[positions] for positions in triples]  # (T, E, Z) each
    single = combine(*(vectors[:, :1] for vectors in many))
    usual = z.square().sum(1).mean().sqrt()
    images = {
        LATENT: sampler(combine(*many)),
        ONE_LATENT: sampler(single),
        ONE_RESCALED: sampler(single * (usual / single.norm(dim=1, keepdim=True).clamp_min(1e-12))),
        C_ALONE: sampler(many[2].mean(1)),
    }
    drawn = np.unique(torch.cat(list(triples)).numpy())
    shown = sampler(z[torch.from_numpy(drawn)], what="exemplars")
    rows = list(zip(*(np.searchsorted(drawn, positions.numpy()) for positions in triples), strict=True))
    images[PIXELS] = np.stack([combine_pixels(*(shown[place] for place in row)) for row in rows])
    images[ONE_PIXELS] = np.stack([combine_pixels(*(shown[place[:1]] for place in row)) for row in rows])
    return images


def save_arithmetic(context: RunContext, sampler: Sampler, exemplars: Exemplars, noise: float) -> None:
    """Save the paper's figure of an expression: its exemplars, the result among neighbours, and the sum on pixels.

    Args:
        context: The run; gives the noise of the neighbours.
        sampler: Draws the images.
        exemplars: They hold an expression.
        noise: Of the neighbours, uniform, on either side.
    """
    from dcgan_analysis import figures
    from dcgan_analysis.figures import Tile
    from dcgan_analysis.latents.arithmetic import NEIGHBOURS, combine, combine_pixels, with_neighbours

    names: Sequence[str] = exemplars.expression or ()
    vectors = [exemplars.latents(name, context.checkpoint) for name in names]
    labels = [exemplars.labels(name, context.checkpoint) for name in names]
    images = [sampler(z, classes) for z, classes in zip(vectors, labels, strict=True)]
    height = max(_SIDE, *map(len, images))
    panels = {}
    for sign, name, z, classes, shown in zip(("", "- ", "+ "), names, vectors, labels, images, strict=True):
        (mean,) = sampler(z.mean(0, keepdim=True), None if classes is None else classes[:1])
        rows = [[Tile(image)] for image in shown]
        panels[sign + name] = [*rows, *[[]] * (height - len(rows)), [Tile(mean)]]
    z = with_neighbours(combine(*vectors), noise, context.rng("neighbours"))
    # The result is of the class of c.
    around = [Tile(image) for image in sampler(z, None if labels[2] is None else labels[2][:1].expand(len(z)))]
    centre = around[NEIGHBOURS // 2].image
    around[NEIGHBOURS // 2] = Tile(centre, box=(0, 0, *centre.shape[1:]))
    rows = [around[start : start + _SIDE] for start in range(0, len(around), _SIDE)]
    panels["= by latent vectors"] = [*rows, *[[]] * (height + 1 - len(rows))]
    panels["by pixels"] = [[Tile(combine_pixels(*images))], *[[]] * height]
    context.save_figure(
        figures.image_panels(panels, labels=["exemplars", "average z"], group=height),
        "arithmetic",
        f"{names[0]} - {names[1]} + {names[2]}",
        "Of each concept the samples whose latent vectors are averaged, and below what the generator makes of the "
        f"average. Framed: the image of a - b + c; around it uniform noise of +-{noise:g} was added to that vector. "
        "Last, the control: the same sum on the exemplars' pixels, cut to their range.",
    )
