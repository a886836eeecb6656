"""latent-arithmetic: does a - b + c in latent space mean what it means in words? (section 6.3.2, Figure 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis import hookimpl
from dcgan_analysis_plugins.latent_arithmetic.analysis import LatentArithmetic

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.api import Analysis


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Register the analysis."""
    register(LatentArithmetic())
