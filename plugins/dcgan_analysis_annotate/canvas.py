"""The drawing area of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nicegui import ui

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Canvas"]


class Canvas(ui.element, component="canvas.js"):
    """A sample on which boxes are drawn by dragging and chosen by clicking.

    Args:
        size: Height and width of the sample.
        draw: Called with a new box (x, y, width, height).
        choose: Called with the number of the box that was clicked, -1 beside all boxes.
    """

    def __init__(
        self, size: tuple[int, int], *, draw: Callable[[list[float]], None], choose: Callable[[int], None]
    ) -> None:
        super().__init__()
        self._props.update(h=size[0], w=size[1], src="", boxes=[], chosen=-1)
        self.on("draw", lambda event: draw([float(value) for value in event.args]))
        self.on("choose", lambda event: choose(int(event.args)))

    def show(self, src: str, boxes: Sequence[Sequence[float]], chosen: int) -> None:
        """Show a sample with its boxes."""
        self._props.update(src=src, boxes=[list(box) for box in boxes], chosen=chosen)
        self.update()
