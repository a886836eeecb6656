"""What a run leaves for people: one HTML report, a table in the terminal, comparisons.

Names are resolved on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcgan_analysis.report.compare import comparison_table
    from dcgan_analysis.report.console import print_result, print_table
    from dcgan_analysis.report.html import check_section, render_report, write_report
    from dcgan_analysis.report.paired import paired_table

__all__ = [
    "REPORT_NAME",
    "check_section",
    "comparison_table",
    "paired_table",
    "print_result",
    "print_table",
    "render_report",
    "write_report",
]

REPORT_NAME = "report.html"
"""Name of the report in a run folder."""

_HOME = {
    "check_section": "html",
    "comparison_table": "compare",
    "paired_table": "paired",
    "print_result": "console",
    "print_table": "console",
    "render_report": "html",
    "write_report": "html",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module '{__name__}' has no attribute '{name}'"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
