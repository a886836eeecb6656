"""What a plugin sees: the analysis contract, its settings, the run context, and the result document."""

from __future__ import annotations

from dcgan_analysis.api.analysis import Analysis, Demo, Needs, needs_of
from dcgan_analysis.api.command import CommandEntry
from dcgan_analysis.api.config import AnalysisConfig
from dcgan_analysis.api.context import RunContext
from dcgan_analysis.api.metrics import (
    accuracy_metric,
    draws_metric,
    error_metric,
    mean_metric,
    paired_metric,
    share_metric,
)
from dcgan_analysis.api.result import Cell, Figure, Metric, Result, Section, Stage, Table

__all__ = [
    "Analysis",
    "AnalysisConfig",
    "Cell",
    "CommandEntry",
    "Demo",
    "Figure",
    "Metric",
    "Needs",
    "Result",
    "RunContext",
    "Section",
    "Stage",
    "Table",
    "accuracy_metric",
    "draws_metric",
    "error_metric",
    "mean_metric",
    "needs_of",
    "paired_metric",
    "share_metric",
]
