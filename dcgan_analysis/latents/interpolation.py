"""Paths through latent space: straight lines, and great circles."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Literal

import torch

from dcgan_analysis.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

PathKind = Literal["linear", "spherical"]

# Below this angle sin is too small to divide by; the line is then the same path.
_NEARLY_PARALLEL = 1e-4


def interpolate(start: Tensor, end: Tensor, shares: Tensor, kind: PathKind = "linear") -> Tensor:
    """Return the vectors at given shares of the way between two latent vectors.

    Args:
        start: (Z,).
        end: (Z,).
        shares: (T,), 0 is ``start`` and 1 is ``end``.
        kind: ``linear``, as in the paper; or ``spherical``: sin((1 - t) a) / sin a * start + sin(t a) / sin a * end
            with the angle a between both (Shoemake 1985). A straight line passes nearer to the origin than its ends
            lie, where high-dimensional priors have next to no mass; the circle keeps the length.

    Returns:
        (T, Z).

    Example:
        >>> import torch
        >>> ends = torch.eye(2)
        >>> interpolate(ends[0], ends[1], torch.tensor([0.5])).tolist()
        [[0.5, 0.5]]
        >>> interpolate(ends[0], ends[1], torch.tensor([0.5]), "spherical").norm().round(decimals=4).item()
        1.0
    """
    t = shares.to(start.dtype)[:, None]
    lengths = float(start.norm() * end.norm())
    if kind == "spherical" and lengths > 0:
        angle = torch.arccos((torch.dot(start, end) / lengths).clamp(-1, 1))
        if _NEARLY_PARALLEL < float(angle) < torch.pi - _NEARLY_PARALLEL:
            return (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / torch.sin(angle)
    return (1 - t) * start + t * end


def walk(points: Tensor, steps: int, kind: PathKind = "linear") -> Tensor:
    """Return a path from point to point.

    Args:
        points: (P, Z), P >= 2.
        steps: Steps from one point to the next.
        kind: As in :func:`interpolate`.

    Returns:
        ((P - 1) * steps + 1, Z); row ``i * steps`` is point i.

    Raises:
        ConfigError: If there are fewer than two points, or no step.
    """
    if len(points) < 2 or steps < 1:
        msg = f"A walk takes at least two points and one step between them, got {len(points)} and {steps}."
        raise ConfigError(msg)
    shares = torch.arange(steps) / steps
    legs = [interpolate(a, b, shares, kind) for a, b in itertools.pairwise(points)]
    return torch.cat([*legs, points[-1:]])
