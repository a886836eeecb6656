"""The tab on which boxes are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nicegui import ui

from dcgan_analysis.errors import DcganAnalysisError
from dcgan_analysis_annotate.canvas import Canvas
from dcgan_analysis_annotate.widgets import keys, run_command, thumbnails

if TYPE_CHECKING:
    from dcgan_analysis_annotate.workspace import Workspace

__all__ = ["BoxesView"]

_KEYS = {
    "drag": "draw a box",
    "click": "choose a box",
    "Delete": "remove the chosen or last box",
    "U": "undo",
    "→ or Space": "looked at, next sample",
    "←": "previous sample",
    "N": "next sample not looked at",
}


class BoxesView:
    """One sample after another, with all samples beside it.

    Args:
        workspace: What it shows and changes.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        known = workspace.objects()
        self.object = known[0] if known else ""
        self.sample, self.chosen = 0, -1
        self.shown: list[tuple[float, ...]] = []
        # What this tab did: sample, boxes that it added, boxes that it removed.
        self.changes: list[tuple[int, list[tuple[float, ...]], list[tuple[float, ...]]]] = []
        with ui.row(wrap=False).classes("w-full items-start gap-4"):
            with ui.column().classes("card gap-2").style("width:300px; flex:none"):
                ui.label("What are the boxes around?").classes("font-bold")
                self.picker = ui.select(known, value=self.object or None, on_change=lambda e: self.open(e.value))
                self.picker.classes("w-full").props('dense outlined label="object" data-test=object')
                self.name = (
                    ui.input("another object: a name, then Enter").classes("w-full").props("dense data-test=name")
                )
                self.name.on("keydown.enter", self.add)
                self.progress = ui.label().classes("quiet").props("data-test=progress")
                ui.separator()
                keys(_KEYS)
                ui.separator()
                self.command = run_command()
            with ui.column().classes("items-center gap-2").style("flex:none"):
                self.title = ui.label().classes("font-bold").props("data-test=title")
                self.canvas = Canvas(workspace.size, draw=self.draw, choose=self.choose)
            with ui.column().classes("card").style("flex:1; min-width:0"):
                ui.label("Bright: looked at. Pink frame: has boxes. Click to go there.").classes("quiet")
                self.thumbs = thumbnails(workspace.urls(range(workspace.n)), self.go, height="74vh")
        self.refresh()

    def entered(self) -> None:
        """Show what may have changed on another tab."""
        self.refresh()

    def key(self, name: str) -> None:
        """Act on a key."""
        match name:
            case "ArrowRight" | " " | "Space" | "Enter":
                self.save(self.boxes_shown())
                self.go(min(self.sample + 1, self.workspace.n - 1))
            case "ArrowLeft":
                self.go(max(self.sample - 1, 0))
            case "Delete" | "Backspace":
                self.remove()
            case "u" | "U":
                self.undo()
            case "n" | "N":
                done = set(self.workspace.boxes(self.object).done) if self.object else set()
                self.go(next((i for i in range(self.workspace.n) if i not in done), self.sample))

    def open(self, object: str) -> None:
        """Turn to an object."""
        try:
            self.object = self.workspace.boxes(object).object
        except DcganAnalysisError as error:
            ui.notify(str(error), type="negative")
        self.changes.clear()
        self.refresh()

    def add(self) -> None:
        """Turn to a new object."""
        name = str(self.name.value or "")
        try:
            name = self.workspace.boxes(name).object
        except DcganAnalysisError as error:
            ui.notify(str(error), type="negative")
            return
        self.name.set_value("")
        self.name.run_method("blur")
        self.picker.set_options(sorted({*self.workspace.objects(), name}), value=name)

    def go(self, sample: int) -> None:
        """Show another sample."""
        self.sample, self.chosen = sample, -1
        self.refresh()

    def boxes_shown(self) -> list[tuple[float, ...]]:
        """Return the boxes of the sample shown."""
        return list(self.workspace.boxes(self.object).by_sample().get(self.sample, [])) if self.object else []

    def _unreadable(self, error: DcganAnalysisError) -> None:
        """Say what is wrong with a file that was changed from outside; it is left as it is, and nothing is saved."""
        self.shown = []
        ui.notify(f"Not saved: {error}", type="negative", timeout=0, close_button=True)

    def draw(self, box: list[float]) -> None:
        """Add a box."""
        if not self.object:
            ui.notify("First say what the boxes are around: type a name at the left and press Enter.", type="warning")
            return
        if self.save([*self.boxes_shown(), tuple(box)]):
            self.changes.append((self.sample, [tuple(box)], []))

    def choose(self, number: int) -> None:
        """Choose a box."""
        self.chosen = number
        self.refresh()

    def remove(self) -> None:
        """Remove the chosen box, or the last one, of those shown."""
        if self.shown:
            box = self.shown[self.chosen]
            self.chosen = -1
            boxes = self.boxes_shown()
            if box in boxes:  # another tab may have removed it
                boxes.remove(box)
                if self.save(boxes):
                    self.changes.append((self.sample, [], [box]))
            else:
                self.refresh()

    def undo(self) -> None:
        """Take back the last change of this tab, on whichever sample it was; what others did since stays."""
        if self.changes:
            self.sample, added, removed = self.changes[-1]
            self.chosen = -1
            boxes = [box for box in self.boxes_shown() if box not in added]
            if self.save([*boxes, *(box for box in removed if box not in boxes)]):
                self.changes.pop()

    def save(self, boxes: list[tuple[float, ...]]) -> bool:
        """Write the boxes of the sample shown; return whether the disk has them."""
        saved = False
        if self.object:
            try:
                self.workspace.set_boxes(self.object, self.sample, boxes)
                saved = True
            except (DcganAnalysisError, OSError) as error:
                ui.notify(f"Not saved: {error}", type="negative", timeout=0, close_button=True)
        self.refresh()
        return saved

    def refresh(self) -> None:
        """Show the state."""
        workspace = self.workspace
        try:
            self.shown = self.boxes_shown()
        except DcganAnalysisError as error:
            self._unreadable(error)
            return
        self.canvas.show(workspace.urls([self.sample])[0], self.shown, self.chosen)
        self.title.set_text(f"sample {self.sample} of {workspace.n - 1}")
        if not self.object:
            self.progress.set_text("no object yet")
            self.thumbs.mark({self.sample: "now"})
            return
        boxes = workspace.boxes(self.object)
        boxed, done = boxes.by_sample(), set(boxes.done)
        marks = {i: "done boxed" if i in boxed else "done" for i in done | set(boxed)}
        marks[self.sample] = "now"
        self.thumbs.mark(marks)
        looked = len(done & set(range(workspace.n)))
        self.progress.set_text(
            f"Looked at: {looked} of {workspace.n}. Boxes: {len(boxes.boxes)}, on samples: {len(boxed)}."
        )
        self.command.show("filter-dropout", workspace, f"boxes={workspace.path_of(self.object)}")
