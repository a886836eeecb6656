"""The tab on which a generator is explored."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nicegui import ui

from dcgan_analysis.errors import DcganAnalysisError
from dcgan_analysis_annotate.explorer import POINTS, Explorer
from dcgan_analysis_annotate.widgets import thumbnails

if TYPE_CHECKING:
    from dcgan_analysis_annotate.workspace import Workspace

__all__ = ["ExploreView"]

WALK, ARITHMETIC = "walk", "arithmetic"
_THROTTLE_SECONDS = 0.03


class ExploreView:
    """An image, where it comes from, and the maps that draw it.

    Args:
        workspace: What it shows.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.explorer = Explorer(workspace, label=workspace.label or 0)
        layers = self.explorer.layers
        self.layer = layers[-1] if layers else ""
        classes = workspace.checkpoint.architecture.classes
        with ui.row(wrap=False).classes("w-full items-start gap-4"):
            with ui.column().classes("card gap-2").style("width:330px; flex:none"):
                self.kind = ui.toggle([WALK, ARITHMETIC], value=WALK, on_change=self.entered).props("no-caps dense")
                with ui.column().classes("w-full gap-1").bind_visibility_from(self.kind, "value", value=WALK):
                    ui.label(f"Along {POINTS} random points").classes("quiet")
                    self.place = ui.slider(min=0, max=POINTS - 1, step=0.02, value=0).props("data-test=walk markers=1")
                    seed = ui.number("seed of the points", value=0, min=0, precision=0, on_change=self.points)
                    seed.props("dense").classes("w-full")
                with ui.column().classes("w-full gap-1").bind_visibility_from(self.kind, "value", value=ARITHMETIC):
                    ui.label("c + amount (a - b), of the exemplars picked").classes("quiet")
                    self.terms = [ui.select([]).props(f"dense outlined label={x}").classes("w-full") for x in "abc"]
                    self.amount = ui.slider(min=0, max=2, step=0.02, value=1).props("label")
                for slider in (self.place, self.amount):
                    slider.on("update:model-value", self.step, throttle=_THROTTLE_SECONDS)
                    # Maps follow when the slider is let go: drawing them all at every step would make it jerk.
                    slider.on("change", self.show_maps)
                for term in self.terms:
                    term.on_value_change(self.step)
                    term.on_value_change(self.show_maps)
                if classes:
                    ui.select(list(range(classes)), value=self.explorer.label, on_change=self.relabel).props(
                        'dense outlined label="class"'
                    ).classes("w-full")
                self.speed = ui.label().classes("quiet").props("data-test=speed")
            with ui.column().classes("items-center gap-1").style("flex:none"):
                self.image = ui.element("img").classes("shown").style("width:min(56vh,40vw)").props("data-test=image")
                ui.label("all maps").classes("quiet")
                self.whole = ui.element("img").classes("shown").style("width:min(18vh,13vw)").props("data-test=whole")
            with ui.column().classes("card gap-2").style("flex:1; min-width:0"):
                ui.label("Feature maps: click to switch off and on").classes("font-bold")
                if layers:
                    ui.select(layers, value=self.layer, on_change=lambda e: self.show_layer(e.value)).props(
                        'dense outlined label="layer"'
                    )
                    with ui.row().classes("items-center gap-1"):
                        for text, on in (("all on", True), ("all off", False)):
                            ui.button(text, on_click=lambda _, on=on: self.switch_all(on)).props("flat dense no-caps")
                        self.count = ui.label().classes("quiet").props("data-test=off")
                else:
                    self.count = ui.label("This generator has no layers with maps.").classes("quiet")
                self.thumbs = thumbnails([], self.switch, height="60vh", classes="maps")
        self.show_layer(self.layer)

    def entered(self) -> None:
        """Show what may have changed on another tab."""
        names = list(self.workspace.exemplars().concepts)
        chosen = self.workspace.exemplars().expression or (None, None, None)
        for term, value in zip(self.terms, chosen, strict=True):
            if term.options != names:
                term.set_options(names, value=term.value if term.value in names else value)
        self.step()

    def key(self, name: str) -> None:
        """Act on a key: none has a meaning here."""

    def points(self, event: object) -> None:
        """Walk along other points."""
        value = getattr(event, "value", None)
        self.explorer.walk_seed = max(0, int(value or 0))
        self.step()
        self.show_maps()

    def relabel(self, event: object) -> None:
        """Show another class."""
        self.explorer.label = int(getattr(event, "value", 0))
        self.step()
        self.show_maps()

    def step(self) -> None:
        """Go where the controls say and show the image."""
        started = time.perf_counter()
        if self.kind.value == WALK:
            self.explorer.walk(float(self.place.value))
        elif all(term.value for term in self.terms):
            try:
                a, b, c = (str(term.value) for term in self.terms)
                self.explorer.calculate(a, b, c, amount=float(self.amount.value))
            except DcganAnalysisError as error:
                ui.notify(str(error), type="warning")
        for place, source in zip((self.image, self.whole), self.explorer.images(), strict=True):
            place._props["src"] = source
            place.update()
        self.speed.set_text(f"drawn in {1000 * (time.perf_counter() - started):.0f} ms")

    def show_layer(self, layer: str) -> None:
        """Show the maps of a layer for the image shown."""
        self.layer = layer
        self.step()
        if layer:
            self.thumbs.show(self.explorer.maps(layer), lambda number: f"map {number}")
            self.refresh()

    def show_maps(self) -> None:
        """Show the same layer's maps for the image shown by now."""
        if self.layer:
            self.thumbs.replace(self.explorer.maps(self.layer))

    def switch(self, number: int) -> None:
        """Switch one map off, or on again."""
        self.explorer.switch(self.layer, [number], on=number in self.explorer.off.get(self.layer, set()))
        self.refresh()

    def switch_all(self, on: bool) -> None:
        """Switch all maps of the layer on or off."""
        self.explorer.switch(self.layer, range(len(self.thumbs.images)), on=on)
        self.refresh()

    def refresh(self) -> None:
        """Show which maps are off and what that does."""
        off = self.explorer.off.get(self.layer, set())
        self.thumbs.mark(dict.fromkeys(off, "off"))
        others = sum(len(maps) for layer, maps in self.explorer.off.items() if layer != self.layer)
        more = f", {others} of other layers" if others else ""
        self.count.set_text(f"{len(off)} of {len(self.thumbs.images)} off{more}")
        self.step()
