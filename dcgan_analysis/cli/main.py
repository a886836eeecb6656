"""Entry point of ``dcgan-analyze``: finds the subcommand, and turns errors into one line and an exit code.

Exit codes: 0 done; 1 an error that the user can act on; 2 wrong usage; 130 after Ctrl-C, 143 after SIGTERM, as a shell
reports the end by a signal. A traceback means a bug.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import complain, echo, listen, release_output, reserve_output, warn
from dcgan_analysis.core.distributed import launched_first
from dcgan_analysis.core.text import shown
from dcgan_analysis.errors import DcganAnalysisError, TrainingStopped, unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

    from dcgan_analysis.api.command import CommandEntry
    from dcgan_analysis.host.host import PluginHost

# Subcommand -> module; imported only when it is called, so that --help stays fast.
_COMMANDS = {
    "cache": "cache",
    "card": "card",
    "compare": "compare",
    "crop-faces": "crop_faces",
    "dedup": "dedup",
    "demo": "demo",
    "export": "export",
    "extract": "extract",
    "import": "import_",
    "list": "list_",
    "new-plugin": "new_plugin",
    "plugins": "plugins",
    "prepare": "prepare",
    "run": "run",
    "sample": "sample",
    "show": "show",
    "train": "train",
    "verify": "verify",
}
_SUMMARIES = {
    "cache": "List, explain or clear cached feature stores and outcomes.",
    "card": "Write the model card of a checkpoint with its measured numbers.",
    "compare": "Show results of several runs side by side.",
    "crop-faces": "Cut faces out of photos.",
    "dedup": "Find near-duplicates in a dataset before training on it.",
    "demo": "Run the main analysis, or all, on data that comes with the program.",
    "export": "Write the numbers of runs as CSV, JSON lines, Markdown, LaTeX or a model index.",
    "extract": "Write discriminator features of a dataset to HDF5 stores.",
    "import": "Turn weights made elsewhere into a checkpoint.",
    "list": "List analyses, datasets, architectures, checkpoints, importers or presets.",
    "new-plugin": "Write a plugin package to begin from.",
    "plugins": "Show installed plugins, what they register, and why one failed.",
    "prepare": "Decode images of any source once, to one size.",
    "run": "Run an analysis, or several.",
    "sample": "Draw samples: a sheet, pictures or arrays.",
    "show": "Describe a checkpoint, a feature store or a run.",
    "train": "Train a DCGAN by the paper's recipe.",
    "verify": "Check a file or folder of this program for damage.",
}
# Errors of the operating system that say enough by themselves.
_PLAIN_ERRNOS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
}
# torch has no class of its own for them.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "can't start new thread")
_LONGEST_NAME = 120


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are called, those of plugins as well."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS, *_plugin_commands()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            host = _plugins()
            return _of_plugin(cmd_name, host) if cmd_name in host.commands else None
        module = importlib.import_module(f"dcgan_analysis.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS:
            host = _plugins()
            if args[0] not in host.commands:
                known = [*_COMMANDS, *host.commands]
                raise click.UsageError(str(unknown_name("command", args[0], known, host.commands.failed())), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_SUMMARIES.items()))
        added = _plugin_commands()
        if added:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, shown(entry.summary)) for name, entry in added.items()])


def _plugins(hook: str | None = None) -> PluginHost:
    from dcgan_analysis.host.host import default_host

    return default_host(hook)


def _plugin_commands() -> Mapping[str, CommandEntry]:
    """Return the commands that plugins bring; none, with a warning, where plugins cannot be loaded at all."""
    try:
        host = _plugins("dcgan_register_commands")
    except DcganAnalysisError as error:
        warn(str(error))
        return {}
    return {name: host.commands[name] for name in host.commands}


def _of_plugin(name: str, host: PluginHost) -> click.Command:
    command = host.command(name)
    if host.commands.owner(name) not in {info.owner for info in host.plugins if info.builtin}:
        # A stranger's --json, if there is one, prints to standard output.
        release_output()
    return command


def _use_plugin_files(ctx: click.Context, _: click.Parameter, files: tuple[str, ...]) -> None:
    """Load the files named on the command line as plugins, for this command alone."""
    if not files:
        return
    from dcgan_analysis.host.host import default_host
    from dcgan_analysis.host.loading import FILES_VARIABLE, plugin_files

    before = os.environ.get(FILES_VARIABLE)

    def restore() -> None:
        os.environ.pop(FILES_VARIABLE, None)
        if before is not None:
            os.environ[FILES_VARIABLE] = before
        default_host.cache_clear()

    ctx.call_on_close(restore)
    os.environ[FILES_VARIABLE] = os.pathsep.join([*map(str, plugin_files()), *files])
    default_host.cache_clear()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dcgan-analysis", prog_name="dcgan-analyze")
@click.option(
    "--plugin",
    metavar="FILE",
    multiple=True,
    is_eager=True,
    expose_value=False,
    callback=_use_plugin_files,
    help="Load a Python file as a plugin for this command. Repeatable.  [env: DCGAN_ANALYSIS_PLUGIN_FILES]",
)
@options.verbosity_options
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Evaluate and understand pretrained DCGANs.

    Start with: dcgan-analyze demo
    """
    listen(ctx)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Args:
        argv: Words after the program's name; those of the process by default.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if "--json" in words:
        # Now, since plugins may print when they are imported.
        reserve_output()
    try:
        with _ended_by_sigterm():
            code = _run(words)
    finally:
        release_output()
    sys.exit(code)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, so that everything is put away as after Ctrl-C."""


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let the first SIGTERM raise ``_Terminated``; another one ends the process at once."""

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise _Terminated

    before = signal.getsignal(signal.SIGTERM)
    if before != signal.SIG_DFL or threading.current_thread() is not threading.main_thread():
        # Somebody else's to decide, or not possible.
        yield
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(words: list[str]) -> int:
    try:
        result = cli.main(args=words, prog_name="dcgan-analyze", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        # click wraps the interrupts that it sees.
        stopped = error.__cause__ or error
        if isinstance(stopped, TrainingStopped):
            if launched_first():  # all processes stop together, and one of them says so
                echo(str(stopped), err=True)
            return 128 + stopped.signal  # as a shell reports the end by a signal
        number, what = (signal.SIGTERM, "Ended") if isinstance(stopped, _Terminated) else (signal.SIGINT, "Interrupted")
        if launched_first():
            complain(f"{what}. Finished feature stores and checkpoints are kept; the same command goes on from there.")
        return 128 + number
    except DcganAnalysisError as error:
        complain(str(error))
        return 1
    except (OSError, MemoryError, RuntimeError) as error:
        cause = _outside_cause(error)
        if cause is None:
            raise
        complain(f"{cause}. Nothing half-written was kept as finished; fix the cause and run again.")
        return 1
    # With standalone_mode off, click returns the code of ctx.exit().
    return result if isinstance(result, int) else 0


def _outside_cause(error: Exception) -> str | None:
    """Return in words what the machine lacks or refuses; None: the error is a bug."""
    if isinstance(error, OSError):
        if error.errno not in _PLAIN_ERRNOS:
            return None
        name = str(error.filename or "")
        if len(name) > _LONGEST_NAME:
            name = f"{name[:_LONGEST_NAME]}..."
        return f"{error.strerror} '{name}'" if name else str(error.strerror)
    if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY):
        return "There is not enough memory for this"
    return None


if __name__ == "__main__":
    main()
