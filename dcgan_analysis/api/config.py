"""Settings of an analysis."""

from __future__ import annotations

from dcgan_analysis.core.settings import Settings

__all__ = ["AnalysisConfig"]


class AnalysisConfig(Settings):
    """Base class of every analysis's settings; ``run NAME --help`` lists its fields with their defaults.

    Example:
        >>> class Hello(AnalysisConfig):
        ...     times: int = 1
        >>> Hello.build({"times": 3}).times
        3
    """
