"""A grid of samples as a PNG."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from dcgan_analysis.core.files import atomic_path

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["save_grid"]


def save_grid(pixels: NDArray[np.uint8], path: Path, *, columns: int = 8, scale: int = 2) -> None:
    """Write images, uint8 (N, C, H, W), as one PNG, ``columns`` in a row, each pixel ``scale`` wide."""
    n, channels, height, width = pixels.shape
    rows = -(-n // columns)
    grid = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, channels), 255, np.uint8)
    for index, image in enumerate(pixels.transpose(0, 2, 3, 1)):
        y, x = divmod(index, columns)
        y, x = y * (height + 1), x * (width + 1)
        grid[y : y + height, x : x + width] = image
    picture = Image.fromarray(grid.squeeze(-1) if channels == 1 else grid)
    picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")
