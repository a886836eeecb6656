from __future__ import annotations

import pytest
import torch

from dcgan_analysis.errors import ConfigError
from dcgan_analysis.latents.interpolation import interpolate, walk


@pytest.mark.parametrize("kind", ["linear", "spherical"])
def test_a_walk_passes_every_point_in_turn(kind):
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]])
    path = walk(points, 4, kind)
    assert path.shape == (9, 2)
    torch.testing.assert_close(path[::4], points)


def test_a_great_circle_keeps_the_length_where_a_line_does_not():
    ends, halfway = torch.eye(2) * 3, torch.tensor([0.5])
    assert interpolate(*ends, halfway).norm() < 2.2
    assert interpolate(*ends, halfway, "spherical").norm() == pytest.approx(3)


def test_spherical_steps_have_equal_angles():
    path = interpolate(*torch.eye(2), torch.linspace(0, 1, 4), "spherical")
    angles = torch.rad2deg(torch.atan2(path[:, 1], path[:, 0]))
    torch.testing.assert_close(angles, torch.tensor([0.0, 30.0, 60.0, 90.0]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("factor", [2.0, -1.0, 0.0])
def test_parallel_opposite_and_zero_vectors_are_joined_by_a_line(factor):
    start = torch.tensor([1.0, 2.0])
    path = interpolate(start, factor * start, torch.tensor([0.5]), "spherical")
    torch.testing.assert_close(path[0], (1 + factor) / 2 * start)


def test_a_walk_needs_two_points():
    with pytest.raises(ConfigError, match="at least two points and one step between them, got 1 and 4"):
        walk(torch.zeros(1, 3), 4)
