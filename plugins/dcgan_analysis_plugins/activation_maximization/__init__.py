"""activation-maximization: which image would a filter like most? (section 6.2, by gradient ascent on the input)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis import hookimpl
from dcgan_analysis_plugins.activation_maximization.analysis import ActivationMaximization

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.api import Analysis


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Register the analysis."""
    register(ActivationMaximization())
