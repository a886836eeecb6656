"""What is done to a set of images before training: near-duplicates, faces."""

from __future__ import annotations
