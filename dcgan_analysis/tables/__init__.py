"""The paper's tables with this program's rows beside the published ones.

Names are resolved on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcgan_analysis.tables.gather import PaperTable, Request, Row, make_table
    from dcgan_analysis.tables.render import write_table

__all__ = ["PaperTable", "Request", "Row", "make_table", "write_table"]

_HOME = {"PaperTable": "gather", "Request": "gather", "Row": "gather", "make_table": "gather", "write_table": "render"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module '{__name__}' has no attribute '{name}'"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
