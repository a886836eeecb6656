"""What an analysis needs and its checkpoint or dataset lacks, one sentence for each thing."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from dcgan_analysis.models.architecture import ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcgan_analysis.api.analysis import Needs
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data.dataset import Dataset
    from dcgan_analysis.errors import DcganAnalysisError


def missing_packages(analysis: str, needs: Needs) -> list[str]:
    """List the packages that an analysis imports and that are not installed, one sentence for each."""
    return [
        f"Analysis '{analysis}' needs the Python package '{name}', which is not installed."
        for name in needs.packages
        if not _is_installed(name)
    ]


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # of a module within a package that is absent
        return False


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
            return [f"{subject} needs a checkpoint. Give one; known ones: dcgan-analyze list checkpoints"]
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
    """Yield the taps of all layers of both networks; of networks without a table those that are found by watching."""
    architecture = checkpoint.architecture
    for role in ROLES:
        if not checkpoint.has(role):
            continue
        if table := architecture.layers(role):
            yield from (layer.name for layer in table)
        else:
            from dcgan_analysis.models.tracing import trace_role

            network = architecture.network(role)
            modules = [name for name, _ in network.named_modules() if name]
            traced = [layer.tap for layer in trace_role(network, architecture, role).layers if layer.tap is not None]
            yield from dict.fromkeys([*traced, *modules])


def stale_networks(needs: Needs, checkpoint: Checkpoint, batchnorm: str | None) -> Iterator[str]:
    """Yield a warning for each network that is used with batch-normalisation statistics that were never updated.

    Args:
        needs: What the analysis consumes.
        checkpoint: What it runs on.
        batchnorm: The analysis's own setting of that name, by which a discriminator is normalised; None: it has none.
    """
    from dcgan_analysis.checkpoints.statistics import stale_statistics

    kept = batchnorm == "running" or (batchnorm is None and needs.grid is None)
    used = {"generator": needs.generator, "discriminator": (needs.generator or needs.discriminator) and kept}
    for role in filter(checkpoint.has, ROLES):
        if used[role] and (stale := stale_statistics(checkpoint, role)):
            yield (
                f"The BatchNorm statistics of the {role} of '{checkpoint.name}' were {stale}: what it makes with them "
                "is wrong, unless that was meant. Estimate them anew: batchnorm=reestimate"
            )


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
            return [f"{subject} needs a dataset. Give one; known ones: dcgan-analyze list datasets"]
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


def unfit_images(
    needs: Needs, checkpoint: Checkpoint, dataset: Dataset, limit: int | None = None, *, choice: bool
) -> list[DcganAnalysisError]:
    """List why images of the splits that an analysis needs cannot be put into the networks of a checkpoint.

    Args:
        needs: What it consumes; splits that the dataset does not have are passed over.
        checkpoint: What it would run on.
        dataset: The same; of image files one is decoded, or as many as the run will use.
        limit: How many images of each split the run will use; None: all.
        choice: Whether the analysis has a setting ``fit``.
    """
    if needs.fit is None:
        return []
    from dcgan_analysis.checkpoints.fitting import image_problems

    problems: dict[str, DcganAnalysisError] = {}
    for name in needs.splits:
        if name in dataset.split_names:
            split = dataset.some(name, 1 if limit is None else limit)
            judged = needs.discriminator
            for error in image_problems(checkpoint, split, dataset.name, needs.fit, judged=judged, choice=choice):
                problems.setdefault(str(error), error)
    return list(problems.values())
