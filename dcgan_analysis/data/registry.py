"""How a named dataset is declared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dcgan_analysis.data.dataset import Dataset


@dataclass(frozen=True)
class DatasetEntry:
    """How a named dataset is declared; reading it is left to ``loader``.

    Attributes:
        name: Lower-case words joined by hyphens: ``"fashion-mnist"``.
        summary: One line, shown by ``dcgan-analyze list datasets``.
        loader: Given the data root (which need not exist) and whether it may download, returns the
            dataset. Import what is heavy inside it: entries are made whenever the program starts.
        state: Given the data root, returns whether the images can be used now, in a word or two: ``"embedded"``,
            ``"here"``, ``"must be downloaded"``. It looks for files and reads none. None: nobody knows.
    """

    name: str
    summary: str
    loader: Callable[[Path, bool], Dataset]
    state: Callable[[Path], str] | None = None
