"""The page: three tabs in front of one workspace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nicegui import Client, ui

from dcgan_analysis_annotate.boxes_view import BoxesView
from dcgan_analysis_annotate.exemplars_view import ExemplarsView
from dcgan_analysis_annotate.explore_view import ExploreView

if TYPE_CHECKING:
    from fastapi import FastAPI
    from nicegui.events import KeyEventArguments

    from dcgan_analysis_annotate.workspace import Workspace

__all__ = ["make_app"]

_MOST_WAITING = 8
_STYLE = Path(__file__).with_name("page.css")
_TABS = {"Boxes": BoxesView, "Exemplars": ExemplarsView, "Explore": ExploreView}


def make_app(workspace: Workspace) -> FastAPI:
    """Return the application that shows a workspace."""
    from fastapi import FastAPI

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    ui.run_with(
        app,
        root=lambda: build(workspace),
        title=f"{workspace.checkpoint.name} - dcgan-analysis",
        show_welcome_message=False,
    )
    return app


def _forget_unopened() -> None:
    """Drop pages that were asked for and never opened: each holds all samples, and a minute is long."""
    waiting = [client for client in Client.instances.values() if not client.has_socket_connection]
    for client in sorted(waiting, key=lambda client: client.created)[:-_MOST_WAITING]:
        client.delete()


def build(workspace: Workspace) -> None:
    """Build the page for one browser tab."""
    _forget_unopened()
    ui.add_css(_STYLE.read_text(encoding="utf-8"))
    views: dict[str, Any] = {}
    with ui.header().classes("items-center q-py-none").style("background:#1f2933"):
        ui.label(workspace.checkpoint.name).classes("text-lg")
        with ui.tabs().props("dense no-caps") as tabs:
            for name in _TABS:
                ui.tab(name)
        ui.space()
        ui.label(f"saved at once in {workspace.folder}").classes("text-xs").style("opacity:.7")
    with ui.tab_panels(tabs, value="Boxes", animated=False).classes("w-full").style("background:transparent"):
        for name, view in _TABS.items():
            with ui.tab_panel(name).classes("q-pa-sm"):
                views[name] = view(workspace)

    def key(event: KeyEventArguments) -> None:
        if event.action.keydown and not event.modifiers.ctrl and not event.modifiers.meta:
            views[str(tabs.value)].key(str(event.key.name))

    ui.keyboard(on_key=key)

    def entered() -> None:
        # The tab keeps the keyboard otherwise: Space would press it again.
        ui.run_javascript("document.activeElement.blur()")
        views[str(tabs.value)].entered()

    tabs.on_value_change(entered)
