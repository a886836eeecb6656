"""For authors of plugins: pytest fixtures, which pytest finds by itself, and a check of the contract.

Fixtures (see ``fixtures.py``): ``tiny_checkpoint``, ``tiny_conditional_checkpoint``, ``synthetic_dataset``,
``tiny_store``, ``dcgan_context``, ``dcgan_plugins``, ``dcgan_registry``, ``run_cli``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcgan_analysis.conformance.checks import check_analysis
    from dcgan_analysis.conformance.entries import check_architecture, check_dataset
    from dcgan_analysis.conformance.images import make_dataset
    from dcgan_analysis.conformance.tiny import make_checkpoint, make_context
    from dcgan_analysis.testing.cli import Outcome

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
    "Outcome": "testing.cli",
    "check_analysis": "conformance.checks",
    "check_architecture": "conformance.entries",
    "check_dataset": "conformance.entries",
    "make_checkpoint": "conformance.tiny",
    "make_context": "conformance.tiny",
    "make_dataset": "conformance.images",
}


def __getattr__(name: str) -> Any:
    # pytest imports this package in every project of an environment where dcgan-analysis is installed.
    if name not in _HOME:
        msg = f"module '{__name__}' has no attribute '{name}'"
        raise AttributeError(msg)
    return getattr(import_module(f"dcgan_analysis.{_HOME[name]}"), name)
