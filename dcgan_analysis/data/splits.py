"""Held-out sets and few-label draws, as pure functions on index arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from dcgan_analysis.data.dataset import DatasetSplit


def holdout(
    n: int,
    size: int,
    rng: np.random.Generator,
    *,
    labels: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split ``n`` images at random into those to train on and those to validate on.

    Args:
        n: Number of images.
        size: How many to hold out, 1 to n - 1.
        rng: Random generator; the same state gives the same split.
        labels: N class numbers: each class is held out in proportion, to within one image.
        groups: N group numbers: a group (a photo) stays whole on one side. Then proportions are
            approximate, and a few images fewer than ``size`` may be held out, never more.

    Returns:
        Indices to train on and indices held out, each in ascending order.

    Raises:
        DatasetError: If ``size`` leaves one side empty.

    Example:
        >>> rest, held = holdout(6, 2, np.random.default_rng(0), labels=[0, 0, 0, 1, 1, 1])
        >>> len(rest), np.array([0, 0, 0, 1, 1, 1])[held].tolist()
        (4, [0, 1])
    """
    if not 1 <= size < n:
        msg = f"Cannot hold out {size} of {n} images; choose 1 to {n - 1}."
        raise DatasetError(msg)
    names = np.zeros(n, np.int64) if labels is None else np.asarray(labels)
    order = rng.permutation(n)
    if groups is None:
        held = pick(order, size, names)
    else:
        held = _pick_groups(order, size, names, np.asarray(groups))
        if not len(held):
            msg = f"No group of images is as small as the {size} to hold out. Hold out more."
            raise DatasetError(msg)
    mask = np.zeros(n, bool)
    mask[held] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def _quotas(counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Divide ``size`` in proportion to ``counts``, the remainder to the largest fractions."""
    exact = size * counts
    total = int(counts.sum())
    quotas = exact // total
    short = size - int(quotas.sum())
    quotas[np.argsort(-(exact % total), kind="stable")[:short]] += 1
    return quotas


def pick(order: NDArray[np.int64], size: int, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pick ``size`` images, of each class in proportion those that come first in ``order``."""
    classes, counts = np.unique(labels, return_counts=True)
    shuffled = labels[order]
    chosen = [order[shuffled == label][:quota] for label, quota in zip(classes, _quotas(counts, size), strict=True)]
    return np.sort(np.concatenate(chosen))


def _pick_groups(
    order: NDArray[np.int64],
    size: int,
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Pick whole groups in random order: first within the classes' quotas, then whatever fits."""
    _, codes = np.unique(labels, return_inverse=True)
    room = _quotas(np.bincount(codes), size)
    # The groups in the order in which they first appear among the shuffled images.
    _, first, inverse = np.unique(groups[order], return_index=True, return_inverse=True)
    by_group = order[np.argsort(inverse, kind="stable")]
    members = np.split(by_group, np.cumsum(np.bincount(inverse))[:-1])
    shuffled = [members[i] for i in np.argsort(first)]

    chosen, passed_over = [], []
    left = size
    for group in shuffled:
        need = np.bincount(codes[group], minlength=len(room))
        if (need <= room).all():
            chosen.append(group)
            room -= need
            left -= len(group)
        else:
            passed_over.append(group)
    for group in passed_over:
        if len(group) <= left:
            chosen.append(group)
            left -= len(group)
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


def few_label_draws(
    labels: ArrayLike,
    per_class: int,
    draws: int,
    rng: np.random.Generator,
    *,
    classes: Sequence[str] | None = None,
) -> NDArray[np.int64]:
    """Draw random subsets with the same number of images of every class, without replacement.

    The first draws are the same however many are asked for.

    Args:
        labels: N class numbers.
        per_class: Images of each class in each draw, at least 1.
        draws: Number of draws, at least 1.
        rng: Random generator.
        classes: K class names; by default the numbers found in ``labels``.

    Returns:
        int64 array (draws, K x per_class) of indices, ascending in each draw.

    Raises:
        DatasetError: If a class has fewer images than asked; it names the class.

    Example:
        >>> few_label_draws([0, 1, 0, 1], 2, 1, np.random.default_rng(0)).tolist()
        [[0, 1, 2, 3]]
    """
    if per_class < 1 or draws < 1:
        msg = f"Cannot make {draws} draws of {per_class} images per class; both must be 1 or more."
        raise DatasetError(msg)
    numbers = np.asarray(labels)
    names = {int(k): str(k) for k in np.unique(numbers)} if classes is None else dict(enumerate(classes))
    members = {number: np.flatnonzero(numbers == number) for number in names}
    for number, images in members.items():
        if len(images) < per_class:
            msg = (
                f"Class '{names[number]}' has {len(images)} images, {per_class} per class were "
                "asked for. Ask for fewer, or take a larger split."
            )
            raise DatasetError(msg)
    rows = [
        np.sort(np.concatenate([rng.choice(images, per_class, replace=False) for images in members.values()]))
        for _ in range(draws)
    ]
    return np.stack(rows).astype(np.int64)


def last(split: DatasetSplit, n: int) -> tuple[DatasetSplit, DatasetSplit]:
    """Cut off the last ``n`` images, as a second test set beside one that is too small.

    Args:
        split: Images in their official order.
        n: How many to cut off, 1 to N - 1.

    Returns:
        The images before, and the last ``n``; both say so in ``source``.

    Raises:
        DatasetError: If one side would be empty, or a group would lie on both sides.
    """
    total = len(split)
    if not 1 <= n < total:
        msg = f"Cannot hold out the last {n} of {total} images; choose 1 to {total - 1}."
        raise DatasetError(msg)
    if split.groups is not None:
        shared = np.intersect1d(split.groups[:-n], split.groups[-n:])
        if len(shared):
            msg = (
                f"The last {n} images share {len(shared)} groups with those before (first: group "
                f"{shared[0]}). Choose another number, so that no photo is on both sides."
            )
            raise DatasetError(msg)
    return (
        split.take(np.arange(total - n), source=f"{split.source}, first {total - n}"),
        split.take(np.arange(total - n, total), source=f"{split.source}, last {n}"),
    )


def by_class(split: DatasetSplit) -> list[NDArray[np.int64]]:
    """Return the indices of the images of each class.

    Raises:
        DatasetError: If a class has no image, or there are no labels.
    """
    if split.labels is None:
        msg = f"{split.source or 'A split'} has no labels. Choose a labelled dataset."
        raise DatasetError(msg)
    members = [np.flatnonzero(split.labels == number) for number in range(len(split.classes))]
    for name, images in zip(split.classes, members, strict=True):
        if not len(images):
            msg = f"Class '{name}' has no image in {split.source or 'a split'}. Use more images, or another dataset."
            raise DatasetError(msg)
    return members
