"""max-activations: which images does each filter respond to most, layer by layer? (section 6.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis import hookimpl
from dcgan_analysis_plugins.max_activations.analysis import MaxActivations

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.api import Analysis


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Register the analysis."""
    register(MaxActivations())
