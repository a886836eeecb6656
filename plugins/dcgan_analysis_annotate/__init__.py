"""The local page of ``dcgan-analyze annotate``: boxes, exemplars, exploring; needs the extra ``annotate``.

workspace   samples, boxes and exemplars of one folder, saved at once; no browser
explorer    one image from a walk or from arithmetic, with maps switched off; no browser
server      the loopback server and who may talk to it
*_view      what the browser shows
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis import hookimpl
from dcgan_analysis.api import CommandEntry

if TYPE_CHECKING:
    from collections.abc import Callable

    import click


@hookimpl
def dcgan_register_commands(register: Callable[[CommandEntry], None]) -> None:
    """Register the command ``annotate``."""
    register(CommandEntry("annotate", "Draw boxes on samples, pick exemplars and explore, in a local page.", _load))


def _load() -> click.Command:
    from dcgan_analysis_annotate.command import command

    return command
