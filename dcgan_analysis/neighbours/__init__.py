"""Nearest neighbours in the space of pixels: exact, of any number of rows, in little memory.

NearestNeighbours   queries fixed, rows streaming by -> the nearest row of each query so far
coverage            real and generated rows          -> which real ones have a generated neighbour
"""

from __future__ import annotations

from dcgan_analysis.neighbours.coverage import coverage
from dcgan_analysis.neighbours.exact import NearestNeighbours

__all__ = ["NearestNeighbours", "coverage"]
