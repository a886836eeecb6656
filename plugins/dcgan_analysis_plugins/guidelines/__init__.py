"""The analysis ``guidelines``: section 3 of the paper as an experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis import hookimpl
from dcgan_analysis_plugins.guidelines.analysis import Guidelines

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.api import Analysis


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Register the analysis."""
    register(Guidelines())
