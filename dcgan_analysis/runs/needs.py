"""What an analysis needs and its checkpoint or dataset lacks, one sentence for each thing."""

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
    """List what an analysis needs and a checkpoint lacks.

    Args:
        analysis: Name of the analysis, for the sentences.
        needs: What it consumes.
        checkpoint: What it would run on; None: no checkpoint was given.

    Returns:
        One sentence for each missing thing; empty: the analysis can run.
    """
    subject = f"Analysis '{analysis}'"
    if checkpoint is None:
        if needs.generator or needs.discriminator or needs.taps:
            return [
                f"{subject} needs a checkpoint. Give one with --checkpoint; known ones: dcgan-analyze list checkpoints"
            ]
        return []
    absent = [role for role in ROLES if getattr(needs, role) and not checkpoint.has(role)]
    missing = [f"{subject} needs a {role}; checkpoint '{checkpoint.name}' holds none." for role in absent]
    classes = checkpoint.architecture.classes
    if needs.conditional is True and not classes:
        missing.append(
            f"{subject} needs networks conditioned on classes; those of checkpoint '{checkpoint.name}' are not."
        )
    if needs.conditional is False and classes:
        missing.append(
            f"{subject} needs networks without class labels; those of checkpoint '{checkpoint.name}' "
            f"are conditioned on {classes} classes."
        )
    by_label = checkpoint.architecture.takes_labels("discriminator")
    if needs.grid is not None and by_label and needs.conditional is None:
        missing.append(
            f"{subject} needs features; those of checkpoint '{checkpoint.name}' would depend on the label, "
            f"for its discriminator is conditioned on {classes} classes. Choose an unconditional one."
        )
    return missing + _missing_taps(subject, needs, checkpoint)


def _missing_taps(subject: str, needs: Needs, checkpoint: Checkpoint) -> list[str]:
    if not needs.taps:
        return []
    layers = [*_layers(checkpoint)]
    absent = [tap for tap in needs.taps if tap not in layers]
    if not absent:
        return []
    return [
        f"{subject} reads the layers {', '.join(absent)}; "
        f"the networks of checkpoint '{checkpoint.name}' have: {', '.join(layers)}."
    ]


def _layers(checkpoint: Checkpoint) -> Iterator[str]:
    """Yield the names of all layers of both networks, including networks that a plugin builds without a table."""
    architecture = checkpoint.architecture
    for role in ROLES:
        if checkpoint.has(role):
            table = architecture.layers(role)
            if table:
                yield from (layer.name for layer in table)
            else:
                yield from (name for name, _ in architecture.network(role).named_modules() if name)


def missing_in_dataset(analysis: str, needs: Needs, dataset: Dataset | None, limit: int | None = None) -> list[str]:
    """List what an analysis needs and a dataset lacks.

    Splits whose labels or sizes matter are decoded, but only as many images as the run will use.

    Args:
        analysis: Name of the analysis, for the sentences.
        needs: What it consumes.
        dataset: What it would run on; None: no dataset was given.
        limit: How many images of each split the run will use; None: all.

    Returns:
        One sentence for each missing thing; empty: the analysis can run.
    """
    subject = f"Analysis '{analysis}'"
    if dataset is None:
        if needs.splits or needs.labels or needs.images:
            return [f"{subject} needs a dataset. Give one with --dataset; known ones: dcgan-analyze list datasets"]
        return []
    missing = []
    present = [split for split in needs.splits if split in dataset.split_names]
    absent = [split for split in needs.splits if split not in dataset.split_names]
    if absent:
        words = f"a split '{absent[0]}'" if len(absent) == 1 else f"the splits {', '.join(absent)}"
        missing.append(f"{subject} needs {words}; dataset '{dataset.name}' has: {', '.join(dataset.split_names)}.")
    if needs.labels and len(dataset.classes) < 2:
        labels = f"one class only, {dataset.classes[0]}" if dataset.classes else "no labels"
        missing.append(
            f"{subject} needs labels of at least two classes; dataset '{dataset.name}' has {labels}. "
            "Choose a labelled dataset."
        )
    elif needs.labels:
        unlabelled = [split for split in present if dataset.some(split, limit).labels is None]
        if unlabelled:
            missing.append(
                f"{subject} needs labels; split '{unlabelled[0]}' of dataset '{dataset.name}' has none. "
                "Choose a labelled dataset."
            )
    if needs.images:
        # A limit below the need is reported by itself, without decoding anything.
        enough = limit is None or limit >= needs.images
        sizes = {split: len(dataset.some(split, limit)) for split in present if enough}
        missing += [
            f"{subject} needs at least {needs.images:,} images of split '{split}'; dataset '{dataset.name}' has {n:,}."
            for split, n in sizes.items()
            if n < needs.images
        ]
        if limit is not None and limit < needs.images:
            missing.append(f"{subject} needs at least {needs.images:,} images of a split; the limit is {limit:,}.")
    return missing
