"""The tab on which exemplars of concepts are picked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nicegui import ui

from dcgan_analysis.annotations.exemplars import EXEMPLARS_FILE
from dcgan_analysis.errors import DcganAnalysisError
from dcgan_analysis_annotate.explorer import Explorer
from dcgan_analysis_annotate.widgets import keys, run_command, thumbnails

if TYPE_CHECKING:
    from dcgan_analysis_annotate.workspace import Workspace

__all__ = ["ExemplarsView"]

_PER_PAGE = 60
_KEYS = {"click": "pick, or put back", "1 to 9": "choose a concept", "→ and ←": "more samples, and back"}


class ExemplarsView:
    """Samples page by page; a click makes one an exemplar of the chosen concept.

    Args:
        workspace: What it shows and changes.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.page = workspace, 0
        self.explorer = Explorer(workspace, label=workspace.label or 0)
        concepts = list(workspace.exemplars().concepts)
        self.concept = concepts[0] if concepts else ""
        with ui.row(wrap=False).classes("w-full items-start gap-4 exemplars"):
            with ui.column().classes("card gap-2").style("width:320px; flex:none"):
                ui.label("Concepts").classes("font-bold")
                self.list = ui.column().classes("w-full gap-1")
                self.name = ui.input("another concept: a name, then Enter").classes("w-full")
                self.name.props("dense data-test=concept").on("keydown.enter", self.add)
                ui.separator()
                ui.label("Expression a - b + c").classes("font-bold")
                with ui.row(wrap=False).classes("w-full gap-1"):
                    chosen = workspace.exemplars().expression or (None, None, None)
                    self.terms = [
                        ui.select(concepts, value=value, clearable=True).props(f"dense outlined label={letter}")
                        for letter, value in zip("abc", chosen, strict=True)
                    ]
                for term in self.terms:
                    term.classes("w-1/3").on_value_change(self.express)
                self.result = ui.element("img").classes("shown").style("width:128px")
                ui.separator()
                keys(_KEYS)
                self.command = run_command()
            with ui.column().classes("card").style("flex:1; min-width:0"):
                with ui.row().classes("items-center"):
                    ui.button("Back", on_click=lambda: self.turn(-1)).props("flat dense no-caps")
                    self.title = ui.label().classes("quiet")
                    ui.button("More", on_click=lambda: self.turn(1)).props("flat dense no-caps data-test=more")
                self.thumbs = thumbnails([], self.toggle, height="76vh")
        self.turn(0)

    def entered(self) -> None:
        """Show what may have changed on another tab."""
        self.refresh()

    def key(self, name: str) -> None:
        """Act on a key."""
        names = list(self.workspace.exemplars().concepts)
        if name in ("ArrowRight", "PageDown"):
            self.turn(1)
        elif name in ("ArrowLeft", "PageUp"):
            self.turn(-1)
        elif name.isdecimal() and 1 <= int(name) <= len(names):
            self.choose(names[int(name) - 1])

    def turn(self, pages: int) -> None:
        """Show other samples."""
        self.page = max(0, self.page + pages)
        first = self.page * _PER_PAGE
        self.thumbs.show(
            self.workspace.urls(range(first, first + _PER_PAGE)), lambda number: f"sample {first + number}"
        )
        self.title.set_text(f"samples {first} to {first + _PER_PAGE - 1} of seed {self.workspace.seed}")
        self.refresh()

    def add(self) -> None:
        """Add a concept and choose it."""
        concepts = dict(self.workspace.exemplars().concepts)
        name = " ".join(str(self.name.value or "").split())
        concepts.setdefault(name, [])
        if self.save(concepts):
            self.concept = name
            self.name.set_value("")
            self.name.run_method("blur")
            self.refresh()

    def choose(self, concept: str) -> None:
        """Turn to a concept."""
        self.concept = concept
        self.refresh()

    def forget(self, concept: str) -> None:
        """Remove a concept."""
        concepts = dict(self.workspace.exemplars().concepts)
        concepts.pop(concept, None)
        self.save(concepts)
        self.concept = next(iter(concepts), "")
        self.refresh()

    def toggle(self, number: int) -> None:
        """Pick a sample for the chosen concept, or put it back."""
        if not self.concept:
            ui.notify("First name a concept: type it at the left and press Enter.", type="warning")
            return
        index = self.page * _PER_PAGE + number
        concepts = {name: list(members) for name, members in self.workspace.exemplars().concepts.items()}
        picked = concepts.setdefault(self.concept, [])
        if index in picked:
            picked.remove(index)
        else:
            picked.append(index)
        self.save(concepts)
        self.refresh()

    def express(self) -> None:
        """Take the expression from the page."""
        self.save(dict(self.workspace.exemplars().concepts))
        self.refresh()

    def save(self, concepts: dict[str, list[int | list[float]]]) -> bool:
        """Write the exemplars."""
        terms = [str(term.value) for term in self.terms if term.value]
        try:
            self.workspace.set_exemplars(concepts, terms if len(terms) == 3 else None)
        except (DcganAnalysisError, OSError) as error:
            ui.notify(f"Not saved: {error}", type="negative", timeout=0, close_button=True)
            return False
        return True

    def refresh(self) -> None:
        """Show the state."""
        exemplars = self.workspace.exemplars()
        self.list.clear()
        with self.list:
            for number, (name, members) in enumerate(exemplars.concepts.items(), 1):
                with ui.row(wrap=False).classes("w-full items-center gap-1"):
                    button = ui.button(f"{number}  {name}  ({len(members)})", on_click=lambda _, n=name: self.choose(n))
                    button.props(f"no-caps dense align=left {'' if name == self.concept else 'flat'}").classes(
                        "flex-grow"
                    )
                    ui.button(icon="close", on_click=lambda _, n=name: self.forget(n)).props("flat dense round size=sm")
        first = self.page * _PER_PAGE
        marks = {
            index - first: "picked" if name == self.concept else "elsewhere"
            for name, members in sorted(exemplars.concepts.items(), key=lambda item: item[0] == self.concept)
            for index in members
            if isinstance(index, int) and 0 <= index - first < _PER_PAGE
        }
        self.thumbs.mark(marks)
        names = list(exemplars.concepts)
        for term in self.terms:
            if term.options != names:
                term.set_options(names, value=term.value if term.value in names else None)
        self.result.set_visibility(exemplars.expression is not None)
        if exemplars.expression is not None:
            a, b, c = exemplars.expression
            self.explorer.calculate(a, b, c)
            self.result._props["src"] = self.explorer.images()[0]
            self.result.update()
        self.command.show("latent-arithmetic", self.workspace, f"exemplars={self.workspace.folder / EXEMPLARS_FILE}")
