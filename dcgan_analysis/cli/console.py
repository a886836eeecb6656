"""Where the command line writes: results to standard output, everything else to standard error."""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

import click

from dcgan_analysis.core.distributed import launched_first
from dcgan_analysis.core.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.segment import Segment

# Where a command's context keeps "quiet" or "verbose".
_VERBOSITY = "dcgan_analysis.verbosity"
_OUT, _ERR = 1, 2
_logger = logging.getLogger("dcgan_analysis")
# While standard output is reserved: where the document goes, and what sys.stdout was.
_document: TextIO | None = None
_stdout: TextIO | None = None


def console() -> Console:
    """Return a console on standard output, which shows square brackets in names and messages as they stand.

    What would steer the terminal is shown as an escape: names and titles may come from anybody.
    """
    # rich takes a tenth of a second to import and to draw with; what is light does without.
    from rich.console import Console
    from rich.segment import Segment

    class Shown(Console):
        def render(self, *arguments: Any, **options: Any) -> Iterator[Segment]:
            for part in super().render(*arguments, **options):
                yield part if part.control else Segment(shown(part.text), part.style)

    return Shown(file=sys.stdout, highlight=False, markup=False, emoji=False)


def echo(text: str, *, err: bool = False) -> None:
    """Write lines to standard output, or standard error; what would steer a terminal is shown as an escape."""
    click.echo(shown(text), err=err)


def say(text: str) -> None:
    """Write one line to standard error, unless the command is to be quiet."""
    if not is_quiet():
        echo(text, err=True)


def is_quiet() -> bool:
    """Whether the running command was called with ``--quiet``."""
    context = click.get_current_context(silent=True)
    return context is not None and context.find_root().meta.get(_VERBOSITY) == "quiet"


def warn(text: str) -> None:
    """Write a warning to standard error."""
    echo(f"Warning: {text}", err=True)


def complain(text: str) -> None:
    """Write an error to standard error."""
    echo(f"Error: {text}", err=True)


class _Lines(logging.Handler):
    """Writes what the program logs to standard error, progress with the time of day."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            echo(f"{record.levelname.capitalize()}: {text}", err=True)
        else:
            echo(f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {text}", err=True)


def listen(context: click.Context) -> None:
    """Write the program's log to standard error until the command ends."""
    handler, before = _Lines(), _logger.level
    _logger.addHandler(handler)
    _set_level(context.meta.get(_VERBOSITY, ""))

    @context.call_on_close
    def stop() -> None:
        _logger.removeHandler(handler)
        _logger.setLevel(before)


def set_verbosity(context: click.Context, verbosity: str) -> None:
    """Choose what is written of the log: ``quiet`` or ``verbose``.

    Raises:
        click.UsageError: If the other one was chosen before.
    """
    meta = context.find_root().meta
    if meta.setdefault(_VERBOSITY, verbosity) != verbosity:
        msg = "--quiet and --verbose exclude each other; give one."
        raise click.UsageError(msg)
    _set_level(verbosity)


def _set_level(verbosity: str) -> None:
    """Without a word about it, bars show on a terminal how far the work is, and lines elsewhere; one process writes."""
    if not launched_first() or verbosity == "quiet":
        _logger.setLevel(logging.WARNING)
    elif verbosity == "verbose":
        _logger.setLevel(logging.DEBUG)
    else:
        _logger.setLevel(logging.WARNING if sys.stderr.isatty() else logging.INFO)


def reserve_output() -> None:
    """Reserve standard output for ``print_json``; whatever else is printed goes to standard error.

    Plugins may print when they are imported, while they run and when the process ends, also from C code.
    """
    global _document, _stdout
    _document = _stdout = sys.stdout
    with suppress(AttributeError, OSError, ValueError):
        if sys.stdout.fileno() == _OUT:
            sys.stdout.flush()
            _document = os.fdopen(os.dup(_OUT), "w", encoding="utf-8")
            os.dup2(_ERR, _OUT)
    sys.stdout = sys.stderr


def release_output() -> None:
    """Let everybody print to standard output again."""
    global _document, _stdout
    if _document is None or _stdout is None:
        return
    if _document is not _stdout:
        sys.stderr.flush()
        os.dup2(_document.fileno(), _OUT)
        _document.close()
    sys.stdout, _document, _stdout = _stdout, None, None


def print_json(document: str) -> None:
    """Print a JSON document to standard output."""
    out = _document or sys.stdout
    out.write(document + "\n")
    out.flush()
