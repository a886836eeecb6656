"""Samples over their nearest training images, and how far these are from images of each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis import figures
from dcgan_analysis.report.format import words
from dcgan_analysis_plugins.memorisation.nearest_images import (
    COPIES,
    FEATURES,
    HASH,
    HELD_OUT,
    SAMPLES,
    SEEN,
    nearest_training,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dcgan_analysis.api import RunContext
    from dcgan_analysis.neighbours import Nearest
    from dcgan_analysis_plugins.memorisation.nearest_images import View

_SHOWN = 8


def save_neighbours(
    context: RunContext, train: np.ndarray, samples: np.ndarray, neighbours: Mapping[str, Mapping[str, Nearest]]
) -> None:
    """Show the samples that are nearest to training images, and some in the middle, over these images by each view."""
    nearest = {
        words(name): nearest_training(by_source[SAMPLES], len(train))
        for name, by_source in neighbours.items()
        if name != HASH
    }
    order = nearest[FEATURES][0].argsort()
    for rank, which, chosen in (
        ("nearest", "those that lie nearest", order[:_SHOWN]),
        ("typical", "typical ones", order[len(order) // 2 :][:_SHOWN]),
    ):
        rows = [samples[chosen], *(train[positions[chosen]] for _, positions in nearest.values())]
        titles = [title if not at else "" for title in ("sample", *nearest) for at in range(len(chosen))]
        context.save_figure(
            figures.image_grid(np.concatenate(rows), len(chosen), titles=titles),
            f"neighbours-{rank}",
            f"Samples and their nearest training images: {which}",
            f"First row: samples. Below each: the nearest training image by {', '.join(nearest)}.",
        )


def save_distances(
    context: RunContext, view_of: Mapping[str, View], neighbours: Mapping[str, Mapping[str, Nearest]], n: int
) -> None:
    """Draw how far images of each kind are from the nearest of n training images, and save it as distances.npz."""
    arrays: dict[str, np.ndarray] = {}
    for name, nearest in neighbours.items():
        view = view_of[name]
        scaled = {
            source: nearest_training(nearest[source], n)[0] * view.scale
            for source in (SAMPLES, HELD_OUT, SEEN, COPIES)
            if source in nearest
        }
        arrays |= {f"{name}_{source.split()[0]}": values for source, values in scaled.items()}
        figure = figures.cumulative(scaled, x_label=f"to the nearest training image: {view.unit}")
        context.save_figure(figure, f"distances-{name}", f"Distance to the nearest training image by {words(name)}")
    context.save_arrays("distances", **arrays)
