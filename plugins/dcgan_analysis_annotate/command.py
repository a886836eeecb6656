"""``dcgan-analyze annotate``: a local page to draw boxes, pick exemplars and explore a generator."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import say

__all__ = ["command"]


@click.command()
@options.checkpoint_option
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of the annotations.  [default: annotations/CHECKPOINT]",
)
@click.option("--n", type=click.IntRange(min=1), default=150, show_default=True, help="Samples to draw boxes on.")
@options.seed_option
@click.option("--label", type=click.IntRange(min=0), help="Class of a conditional generator.  [default: in turn]")
@click.option("--port", type=click.IntRange(0, 65535), default=8064, show_default=True, help="Port; 0: any free one.")
@click.option("--no-browser", is_flag=True, help="Print the address and open nothing.")
def command(
    checkpoint: str | None, folder: Path | None, n: int, seed: int, label: int | None, port: int, no_browser: bool
) -> None:
    """Draw boxes, pick exemplars and explore, in the browser.

    The page is served on 127.0.0.1 alone and asks nobody else for anything. Every change is saved at once to
    boxes-OBJECT.json and exemplars.json in --folder, and the same command goes on from there. Stop with Ctrl-C.
    """
    from dcgan_analysis_annotate.server import check_extra, listen, serve

    check_extra()
    with listen(port) as listener:
        from dcgan_analysis.checkpoints.sampling import class_labels
        from dcgan_analysis.core.files import make_folder, writer_lock
        from dcgan_analysis.errors import AnnotationError
        from dcgan_analysis.runs.library import load_checkpoint
        from dcgan_analysis_annotate.workspace import Workspace

        loaded = load_checkpoint(checkpoint or "cifar10-dcgan32-w64")
        class_labels(loaded.architecture, [0], label)
        place = folder or Path("annotations") / loaded.name
        workspace = Workspace(loaded, place, seed=seed, n=n, label=label)
        workspace.check()

        def opened(address: str) -> None:
            say(f"{address}  (annotations: {place}; stop with Ctrl-C)")
            if not no_browser:
                click.launch(address)

        make_folder(place)
        with writer_lock(place / "annotations", f"The folder of annotations '{place}'", AnnotationError):
            serve(workspace, listener, opened=opened)
        with suppress(OSError):
            place.rmdir()  # nothing was annotated
    say(f"Stopped. Everything is saved in {place}")
