"""From images to features: the extractor, and HDF5 stores of what it makes, cached by content."""

from __future__ import annotations
