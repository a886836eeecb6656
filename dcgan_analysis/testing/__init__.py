"""For authors of plugins: pytest fixtures, which pytest finds by itself, and a check of the contract.

Fixtures (see ``fixtures.py``): ``tiny_checkpoint``, ``tiny_conditional_checkpoint``, ``synthetic_dataset``,
``tiny_store``, ``dcgan_context``, ``dcgan_plugins``, ``dcgan_registry``, ``run_cli``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcgan_analysis.testing.checks import check_analysis
    from dcgan_analysis.testing.cli import Outcome
    from dcgan_analysis.testing.entries import check_architecture, check_dataset
    from dcgan_analysis.testing.images import make_dataset
    from dcgan_analysis.testing.tiny import make_checkpoint, make_context

__all__ = [
    "Outcome",
    "check_analysis",
    "check_architecture",
    "check_dataset",
    "make_checkpoint",
    "make_context",
    "make_dataset",
]

_HOME = {
    "Outcome": "cli",
    "check_analysis": "checks",
    "check_architecture": "entries",
    "check_dataset": "entries",
    "make_checkpoint": "tiny",
    "make_context": "tiny",
    "make_dataset": "images",
}


def __getattr__(name: str) -> Any:
    # pytest imports this package in every project of an environment where dcgan-analysis is installed.
    if name not in _HOME:
        msg = f"module '{__name__}' has no attribute '{name}'"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
