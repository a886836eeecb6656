"""Max-pooling of activation maps to a fixed grid (section 5.1: "maxpooling each layer's representation to 4x4")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["pool_to_grid", "pooled_shape"]


def pooled_shape(shape: tuple[int, ...], grid: int) -> tuple[int, int, int]:
    """Return (C, height, width) after pooling an activation of shape (C, H, W) or (D,).

    Example:
        >>> pooled_shape((128, 32, 32), 4), pooled_shape((512, 2, 2), 4), pooled_shape((1024,), 4)
        ((128, 4, 4), (512, 2, 2), (1024, 1, 1))
    """
    if len(shape) == 1:
        return (shape[0], 1, 1)
    channels, height, width = shape
    return (channels, min(grid, height), min(grid, width))


def pool_to_grid(maps: Tensor, grid: int) -> Tensor:
    """Max-pool maps to at most ``grid`` x ``grid`` cells and flatten.

    Args:
        maps: Activations (N, C, H, W), or (N, D), which pass unchanged.
        grid: Cells per side. Maps that are smaller already are kept; where the side is no multiple of the
            grid, cells are those of adaptive pooling (they may overlap by a row).

    Returns:
        (N, C * h * w), channel by channel, rows before columns.
    """
    if maps.dim() == 2:
        return maps
    _, _, height, width = maps.shape
    if height <= grid and width <= grid:
        return maps.flatten(1)
    if height % grid == 0 and width % grid == 0:
        # The same cells as adaptive pooling, by the kernel that is vectorised for channels-last.
        return F.max_pool2d(maps, (height // grid, width // grid)).flatten(1)
    return F.adaptive_max_pool2d(maps, (min(grid, height), min(grid, width))).flatten(1)
