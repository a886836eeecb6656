"""Training a DCGAN by the paper's recipe, resumable to the bit."""

from __future__ import annotations

from dcgan_analysis.training.config import TrainingConfig
from dcgan_analysis.training.trainer import Trainer

__all__ = ["Trainer", "TrainingConfig"]
