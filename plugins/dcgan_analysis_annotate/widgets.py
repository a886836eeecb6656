"""Parts that the tabs share."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from nicegui import ui

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dcgan_analysis_annotate.workspace import Workspace

__all__ = ["Command", "Thumbnails", "keys", "run_command", "thumbnails"]


class Thumbnails:
    """Small images in rows, each with marks (CSS classes).

    Args:
        sources: Data URLs.
        click: Called with the number of the one that was clicked.
        height: Of the area; it scrolls.
        classes: Of the area.
    """

    def __init__(
        self, sources: Sequence[str], click: Callable[[int], None], *, height: str = "auto", classes: str = ""
    ) -> None:
        self._click = click
        self._marks: dict[int, str] = {}
        self.area = ui.element("div").classes(f"thumbs w-full {classes}").style(f"max-height:{height}")
        self.show(sources)

    def show(self, sources: Sequence[str], title: Callable[[int], str] = str) -> None:
        """Show other images; marks are gone."""
        self._marks = {}
        self.area.clear()
        with self.area:
            self.images = [
                ui.element("img").classes("thumb").props(f'draggable=false title="{title(number)}"')
                for number in range(len(sources))
            ]
        for number, (image, source) in enumerate(zip(self.images, sources, strict=True)):
            image._props["src"] = source
            image.on("click", lambda _, number=number: self._click(number))

    def replace(self, sources: Sequence[str]) -> None:
        """Show other images in the same places; marks stay."""
        for image, source in zip(self.images, sources, strict=True):
            image._props["src"] = source
            image.update()

    def mark(self, marks: Mapping[int, str]) -> None:
        """Set the marks of all images; only what differs is sent."""
        for number in self._marks.keys() | marks.keys():
            before, after = self._marks.get(number, ""), marks.get(number, "")
            if before != after and number < len(self.images):
                self.images[number].classes(add=after, remove=" ".join(set(before.split()) - set(after.split())))
        self._marks = dict(marks)


class Command:
    """The command line that uses what was annotated."""

    def __init__(self) -> None:
        ui.label("Then run").classes("quiet")
        self.text = (
            ui.label().classes("text-xs").style("font-family:monospace; overflow-wrap:anywhere; user-select:all")
        )

    def show(self, analysis: str, workspace: Workspace, setting: str) -> None:
        """Show the command of an analysis."""
        words = ["dcgan-analyze", "run", analysis, "--checkpoint", workspace.checkpoint.name, "--set", setting]
        self.text.set_text(shlex.join(words))


def thumbnails(sources: Sequence[str], click: Callable[[int], None], *, height: str, classes: str = "") -> Thumbnails:
    """Add small images to the page."""
    return Thumbnails(sources, click, height=height, classes=classes)


def run_command() -> Command:
    """Add a command line to the page."""
    return Command()


def keys(meanings: Mapping[str, str]) -> None:
    """Add a list of keyboard shortcuts to the page."""
    with ui.grid(columns="auto 1fr").classes("gap-x-3 gap-y-1 items-center"):
        for key, meaning in meanings.items():
            ui.html(f"<kbd>{key}</kbd>", sanitize=False)
            ui.label(meaning).classes("quiet")
