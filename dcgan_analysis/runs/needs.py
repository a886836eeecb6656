"""Whether checkpoint and dataset have what an analysis needs: everything that is missing, each in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis.models.architecture import ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcgan_analysis.api.analysis import Needs
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data.dataset import Dataset

__all__ = ["missing_in_checkpoint", "missing_in_dataset"]


def missing_in_checkpoint(analysis: str, needs: Needs, checkpoint: Checkpoint | None) -> list[str]:
    """Say what an analysis needs and a checkpoint does not have.

    Args:
        analysis: Name of the analysis, for the sentences.
        needs: What it consumes.
        checkpoint: The one that it is to run on; None: there is none.

    Returns:
        One sentence for each thing that is missing; empty: it can run.
    """
    who = f"Analysis '{analysis}'"
    if checkpoint is None:
        if needs.generator or needs.discriminator or needs.taps:
            return [f"{who} needs a checkpoint. Give one with --checkpoint; known ones: dcgan-analyze list checkpoints"]
        return []
    absent = [role for role in ROLES if getattr(needs, role) and not checkpoint.has(role)]
    found = [f"{who} needs a {role}; checkpoint '{checkpoint.name}' holds none." for role in absent]
    classes = checkpoint.architecture.classes
    if needs.conditional is True and not classes:
        found.append(f"{who} needs networks conditioned on classes; those of checkpoint '{checkpoint.name}' are not.")
    if needs.conditional is False and classes:
        found.append(
            f"{who} needs networks without class labels; those of checkpoint '{checkpoint.name}' "
            f"are conditioned on {classes} classes."
        )
    if needs.grid is not None and classes and needs.conditional is None:
        found.append(
            f"{who} needs features; those of checkpoint '{checkpoint.name}' would depend on the label, "
            f"for its discriminator is conditioned on {classes} classes. Choose an unconditional one."
        )
    return found + _missing_taps(who, needs, checkpoint)


def _missing_taps(who: str, needs: Needs, checkpoint: Checkpoint) -> list[str]:
    if not needs.taps:
        return []
    layers = [*_layers(checkpoint)]
    absent = [tap for tap in needs.taps if tap not in layers]
    if not absent:
        return []
    return [
        f"{who} reads the layers {', '.join(absent)}; "
        f"the networks of checkpoint '{checkpoint.name}' have: {', '.join(layers)}."
    ]


def _layers(checkpoint: Checkpoint) -> Iterator[str]:
    """Yield the names of all layers of both networks, of those that a plugin builds without a table as well."""
    architecture = checkpoint.architecture
    for role in ROLES:
        if checkpoint.has(role):
            table = architecture.layers(role)
            if table:
                yield from (layer.name for layer in table)
            else:
                yield from (name for name, _ in architecture.network(role).named_modules() if name)


def missing_in_dataset(analysis: str, needs: Needs, dataset: Dataset | None, limit: int | None = None) -> list[str]:
    """Say what an analysis needs and a dataset does not have.

    Of splits whose labels or sizes matter as many images are decoded as the run will use.

    Args:
        analysis: Name of the analysis, for the sentences.
        needs: What it consumes.
        dataset: The one that it is to run on; None: there is none.
        limit: How many images of each split the run will use; None: all.

    Returns:
        One sentence for each thing that is missing; empty: it can run.
    """
    who = f"Analysis '{analysis}'"
    if dataset is None:
        if needs.splits or needs.labels or needs.images:
            return [f"{who} needs a dataset. Give one with --dataset; known ones: dcgan-analyze list datasets"]
        return []
    found = []
    present = [split for split in needs.splits if split in dataset.split_names]
    absent = [split for split in needs.splits if split not in dataset.split_names]
    if absent:
        words = f"a split '{absent[0]}'" if len(absent) == 1 else f"the splits {', '.join(absent)}"
        found.append(f"{who} needs {words}; dataset '{dataset.name}' has: {', '.join(dataset.split_names)}.")
    if needs.labels and len(dataset.classes) < 2:
        classes = ", ".join(dataset.classes) or "none"
        found.append(
            f"{who} needs labels of at least two classes; dataset '{dataset.name}' has "
            f"the classes: {classes}. Choose a labelled dataset."
        )
    elif needs.labels:
        bare = [split for split in present if dataset.some(split, limit).labels is None]
        if bare:
            found.append(
                f"{who} needs labels; split '{bare[0]}' of dataset '{dataset.name}' has none. "
                "Choose a labelled dataset."
            )
    if needs.images:
        # Where fewer are used than needed, that alone is said; of the rest no more is decoded than is used.
        enough = limit is None or limit >= needs.images
        sizes = {split: len(dataset.some(split, limit)) for split in present if enough}
        found += [
            f"{who} needs at least {needs.images:,} images of split '{split}'; dataset '{dataset.name}' has {n:,}."
            for split, n in sizes.items()
            if n < needs.images
        ]
        if limit is not None and limit < needs.images:
            found.append(f"{who} needs at least {needs.images:,} images of a split; the limit is {limit:,}.")
    return found
