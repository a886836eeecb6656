"""The version of the program, as its installed distribution says it."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("dcgan-analysis")
