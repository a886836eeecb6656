"""For authors of plugins: pytest fixtures, which pytest finds by itself, and a check of the contract.

Fixtures (see ``fixtures.py``): ``tiny_checkpoint``, ``synthetic_dataset``, ``dcgan_context``, ``dcgan_plugins``,
``dcgan_registry``, ``run_cli``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcgan_analysis.testing.checks import check_analysis
    from dcgan_analysis.testing.cli import Outcome
    from dcgan_analysis.testing.images import make_dataset

__all__ = ["Outcome", "check_analysis", "make_dataset"]

_HOME = {"Outcome": "cli", "check_analysis": "checks", "make_dataset": "images"}


def __getattr__(name: str) -> Any:
    # pytest imports this package in every project of an environment where dcgan-analysis is installed.
    if name not in _HOME:
        msg = f"module '{__name__}' has no attribute '{name}'"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
