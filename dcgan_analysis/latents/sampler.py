"""Images of a generator for given latent vectors, whether it is conditional or not, and real images beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import torch
    from torch import Tensor

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data.dataset import Dataset, DatasetSplit

__all__ = ["Sampler", "check_classes", "class_labels", "like_samples", "realism"]

_BATCH = 64


def class_labels(checkpoint: Checkpoint, n: int, label: int | None = None) -> Tensor | None:
    """Return the class numbers (n,) of n samples; None for an unconditional generator.

    Args:
        checkpoint: Whose generator.
        n: Number of samples.
        label: One class for all; None: sample i is of class i modulo the number of classes.

    Raises:
        AnalysisError: If there is no such class, or a class is given for an unconditional generator.
    """
    from dcgan_analysis.checkpoints import sampling

    return sampling.class_labels(checkpoint.architecture, range(n), label)


class Sampler:
    """A checkpoint's generator, from latent vectors to bytes.

    Args:
        checkpoint: Whose generator; a copy of it is used.
        device: Where to compute.
        progress: Told of images done where there are more than one batch.
        label: Class of all images of a conditional generator, where the caller of the sampler names none; None: image i
            is of class i modulo the number of classes. It means nothing to an unconditional generator.

    Attributes:
        label: The same; None for an unconditional generator.

    Raises:
        AnalysisError: If a conditional generator has no such class.

    Example:
        >>> import torch
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> from dcgan_analysis.checkpoints.checkpoint import Checkpoint
        >>> checkpoint = Checkpoint.random(dcgan32(width=4), seed=0)
        >>> Sampler(checkpoint, torch.device("cpu"))(checkpoint.latents(3, seed=1)).shape
        (3, 3, 32, 32)
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device,
        progress: Progress = silent,
        *,
        label: int | None = None,
    ) -> None:
        from dcgan_analysis.data.preprocessing import Preprocessing

        self.checkpoint = checkpoint
        self.label = label if checkpoint.architecture.classes else None
        self.labels(0)
        self._progress = progress
        self._generator = checkpoint.generator().requires_grad_(False).to(device)
        architecture = checkpoint.architecture
        self._bytes = Preprocessing.for_range(architecture.image_shape, checkpoint.metadata.image_range).to_bytes

    def labels(self, n: int) -> Tensor | None:
        """Return the classes (n,) of n images for which none are named; None for an unconditional generator."""
        return class_labels(self.checkpoint, n, self.label)

    def __call__(self, z: Tensor, labels: Tensor | None = None, *, what: str = "samples") -> np.ndarray:
        """Generate images.

        Args:
            z: Latent vectors (N, Z).
            labels: Class numbers (N,), for a conditional generator; None: those of ``self.labels``.
            what: What progress calls them.

        Returns:
            uint8 (N, C, H, W).
        """
        import numpy as np

        from dcgan_analysis.checkpoints.sampling import generate

        def report(done: int) -> None:
            if len(z) > _BATCH:
                self._progress(what, done, len(z))

        labels = self.labels(len(z)) if labels is None else labels
        pages = [self._bytes(images) for images in generate(self._generator, z, labels, batch=_BATCH, progress=report)]
        if not pages:
            return np.empty((0, *self.checkpoint.architecture.image_shape), np.uint8)
        return np.concatenate(pages)


def check_classes(checkpoint: Checkpoint, dataset: Dataset) -> None:
    """Check that a generator makes images of a dataset's classes.

    Raises:
        AnalysisError: If it is unconditional, or knows another number of classes.
    """
    classes, known = len(dataset.classes), checkpoint.architecture.classes
    if known != classes:
        msg = (
            f"Checkpoint '{checkpoint.name}' makes images of {known} classes (0: it is unconditional), dataset "
            f"'{dataset.name}' has {classes}. Choose a conditional generator trained on this dataset: "
            "dcgan-analyze list checkpoints"
        )
        raise AnalysisError(msg)


def like_samples(
    split: DatasetSplit, checkpoint: Checkpoint, *, dataset: str, fit: Literal["exact", "resize"] = "exact"
) -> DatasetSplit:
    """Return real images in the shape of a generator's samples, to compare the two pixel by pixel.

    Args:
        split: Real images.
        checkpoint: Whose samples.
        dataset: The name of the dataset, for messages.
        fit: Images of another shape: refuse them, or resize them.

    Raises:
        DatasetError: If ``fit`` is ``exact`` and the shapes differ, or channels cannot be matched.

    Example:
        >>> from dcgan_analysis import load_checkpoint, load_dataset
        >>> rooms, digits = load_checkpoint("bedrooms64"), load_dataset("digits").split("test")
        >>> like_samples(digits, rooms, dataset="digits", fit="resize").image_shape
        (3, 64, 64)
    """
    from dcgan_analysis.data.preprocessing import Preprocessing

    prepare = Preprocessing(checkpoint.architecture.image_shape, fit=fit)
    prepare.check(split.image_shape, dataset=dataset, checkpoint=checkpoint.name)
    if split.image_shape == checkpoint.architecture.image_shape:
        return split
    # The hash that was known is that of the images as they were.
    return replace(split, images=prepare.to_bytes(prepare(split.images)), known_sha256=None)


def realism(
    checkpoint: Checkpoint,
    device: torch.device,
    images: Mapping[str, np.ndarray],
    plain: np.ndarray,
    label: int | None = None,
) -> dict[str, float]:
    """Return how real a checkpoint's own discriminator takes images to be, beside plain samples.

    Args:
        checkpoint: Whose discriminator; without one nothing is returned.
        device: Where to compute.
        images: Name -> uint8 (N, C, H, W).
        plain: Plain samples, uint8 (M, C, H, W).
        label: Class of all images, for a conditional discriminator.

    Returns:
        Name -> share of plain samples that it takes for less real, mean over the images; 0.5: as real as a sample.
    """
    import numpy as np
    import torch

    from dcgan_analysis.data.preprocessing import Preprocessing

    if not checkpoint.has("discriminator"):
        return {}
    network = checkpoint.discriminator().to(device)
    prepare = Preprocessing.for_range(checkpoint.architecture.image_shape, checkpoint.metadata.image_range)

    def logits(page: np.ndarray) -> np.ndarray:
        labels = class_labels(checkpoint, len(page), label)
        found = []
        with torch.inference_mode():
            for start in range(0, len(page), _BATCH):
                chosen = slice(start, start + _BATCH)
                inputs = [prepare(page[chosen]).to(device)]
                if labels is not None:
                    inputs.append(labels[chosen].to(device))
                found.append(network(*inputs).float().cpu())
        values: np.ndarray = torch.cat(found).numpy()
        return values

    usual = np.sort(logits(plain))
    return {name: float((np.searchsorted(usual, logits(page)) / len(usual)).mean()) for name, page in images.items()}
