"""What a checkpoint file says of itself, readable without torch: listings and checks need no weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from pydantic import Field, ValidationError, field_validator

from dcgan_analysis.core.checksums import damaged_text
from dcgan_analysis.core.documents import parse_json
from dcgan_analysis.core.settings import DeferredModel
from dcgan_analysis.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT: Final = "dcgan-analysis/checkpoint"
FORMAT_VERSION = 1
# The limit that the safetensors format itself sets.
_LONGEST_HEADER = 100_000_000


# Of these the history of a training is made.
_COUNTS = ("n", "epochs", "images", "hours")
_MOST = 1e15


class TrainingHistory(NamedTuple):
    """How long a network has been trained, summed over all that it was started from.

    Attributes:
        epochs: Passes over the images, of whichever width and data each was.
        images: Images that the discriminator has seen; every pass counts.
        hours: Hours of training by the clock, as far as they are known.
        all_hours: Whether they are known of everything that it was started from.

    Example:
        >>> print(TrainingHistory(epochs=86.205, images=431_026, hours=0.438, all_hours=False))
        86.2 epochs, 0.43 million images seen, at least 0.44 hours
    """

    epochs: float
    images: int
    hours: float
    all_hours: bool

    def __str__(self) -> str:
        words = [f"{self.epochs:.3g} epochs"]
        if self.images:
            words.append(f"{self.images / 1e6:.2g} million images seen")
        if self.hours:
            words.append(f"{'' if self.all_hours else 'at least '}{self.hours:.2g} hours")
        return ", ".join(words)


class CheckpointMetadata(DeferredModel):
    """What a checkpoint says of itself."""

    format: Literal["dcgan-analysis/checkpoint"] = FORMAT
    version: int = FORMAT_VERSION
    architecture: str = Field(description="registered name")
    parameters: dict[str, Any] = Field(default_factory=dict)
    z_prior: Literal["uniform", "normal"] = "uniform"
    image_range: tuple[float, float] = (-1.0, 1.0)
    data: dict[str, Any] = Field(default_factory=dict, description="training images: name, split, n, sha256")
    training: dict[str, Any] = Field(default_factory=dict, description="training settings")
    step: int = Field(default=0, ge=0)
    epoch: float = Field(default=0.0, ge=0, lt=_MOST)
    provenance: dict[str, Any] = Field(default_factory=dict, description="who made it, when, with what")

    @field_validator("image_range")
    @classmethod
    def _is_a_range(cls, value: tuple[float, float]) -> tuple[float, float]:
        low, high = value
        if not -math.inf < low < high < math.inf:
            msg = f"must be a lower and a higher number, got {low:g} and {high:g}"
            raise ValueError(msg)
        return value

    @field_validator("data", "provenance")
    @classmethod
    def _counts_are_numbers(cls, value: dict[str, Any]) -> dict[str, Any]:
        before = value.get("started_from", {})
        if not isinstance(before, dict):
            msg = f"started_from must be an object, got {before!r}"
            raise ValueError(msg)
        for name, number in [("n", value.get("n", 0)), ("hours", value.get("hours", 0)), *before.items()]:
            real = isinstance(number, int | float) and not isinstance(number, bool)
            if name in _COUNTS and not (real and 0 <= number < _MOST):
                msg = f"{name} must be a number from 0 to {_MOST:.0e}, got {number!r}"
                raise ValueError(msg)
        return value

    @property
    def z_deviation(self) -> float:
        """Standard deviation of a number of a latent vector: 1 of the normal prior, 0.577 of the uniform one.

        Example:
            >>> round(CheckpointMetadata(architecture="dcgan32").z_deviation, 3)
            0.577
        """
        return float(3**-0.5) if self.z_prior == "uniform" else 1.0

    @property
    def history(self) -> TrainingHistory:
        """How long it was trained, with what was started from.

        Example:
            >>> provenance = {"started_from": {"epochs": 9.0}, "hours": 1.2}
            >>> CheckpointMetadata(architecture="dcgan32", epoch=2, data={"n": 50000}, provenance=provenance).history
            TrainingHistory(epochs=11.0, images=550000, hours=1.2, all_hours=False)
        """
        before = self.provenance.get("started_from", {})
        n = self.data.get("n", 0)
        epochs = before.get("epochs", 0.0)
        # Earlier releases noted the epochs alone: they went on with the same images.
        images = before.get("images", round(epochs * n))
        hours = before.get("hours", 0.0) + self.provenance.get("hours", 0.0)
        all_hours = "hours" in self.provenance and (not epochs or bool(before.get("all_hours", "hours" in before)))
        return TrainingHistory(self.epoch + epochs, round(self.epoch * n) + images, round(hours, 3), all_hours)

    @property
    def trained(self) -> str:
        """On what and how long it was trained, with what it was started from, in words.

        Example:
            >>> CheckpointMetadata(architecture="dcgan32", epoch=9, data={"name": "cifar10", "n": 50000}).trained
            'trained on cifar10, 9 epochs, 0.45 million images seen'
        """
        history = self.history
        if not history.epochs:
            return "not trained by this program" if self.provenance else "not trained"
        return f"trained on {self.data.get('name', 'unknown data')}, {history}"


def read_metadata(path: Path) -> CheckpointMetadata:
    """Read the metadata in a checkpoint file's header.

    Args:
        path: A safetensors file written by ``Checkpoint.save``.

    Raises:
        CheckpointError: If the file is absent, not safetensors, not a checkpoint, or of a newer version.
    """
    if not path.is_file():
        msg = f"Checkpoint file '{path}' does not exist. Known ones: dcgan-analyze list checkpoints"
        raise CheckpointError(msg)
    header = _safetensors_metadata(path)
    if damaged_text(header):
        msg = f"Checkpoint file '{path}' is damaged: its header is not as it was written. Copy it again."
        raise CheckpointError(msg)
    text = header.get("dcgan_analysis")
    if text is None:
        msg = f"'{path}' is a safetensors file but no checkpoint of dcgan-analysis: its header lacks the metadata."
        raise CheckpointError(msg)
    try:
        document = parse_json(text)
        version = int(document.get("version", 0))
    except (ValueError, TypeError, AttributeError) as error:
        msg = f"Checkpoint file '{path}' has damaged metadata: {error}."
        raise CheckpointError(msg) from None
    if version > FORMAT_VERSION:
        msg = (
            f"Checkpoint file '{path}' has format version {version}, this release reads {FORMAT_VERSION}. "
            "Update dcgan-analysis."
        )
        raise CheckpointError(msg)
    try:
        return CheckpointMetadata.model_validate(document)
    except ValidationError as error:
        item = error.errors()[0]
        where = ".".join(map(str, item["loc"]))
        msg = f"Checkpoint file '{path}' has damaged metadata: {where}: {item['msg']}."
        raise CheckpointError(msg) from None


def _safetensors_metadata(path: Path) -> dict[str, str]:
    """Read the free-form metadata of a safetensors file: 8 bytes of length, little-endian, then that much JSON.

    The safetensors package would do the same, but imports numpy or torch to do it; listings need neither.
    """
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= _LONGEST_HEADER:
                msg = f"its header claims {length} bytes"
                raise ValueError(msg)
            header = parse_json(stream.read(length))
            metadata = header.get("__metadata__", {})
            return {str(key): str(value) for key, value in metadata.items()}
    except (OSError, ValueError, AttributeError) as error:
        msg = f"Checkpoint file '{path}' cannot be read as safetensors: {error}. Copy or convert it again."
        raise CheckpointError(msg) from None
