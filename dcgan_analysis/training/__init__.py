"""Training a DCGAN by the paper's recipe, resumable to the bit.

Names are imported on first use: presets and settings need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcgan_analysis.training.config import TrainingConfig
    from dcgan_analysis.training.presets import Preset, list_presets, load_preset
    from dcgan_analysis.training.trainer import Trainer
    from dcgan_analysis.training.watching import Steps, Watcher

__all__ = ["Preset", "Steps", "Trainer", "TrainingConfig", "Watcher", "list_presets", "load_preset"]

_HOMES = {
    "Preset": "presets",
    "Steps": "watching",
    "Trainer": "trainer",
    "TrainingConfig": "config",
    "Watcher": "watching",
    "list_presets": "presets",
    "load_preset": "presets",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
