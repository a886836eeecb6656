"""What is kept on disk: checkpoints (safetensors) and feature stores (HDF5), both identified by content."""

from __future__ import annotations
