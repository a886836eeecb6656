"""The contracts of an architecture, a dataset and an importer, checked by building, reading and asking them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.checkpoints.importers.contract import WeightImporter
    from dcgan_analysis.core.registry import Registry
    from dcgan_analysis.data.dataset import Dataset
    from dcgan_analysis.data.registry import DatasetEntry
    from dcgan_analysis.models.architecture import Architecture
    from dcgan_analysis.models.registry import ArchitectureEntry

_IMAGES = 3
_FOREIGN_FILES = {"an empty file": b"", "a text file": b"not weights\n", "random bytes": bytes(range(7, 256, 3)) * 40}


def check_architecture(entry: ArchitectureEntry, **parameters: Any) -> Architecture:
    """Check that an architecture can be built, trained from its beginning, and analysed.

    Name and parameters are enough to build it again; random weights are other ones for another seed; a checkpoint of
    them draws images of the shape and range it says; the discriminator gives one number an image; its taps exist and
    give features.

    Args:
        entry: What the plugin registers.
        parameters: Parameters to check it with, a small width say; the others have their defaults.

    Returns:
        The architecture.

    Raises:
        AssertionError: One line that names the rule and what breaks it.
        DcganAnalysisError: The same, where the framework itself refuses it.

    Example::

        def test_slim32_keeps_the_contract():
            check_architecture(ArchitectureEntry("slim32", "...", slim), width=4)
    """
    import torch

    subject = f"Architecture '{entry.name}'"
    architecture = entry.create(**parameters)
    _require(architecture.name == entry.name, f"{subject} says that it is called '{architecture.name}'; use one name.")
    missing = sorted(set(entry.defaults()) - set(architecture.parameters))
    _require(
        not missing, f"{subject} does not record the parameters {', '.join(missing)}; it could not be built again."
    )
    again = entry.create(**architecture.parameters)
    _require(again.identity() == architecture.identity(), f"{subject} built from its own parameters is another one.")
    checkpoint = _random(subject, architecture, entry.name)
    labels = torch.arange(_IMAGES) % architecture.classes if architecture.classes else None
    images = checkpoint.sample(_IMAGES, seed=0, labels=labels)
    wanted = (_IMAGES, *architecture.image_shape)
    _require(tuple(images.shape) == wanted, f"{subject} draws images {tuple(images.shape)}, they must be {wanted}.")
    low, high = architecture.image_range
    inside = bool((images >= low).all() and (images <= high).all())
    _require(inside, f"{subject} draws pixels outside its image_range ({low}, {high}).")
    _check_discriminator(subject, checkpoint.discriminator(), images, labels)
    if not architecture.classes:
        size = checkpoint.features(images, device="cpu").shape[1]
        _require(size > 0, f"{subject} names no taps; features are read from them.")
    return architecture


def _random(subject: str, architecture: Architecture, name: str) -> Checkpoint:
    """Return random weights, of which nothing is the same under another seed but what is constant by nature."""
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.errors import ArchitectureError

    try:
        checkpoint = Checkpoint.random(architecture, seed=0, name=name)
        Checkpoint.random(architecture, seed=1, trained=checkpoint.weights)
    except ArchitectureError as error:
        msg = f"{subject}: random weights do not follow the seed. {error}"
        raise AssertionError(msg) from None
    return checkpoint


def _check_discriminator(
    subject: str, discriminator: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor | None
) -> None:
    import torch

    with torch.no_grad():
        logits = discriminator(images) if labels is None else discriminator(images, labels)
    _require(
        tuple(logits.shape) == (len(images),),
        f"{subject}: its discriminator returns {tuple(logits.shape)}, it must be one logit an image: ({len(images)},).",
    )


def check_dataset(entry: DatasetEntry, data_root: Path | None = None) -> Dataset:
    """Check that a dataset can be read, twice alike, without a download.

    Every split decodes; images, labels and ids fit each other; all splits have images of one shape and the classes of
    the dataset; reading it again gives the same content.

    Args:
        entry: What the plugin registers.
        data_root: Where its files lie; the usual data root if None.

    Returns:
        The dataset.

    Raises:
        AssertionError: One line that names the rule and what breaks it.
        DcganAnalysisError: The same, where the framework itself refuses it, or its files are absent.

    Example::

        def test_gray_keeps_the_contract(tmp_path):
            check_dataset(DatasetEntry("gray", "four gray images", load), tmp_path)
    """
    from dcgan_analysis.core.folders import data_folder
    from dcgan_analysis.data.dataset import Dataset

    root = data_folder() if data_root is None else data_root
    subject = f"Dataset '{entry.name}'"
    dataset: object = entry.loader(root, False)
    if not isinstance(dataset, Dataset):
        msg = f"{subject}: its loader must return a dcgan_analysis.data.Dataset, got {dataset!r}."
        raise AssertionError(msg)
    _require(dataset.name == entry.name, f"{subject} says that it is called '{dataset.name}'; use one name.")
    again = entry.loader(root, False)
    for name in dataset.split_names:
        split = dataset.split(name)
        _require(len(split) > 0, f"{subject}: split '{name}' has no images.")
        _require(
            split.image_shape == dataset.image_shape,
            f"{subject}: images of split '{name}' are {split.image_shape}, those of the first split "
            f"{dataset.image_shape}.",
        )
        labelled = split.labels is not None
        _require(
            not labelled or split.classes == dataset.classes,
            f"{subject}: split '{name}' has the classes {split.classes}, the dataset {dataset.classes}.",
        )
        _require(len(set(split.ids)) == len(split), f"{subject}: two images of split '{name}' have the same id.")
        _require(
            again.split(name).sha256 == split.sha256, f"{subject}: split '{name}' reads differently the second time."
        )
    return dataset


def check_importer(entry: WeightImporter, architectures: Registry[ArchitectureEntry]) -> None:
    """Check that an importer refuses, in one line, what is none of its format, and leaves files as they are.

    Args:
        entry: What the plugin registers.
        architectures: All registered architectures by name.

    Raises:
        AssertionError: One line that names the rule and what breaks it.

    Example::

        check_importer(host.importers["npz"], host.architectures)
    """
    from dcgan_analysis.checkpoints.importers.contract import ImportRequest
    from dcgan_analysis.errors import DcganAnalysisError, describe_error

    subject = f"Importer '{entry.name}'"
    with tempfile.TemporaryDirectory(prefix="dcgan-analysis-check-") as folder:
        for name, content in _FOREIGN_FILES.items():
            path = Path(folder) / name
            path.write_bytes(content)
            if entry.recognises is not None:
                claimed = entry.recognises(path)
                _require(claimed is False, f"{subject}: its recognises() says {claimed!r} of {name}; say False.")
            try:
                imported = entry.load(ImportRequest((path,), {}, architectures))
            except DcganAnalysisError as error:
                _require(
                    len(str(error).splitlines()) == 1, f"{subject} says in several lines why it does not read {name}."
                )
            except Exception as error:
                msg = f"{subject} fails on {name} with {describe_error(error)}; raise a CheckpointError that says why."
                raise AssertionError(msg) from error
            else:
                msg = f"{subject} takes {name} for weights: it returned {imported!r}; raise a CheckpointError."
                raise AssertionError(msg)
            left = {each.name: each.read_bytes() for each in Path(folder).iterdir()}
            _require(left == {name: content}, f"{subject} changes files in the folder it reads from.")
            path.unlink()


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
