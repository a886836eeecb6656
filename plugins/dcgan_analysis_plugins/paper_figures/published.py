"""Figures 2 to 11 of arXiv 1511.06434, and what of this program shows the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class PublishedFigure:
    """A figure of the paper.

    Attributes:
        title: What it shows.
        own: What the shipped networks have for it, or what is needed in their place.
        checkpoint: Network that is shown where none is given; None: one must be given.
        analysis: Analysis whose runs hold the picture; None: samples are drawn.
        picture: Name of the figure of these runs.
        dataset: Dataset where none is given; None: none is used.
        settings: Settings of the run on that dataset; those that are not here have their defaults, the paper's.
    """

    title: str
    own: str
    checkpoint: str | None
    analysis: str | None = None
    picture: str = ""
    dataset: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


_TRAINING = (
    "the folder of a training with samples after that epoch (sample_every=1); of shipped networks the weights alone "
    "are there, and the preset lsun-bedrooms trains one"
)

FIGURES: Mapping[int, PublishedFigure] = {
    2: PublishedFigure("Bedrooms after one epoch", _TRAINING, None, "stability", "samples-1"),
    3: PublishedFigure("Bedrooms after five epochs", _TRAINING, None, "stability", "samples-5"),
    4: PublishedFigure(
        "A walk between nine random points",
        "bedrooms64, which saw 5,000 bedrooms of Places365, the paper's network 3 million of LSUN; half its width",
        "bedrooms64",
        "latent-walk",
        "linear",
    ),
    5: PublishedFigure(
        "What six features of the last layer respond to: random and trained",
        "bedrooms64, on the 5,000 bedrooms of Places365 that it was trained on; the paper's figure is on LSUN",
        "bedrooms64",
        "guided-backprop",
        "features",
        dataset="bedrooms64",
    ),
    6: PublishedFigure(
        "Bedrooms with and without the maps that draw windows",
        "bedrooms64 with 83 windows in boxes; where windows were, faint stripes are left",
        "bedrooms64",
        "filter-dropout",
        "new-samples",
    ),
    7: PublishedFigure(
        "Vector arithmetic on faces",
        "faces64, a smile moved; other expressions by exemplars of your own (docs/exemplars.md)",
        "faces64",
        "latent-arithmetic",
        "arithmetic",
        dataset="faces64",
        settings={"moved": "Smiling", "contrast": ["Male"]},
    ),
    8: PublishedFigure(
        "Faces turned from left to right",
        "faces64; the samples at either end are found by the predicted yaw, not by eye",
        "faces64",
        "turn-vector",
        "turn-vector",
        dataset="faces64",
        settings={"attribute": "yaw"},
    ),
    9: PublishedFigure(
        "Digits: of MNIST, of a fully connected GAN, of the DCGAN",
        "mnist-conditional-mlp and mnist-conditional, after 15 and 9 epochs",
        "mnist-conditional",
        dataset="mnist",
    ),
    10: PublishedFigure(
        "More faces",
        "faces64, which saw 17,511 faces of CelebA, the paper's network 350,000 of its own; half its width",
        "faces64",
    ),
    11: PublishedFigure(
        "Samples of a network trained on ImageNet-1k",
        "a network of yours that was trained on ImageNet-1k (the preset imagenet32); none is shipped",
        None,
    ),
}
BASELINE = "mnist-conditional-mlp"
"""The fully connected GAN of figure 9, trained on its dataset."""
