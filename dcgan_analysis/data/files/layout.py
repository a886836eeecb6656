"""Which split and which class the folders in the names of images say.

Whatever could put test images among the training images is refused, in a line that names the choice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MEANINGS = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test",
    "extra": "extra", "unlabeled": "unlabeled", "unlabelled": "unlabeled",
}  # fmt: skip
# What names of split folders have besides: train2017, test_images, "Training Set", img_val.
_BESIDES = r"(?:sets?|data|dataset|images?|imgs?|photos?|pictures?|split|samples?)"
_SPLIT_FOLDER = re.compile(rf"{_BESIDES}?({'|'.join(sorted(_MEANINGS, key=len, reverse=True))}){_BESIDES}*")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
# Splits that a number is measured on.
_HELD_OUT = ("validation", "test")
_CHOICE = "train/, validation/ (or val/), test/, extra/ or unlabeled/"


def split_named(folder: str) -> str | None:
    """Return the split that a folder's name means, or None.

    Example:
        >>> [split_named(name) for name in ("Train", "val2017", "test_images", "train_station")]
        ['train', 'validation', 'test', None]
    """
    match = _SPLIT_FOLDER.fullmatch(re.sub(r"[^a-z]", "", folder.lower()))
    return _MEANINGS[match[1]] if match else None


def _sounds_like(folder: str) -> set[str]:
    """Return the splits that words of a folder's name mean: ``{"train"}`` for ``seg_train``."""
    return {_MEANINGS[word.lower()] for word in _WORDS.findall(folder) if word.lower() in _MEANINGS}


@dataclass
class Layout:
    """What folders say.

    Attributes:
        splits: Folder of a name -> split of the images in it.
        classes: Folder of a name -> the folder that is their class, or None.
        shown: Split -> the folder that says so, with a slash at its end; empty where none does.
    """

    splits: dict[str, str] = field(default_factory=dict)
    classes: dict[str, str | None] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)


def folder_of(name: str) -> str:
    """Return the folder part of a name, without a slash at its end."""
    return name.rpartition("/")[0]


def wrapper_of(names: Iterable[str]) -> str:
    """Return the folder, with a slash at its end, that all names lie in, unless it names a split; empty without one.

    Example:
        >>> wrapper_of(["photos/train/1.png", "photos/train/2.png"])
        'photos/'
    """
    folders = {folder_of(name) for name in names}
    parts = _common([folder.split("/") for folder in folders])
    return "".join(f"{part}/" for part in parts)


def _common(folders: Sequence[Sequence[str]]) -> list[str]:
    common: list[str] = []
    for level in zip(*folders, strict=False):
        if len(set(level)) > 1 or split_named(level[0]) or not level[0]:
            break
        common.append(level[0])
    return common


def arrange(names: Iterable[str], where: str, *, sharded: bool = False) -> Layout:
    """Say which split and class the folders of names mean.

    Args:
        names: Names with forward slashes.
        where: What holds them, for messages.
        sharded: Whether the first folder of each name is an archive; then the split may be in the archive's name.

    Raises:
        DatasetError: If that is ambiguous, so that images of one split could get among those of another.

    Example:
        >>> layout = arrange(["Train/cat/1.png", "test_set/cat/2.png"], "photos")
        >>> layout.splits, layout.classes["Train/cat"]
        ({'Train/cat': 'train', 'test_set/cat': 'test'}, 'cat')
    """
    first: dict[str, str] = {}
    counts: dict[str, int] = {}
    for name in names:
        folder = folder_of(name)
        first.setdefault(folder, name)
        counts[folder] = counts.get(folder, 0) + 1
    paths = {folder: tuple(folder.split("/")) if folder else () for folder in first}
    of_archives: dict[str, str] = {}
    if sharded:
        of_archives = _splits_of_archives(sorted({path[0] for path in paths.values()}), where)
        if of_archives:
            splits = {folder: of_archives[path[0]] for folder, path in paths.items()}
            return _with_classes(splits, {folder: path[1:] for folder, path in paths.items()}, {}, where)
        paths = {folder: path[1:] for folder, path in paths.items()}
    depth = len(_common(list(paths.values())))
    paths = {folder: path[depth:] for folder, path in paths.items()}
    meanings = _meanings({path[0] if path else "" for path in paths.values()}, where, paths, first, counts)
    splits = {folder: meanings.get(path[0] if path else "", "train") for folder, path in paths.items()}
    if not meanings:
        return _with_classes(splits, paths, {}, where)
    shown = {split: f"{top}/" for top, split in meanings.items()}
    return _with_classes(splits, _below_splits(paths), shown, where)


def _splits_of_archives(stems: list[str], where: str) -> dict[str, str]:
    """Return the split that each archive's name says; empty where none says one."""
    sounds = {stem: _sounds_like(stem) for stem in stems}
    named = {stem: next(iter(splits)) for stem, splits in sounds.items() if len(splits) == 1}
    if named and len(named) < len(stems):
        other = next(stem for stem in stems if stem not in named)
        msg = (
            f"{where} has shards that are named after splits (first '{next(iter(named))}.tar') and shards that are not "
            f"(first '{other}.tar'). Put shards of different splits into folders of their own, or name all of them."
        )
        raise DatasetError(msg)
    return named


def _meanings(
    tops: set[str],
    where: str,
    paths: Mapping[str, Sequence[str]],
    first: Mapping[str, str],
    counts: Mapping[str, int],
) -> dict[str, str]:
    """Return the split that each top folder means; empty where none means one."""
    meanings = {top: split for top in sorted(tops) if top and (split := split_named(top))}
    outside = [folder for folder, path in paths.items() if not path or path[0] not in meanings]
    if meanings and outside:
        shown = ", ".join(f"'{top}/'" for top in list(meanings)[:3])
        msg = (
            f"{where} has images in split folders ({shown}) and {sum(counts[folder] for folder in outside):,} outside "
            f"of them, first '{first[outside[0]]}'. Put all of them under {_CHOICE}, or none."
        )
        raise DatasetError(msg)
    for top, split in meanings.items():
        same = [other for other in meanings if other != top and meanings[other] == split]
        if same:
            msg = (
                f"{where} has two folders for the split {split}: '{top}/' and '{same[0]}/'. Put the images of both "
                "into one, or remove one of them."
            )
            raise DatasetError(msg)
    sounding = {top: splits for top in sorted(tops) if (splits := _sounds_like(top))}
    splits_meant = set().union(*sounding.values())
    if not meanings and "train" in splits_meant and splits_meant & set(_HELD_OUT):
        shown = ", ".join(f"'{top}/'" for top in list(sounding)[:4])
        msg = (
            f"{where} has folders that sound like splits, but it is not sure that they are: {shown}. Rename those that "
            f"are to {_CHOICE}; rename classes so that they have no such word."
        )
        raise DatasetError(msg)
    return meanings


def _below_splits(paths: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Take the split's folder away, and one of the same meaning that all of a split lies in: ``train/train/cat``."""
    below: dict[str, tuple[str, ...]] = {}
    for top in {path[0] for path in paths.values()}:
        inner = {folder: path[1:] for folder, path in paths.items() if path[0] == top}
        while len({path[:1] for path in inner.values()}) == 1 and all(
            path and split_named(path[0]) == split_named(top) for path in inner.values()
        ):
            inner = {folder: path[1:] for folder, path in inner.items()}
        below |= inner
    return below


def _with_classes(
    splits: dict[str, str], below: Mapping[str, tuple[str, ...]], shown: dict[str, str], where: str
) -> Layout:
    """Take the folder right below the split as the class; refuse folders below that mean another, held-out split."""
    for folder, path in below.items():
        for part in path:
            if (meant := split_named(part)) in _HELD_OUT and meant != splits[folder]:
                outer = folder.partition(f"/{part}")[0]
                msg = (
                    f"{where} has a folder '{part}/' inside of '{outer}/', which belongs to the split "
                    f"{splits[folder]}: its images would get among the others. Put {_CHOICE} at the top, or rename the "
                    "folder."
                )
                raise DatasetError(msg)
    shown = shown or dict.fromkeys(splits.values(), "")
    return Layout(splits, {folder: path[0] if path else None for folder, path in below.items()}, shown)
