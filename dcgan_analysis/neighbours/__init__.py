"""Nearest neighbours among any number of rows, in little memory.

NearestNeighbours   queries fixed, rows streaming by -> the nearest row of each query so far, exactly
nearest_rows        L1 or L2, blocks of rows         -> the k nearest, the query itself left out
coverage            real and generated rows          -> which real ones have a generated neighbour
"""

from __future__ import annotations

from dcgan_analysis.neighbours.coverage import coverage
from dcgan_analysis.neighbours.exact import NearestNeighbours
from dcgan_analysis.neighbours.rows import Nearest, nearest_rows

__all__ = ["Nearest", "NearestNeighbours", "coverage", "nearest_rows"]
