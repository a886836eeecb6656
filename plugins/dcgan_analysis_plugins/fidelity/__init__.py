"""The analysis ``fidelity``: how near samples come to real images, and how many kinds of these they reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis import hookimpl
from dcgan_analysis_plugins.fidelity.analysis import Fidelity

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.api import Analysis


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Register the analysis."""
    register(Fidelity())
