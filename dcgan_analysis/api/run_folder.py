"""What a run leaves for its result and report: timed stages, notes, figures, files."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dcgan_analysis.api.result import Figure, Stage
from dcgan_analysis.core.files import write_text
from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from matplotlib.figure import Figure as MatplotlibFigure

__all__ = ["RunFolder"]


@dataclass
class RunFolder:
    """The folder of a run and the record of what is in it; a ``RunContext`` is one.

    Attributes:
        output_dir: The run folder; write nowhere else.
    """

    output_dir: Path
    _stages: list[Stage] = field(default_factory=list, kw_only=True)
    _figures: list[Figure] = field(default_factory=list, kw_only=True)
    _files: dict[str, str] = field(default_factory=dict, kw_only=True)
    _notes: list[str] = field(default_factory=list, kw_only=True)
    _warnings: list[str] = field(default_factory=list, kw_only=True)

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Time a part of the run; it appears in the result, with a ``note`` if the block sets one."""
        started = time.perf_counter()
        stage = Stage(name=name, seconds=0)
        try:
            yield stage
        finally:
            stage.seconds = time.perf_counter() - started
            self._stages.append(stage)

    def note(self, text: str) -> None:
        """Add a sentence that a reader of the numbers must know."""
        if text not in self._notes:
            self._notes.append(text)

    def warn(self, text: str) -> None:
        """Add a warning, shown on top of the report."""
        if text not in self._warnings:
            self._warnings.append(text)

    def save_figure(self, figure: MatplotlibFigure, name: str, title: str, caption: str = "") -> Figure:
        """Save a matplotlib figure as ``figures/<name>.png`` and show it in the report.

        Returns:
            Its record, for a ``Section`` of the report.

        Raises:
            AnalysisError: If the run has saved a figure of this name already.
        """
        from dcgan_analysis.figures import save_png

        if any(known.name == name for known in self._figures):
            msg = f"Figure '{name}' is saved twice in one run. Give the second another name."
            raise AnalysisError(msg)
        file = f"figures/{name}.png"
        save_png(figure, self.output_dir / file)
        saved = Figure(name=name, file=file, title=title, caption=caption)
        self._figures.append(saved)
        return saved

    def save_image(self, image: np.ndarray, name: str, title: str, caption: str = "", *, scale: int = 1) -> None:
        """Save an image as it is, pixel by pixel, as ``figures/<name>.png`` and show it in the report.

        Args:
            image: uint8 (C, H, W), C of 1 or 3.
            name: Unique within the run.
            title: Shown above it.
            caption: What a reader must know.
            scale: How many dots wide and high each pixel becomes.
        """
        from dcgan_analysis.figures import save_image

        file = f"figures/{name}.png"
        save_image(image, self.output_dir / file, scale=scale)
        self._figures.append(Figure(name=name, file=file, title=title, caption=caption))

    def save_animation(
        self,
        frames: np.ndarray,
        name: str,
        title: str,
        caption: str = "",
        *,
        milliseconds: int = 80,
        scale: int = 1,
    ) -> None:
        """Save frames as an endless animation, ``figures/<name>.gif``, and show it in the report.

        Args:
            frames: uint8 (T, C, H, W), C of 1 or 3.
            name: Unique within the run.
            title: Shown above it.
            caption: What a reader must know.
            milliseconds: How long each frame stands.
            scale: How many dots wide and high each pixel becomes.
        """
        from dcgan_analysis.figures import save_gif

        file = f"figures/{name}.gif"
        save_gif(frames, self.output_dir / file, milliseconds=milliseconds, scale=scale)
        self._figures.append(Figure(name=name, file=file, title=title, caption=caption))

    def save_json(self, name: str, document: Any) -> Path:
        """Save a document as ``<name>.json`` in the run folder and list it in the result."""
        path = self.output_dir / f"{name}.json"
        write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")
        self._files[name] = path.name
        return path

    def save_arrays(self, name: str, **arrays: np.ndarray) -> Path:
        """Save arrays as ``<name>.npz`` in the run folder and list it in the result."""
        import numpy as np

        path = self.output_dir / f"{name}.npz"
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
        self._files[name] = path.name
        return path
