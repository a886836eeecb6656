"""For authors of plugins: pytest fixtures, which pytest finds by itself, and a check of the contract.

Fixtures (see ``fixtures.py``): ``tiny_checkpoint``, ``tiny_conditional_checkpoint``, ``synthetic_dataset``,
``tiny_store``, ``dcgan_context``, ``dcgan_plugins``, ``dcgan_registry``, ``run_cli``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from dcgan_analysis.conformance.checks import check_analysis as check_analysis
    from dcgan_analysis.conformance.entries import check_architecture as check_architecture
    from dcgan_analysis.conformance.entries import check_dataset as check_dataset
    from dcgan_analysis.conformance.images import make_dataset as make_dataset
    from dcgan_analysis.conformance.tiny import make_checkpoint as make_checkpoint
    from dcgan_analysis.conformance.tiny import make_context as make_context
    from dcgan_analysis.testing.cli import CommandOutcome as CommandOutcome

# pytest imports this package in every project of an environment where dcgan-analysis is installed: nothing heavy here.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    "dcgan_analysis",
    submod_attrs={
        "conformance.checks": ["check_analysis"],
        "conformance.entries": ["check_architecture", "check_dataset"],
        "conformance.images": ["make_dataset"],
        "conformance.tiny": ["make_checkpoint", "make_context"],
        "testing.cli": ["CommandOutcome"],
    },
)
