"""From bytes to what a model eats: named, versioned, and part of every key that depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dcgan_analysis.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

SCALINGS: dict[str, tuple[float, float]] = {
    "scale-to-[-1,1]": (127.5, 1.0),
    "scale-to-[0,1]": (255.0, 0.0),
}
"""Name -> (divisor, subtrahend): what a byte x becomes is x / divisor - subtrahend."""

# To be raised whenever a change to this file changes the numbers that a name gives.
_VERSION = 1

# ITU-R BT.601, as in Pillow's conversion to gray.
_LUMA = (0.299, 0.587, 0.114)

# Of images that are resized at a time: floats of 256 MB.
_MOST_VALUES = 1 << 26
# Between the sides of an image that is resized; a line of a million pixels would become gigabytes.
_MOST_ASPECT = 100

Shape = tuple[int, int, int]


def _text(shape: Shape) -> str:
    return "x".join(str(length) for length in shape)


@dataclass(frozen=True)
class Preprocessing:
    """How images of a dataset become input of a model.

    Attributes:
        image_shape: Channels, height and width that the model takes.
        name: ``"scale-to-[-1,1]"`` (x / 127.5 - 1) or ``"scale-to-[0,1]"`` (x / 255).
        fit: What to do with images of another shape. ``"exact"``: refuse. ``"resize"``: the shorter
            side to size (bilinear, antialiased), then the centre crop; gray is repeated for colour,
            colour becomes gray by luma (BT.601).

    Raises:
        ConfigError: If ``name`` or ``fit`` is unknown.

    Example:
        >>> prepare = Preprocessing((1, 1, 2))
        >>> prepare(np.array([[[[0, 255]]]], np.uint8)).tolist()
        [[[[-1.0, 1.0]]]]
    """

    image_shape: Shape
    name: str = "scale-to-[-1,1]"
    fit: Literal["exact", "resize"] = "exact"

    def __post_init__(self) -> None:
        for key, value, allowed in (
            ("preprocessing", self.name, tuple(SCALINGS)),
            ("fit", self.fit, ("exact", "resize")),
        ):
            if value not in allowed:
                msg = f"{key} must be one of {', '.join(allowed)}, got '{value}'."
                raise ConfigError(msg)

    @classmethod
    def for_range(
        cls,
        image_shape: Shape,
        image_range: tuple[float, float],
        fit: Literal["exact", "resize"] = "exact",
    ) -> Preprocessing:
        """Return the preprocessing for a model that works on images in ``image_range``.

        Raises:
            ConfigError: If no scaling gives this range.
        """
        for name, (divisor, subtrahend) in SCALINGS.items():
            if tuple(image_range) == (-subtrahend, 255 / divisor - subtrahend):
                return cls(image_shape, name, fit)
        msg = f"No preprocessing gives images in {image_range}; known: {', '.join(SCALINGS)}."
        raise ConfigError(msg)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything the numbers depend on, as JSON-able values, to be hashed into keys."""
        return {
            "name": self.name,
            "version": _VERSION,
            "fit": self.fit,
            "image_shape": list(self.image_shape),
        }

    def check(
        self, shape: Shape, *, dataset: str | None = None, checkpoint: str | None = None, choice: bool = True
    ) -> None:
        """Refuse images that do not fit before anything long begins.

        Args:
            shape: Channels, height and width of the images.
            dataset: Whose images they are, for the message.
            checkpoint: Whose model takes them, for the message.
            choice: Whether ``fit`` is a setting that the user can change, for the message.

        Raises:
            DatasetError: If ``fit`` is ``"exact"`` and ``shape`` is not ``image_shape``; if one side of images to be
                resized is more than a hundred times the other, or nothing says how their channels become the model's.
        """
        if self.fit == "exact" and tuple(shape) != tuple(self.image_shape):
            giver = f"Dataset '{dataset}'" if dataset else "The batch"
            taker = f"checkpoint '{checkpoint}'" if checkpoint else "the model"
            way = "Use the setting fit=resize to convert them, or another" if choice else "Use another"
            msg = (
                f"{giver} has images of {_text(shape)}, {taker} takes {_text(self.image_shape)}. "
                f"{way} dataset or checkpoint."
            )
            raise DatasetError(msg)
        if shape[0] not in (1, self.image_shape[0]) and (shape[0], self.image_shape[0]) != (len(_LUMA), 1):
            raise DatasetError(_channels_refused(shape[0], self.image_shape[0]))
        if self.fit == "resize" and max(shape[1:]) > _MOST_ASPECT * min(shape[1:]):
            msg = (
                f"Images of {_text(shape)} are not resized: one side is more than {_MOST_ASPECT} times the other. "
                "Cut them first."
            )
            raise DatasetError(msg)

    def __call__(self, images: NDArray[np.uint8]) -> torch.Tensor:
        """Prepare a batch.

        Args:
            images: uint8 array (N, C, H, W), values 0 to 255.

        Returns:
            float32 tensor (N, C', H', W') on the CPU, with ``image_shape`` = C', H', W'.

        Raises:
            DatasetError: If ``fit`` is ``"exact"`` and the images have another shape.
        """
        import torch

        # torch warns of arrays that it must not write to; only those are copied.
        batch = torch.from_numpy(np.require(images, np.uint8, ["C", "W"]))
        if tuple(batch.shape[1:]) != tuple(self.image_shape):
            channels, height, width = batch.shape[1:]
            self.check((channels, height, width))
            # Large images are resized a few at a time: as floats they take several times their bytes.
            few = max(1, _MOST_VALUES // max(1, channels * height * width))
            batch = torch.cat([self._fitted(part) for part in torch.split(batch, few)])
        divisor, subtrahend = SCALINGS[self.name]
        return batch.to(torch.float32).div_(divisor).sub_(subtrahend)

    def inputs(self, images: NDArray[Any] | torch.Tensor, *, checkpoint: str) -> torch.Tensor:
        """Prepare bytes, uint8 (N, C, H, W), or take floats (N, C, H, W) that are already what the model takes.

        Args:
            images: The batch.
            checkpoint: Whose model takes them, for the message.

        Raises:
            DatasetError: If they are neither, or bytes of a shape that does not fit.
        """
        import torch

        batch = (
            torch.from_numpy(np.require(images, requirements=["C", "W"])) if isinstance(images, np.ndarray) else images
        )
        if batch.dim() != 4 or not (batch.is_floating_point() or batch.dtype == torch.uint8):
            msg = f"Images must be uint8 or float (N, C, H, W), got {batch.dtype} {tuple(batch.shape)}."
            raise DatasetError(msg)
        if batch.dtype == torch.uint8:
            return self(batch.cpu().numpy())
        divisor, subtrahend = SCALINGS[self.name]
        low, high = 0 - subtrahend, 255 / divisor - subtrahend
        slack = 1e-3 * (high - low)
        if len(batch) and not (low - slack <= float(batch.min()) and float(batch.max()) <= high + slack):
            msg = (
                f"Float images run from {float(batch.min()):.4g} to {float(batch.max()):.4g}; checkpoint "
                f"'{checkpoint}' takes {low:g} to {high:g}. Give bytes, uint8 from 0 to 255, or scale them."
            )
            raise DatasetError(msg)
        return batch.float()

    def _fitted(self, batch: torch.Tensor) -> torch.Tensor:
        return _resize(_to_channels(batch, self.image_shape[0]), self.image_shape[1:])

    def to_bytes(self, images: torch.Tensor) -> NDArray[np.uint8]:
        """Turn a model's images (N, C, H, W) back into bytes, clipping what lies outside."""
        divisor, subtrahend = SCALINGS[self.name]
        values = images.detach().float().cpu().add(subtrahend).mul(divisor)
        array: NDArray[np.uint8] = values.round().clamp(0, 255).byte().numpy()
        return array


def _to_channels(batch: torch.Tensor, channels: int) -> torch.Tensor:
    import torch

    present = batch.shape[1]
    if present == channels:
        return batch
    if present == 1:
        return batch.expand(-1, channels, -1, -1)
    if channels == 1 and present == len(_LUMA):
        weights = torch.tensor(_LUMA).view(1, -1, 1, 1)
        return (batch * weights).sum(1, keepdim=True).round().byte()
    raise DatasetError(_channels_refused(present, channels))


def _channels_refused(present: int, wanted: int) -> str:
    return f"Images of {present} channels cannot be turned into {wanted}; 1 and 3 are known. Use another dataset."


def _resize(batch: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bring the shorter side to size, then cut the centre (as for ImageNet in the paper)."""
    from torch.nn.functional import interpolate

    height, width = batch.shape[2:]
    scale = max(size[0] / height, size[1] / width)
    # At least the size asked for: rounding must not leave an edge uncovered.
    enlarged = (max(size[0], round(height * scale)), max(size[1], round(width * scale)))
    if enlarged != (height, width):
        # Floats in between: the uint8 path of torch rounds differently from one CPU to another.
        resized = interpolate(batch.float(), enlarged, mode="bilinear", antialias=True)
        batch = resized.round().clamp(0, 255)
    top, left = (enlarged[0] - size[0]) // 2, (enlarged[1] - size[1]) // 2
    return batch[:, :, top : top + size[0], left : left + size[1]]
