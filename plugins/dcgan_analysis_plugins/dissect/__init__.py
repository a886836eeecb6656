"""The analysis ``dissect``: which units of the two networks answer to a concept, and what they do to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis import hookimpl
from dcgan_analysis_plugins.dissect.analysis import Dissect

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.api import Analysis


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Register the analysis."""
    register(Dissect())
