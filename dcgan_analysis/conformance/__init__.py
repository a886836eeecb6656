"""The contracts of what plugins register, as checks: for authors' tests and for ``dcgan-analyze plugins check``."""

from __future__ import annotations
