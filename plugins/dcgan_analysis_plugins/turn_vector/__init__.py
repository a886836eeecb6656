"""turn-vector: does one direction in latent space turn a face, and leave the rest alone? (section 6.3.2, Figure 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis import hookimpl
from dcgan_analysis_plugins.turn_vector.analysis import TurnVector

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.api import Analysis


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Register the analysis."""
    register(TurnVector())
