"""Which real images a generator has learned from, and which were held out: what tests of memorisation compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.data.dataset import DatasetSplit


@dataclass(frozen=True)
class Images:
    """A set of images, with what a conditional network needs to know of them.

    Attributes:
        images: uint8 (N, C, H, W).
        labels: (N,) for a conditional network, or None.
        own: (N,) where the images themselves stand in what they are looked up in, which is not counted; or None.
    """

    images: np.ndarray
    labels: Tensor | None = None
    own: Tensor | None = None

    def take(self, positions: np.ndarray) -> Images:
        """Return some of them."""
        import torch

        chosen = torch.from_numpy(positions)
        return Images(
            self.images[positions],
            None if self.labels is None else self.labels[chosen],
            None if self.own is None else self.own[chosen],
        )


def conditioning_labels(context: RunContext, split: DatasetSplit) -> Tensor | None:
    """Return the labels (N,) of real images for the run's networks; None where these are not conditional.

    Raises:
        AnalysisError: If the networks are conditioned on other classes than the images have.
    """
    import torch

    classes = context.checkpoint.architecture.classes
    if not classes:
        return None
    if split.labels is None or len(split.classes) != classes:
        msg = (
            f"Checkpoint '{context.checkpoint.name}' is conditioned on {classes} classes; dataset "
            f"'{context.dataset.name}' has {len(split.classes)}. Give the dataset it was trained on."
        )
        raise AnalysisError(msg)
    return torch.from_numpy(split.labels)


def seen_images(context: RunContext) -> Images:
    """Return the images that the run's checkpoint learned from: the split that it names, or the first of it.

    A note says so where the checkpoint does not name these very images.

    Raises:
        AnalysisError: If they are of other classes than the checkpoint's.
    """
    split = trained_split(context)
    seen = split.take(range(_seen_count(context, split)))
    data = context.checkpoint.metadata.data
    if data.get("sha256") != seen.sha256:
        others = f", but {data['n']:,} of '{data['name']}'" if isinstance(data.get("n"), int) and "name" in data else ""
        context.note(
            f"The checkpoint does not name these {len(seen):,} images of '{context.dataset.name}' as those it was "
            f"trained on{others}."
        )
    return Images(seen.images, conditioning_labels(context, seen))


def held_out_images(context: RunContext) -> Images | None:
    """Return images that it has not seen: the split 'test', or 'validation', or what training kept back of its own.

    The end of a split that is in the order of its classes holds other classes than its beginning: whole splits of their
    own come first.

    Returns:
        None where there are none.

    Raises:
        AnalysisError: If they are of other classes than the checkpoint's.
    """
    trained, names = _trained_name(context), context.dataset.split_names
    name = next((split for split in ("test", "validation") if split in names and split != trained), None)
    if name is not None:
        split = context.split(name)
    else:
        whole = trained_split(context)
        split = whole.take(range(_seen_count(context, whole), len(whole)))
    return Images(split.images, conditioning_labels(context, split)) if len(split) else None


def _trained_name(context: RunContext) -> str:
    """Return the split that the checkpoint says it was trained on; 'train' where there is no such split."""
    name, names = context.checkpoint.metadata.data.get("split", "train"), context.dataset.split_names
    return name if name in names else "train" if "train" in names else names[0]


def trained_split(context: RunContext) -> DatasetSplit:
    """Return the split of which the run's checkpoint saw all images, or the first."""
    return context.split(_trained_name(context))


def _seen_count(context: RunContext, split: DatasetSplit) -> int:
    """Return how many images of a split, from the first, the checkpoint says that it learned from; else all."""
    data = context.checkpoint.metadata.data
    n = data.get("n")
    if isinstance(n, int) and 0 < n < len(split) and split.take(range(n)).sha256 == data.get("sha256"):
        return n
    return len(split)
