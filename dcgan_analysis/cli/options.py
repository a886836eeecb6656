"""Options that several subcommands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

checkpoint_option = click.option(
    "--checkpoint", metavar="NAME", help="Checkpoint: a name (see: list checkpoints), a path, or a hash."
)
dataset_option = click.option(
    "--dataset", metavar="NAME", help="Dataset: a name (see: list datasets), or the path of a zip or folder."
)
data_root_option = click.option(
    "--data-root",
    type=click.Path(path_type=Path),
    help="Folder with data sets.  [env: DCGAN_ANALYSIS_DATA]",
)
device_option = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all randomness."
)
limit_option = click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Use N images of each split; marks the result as a smoke run.",
)
out_option = click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Run folder.  [default: runs/NAME-TIME]"
)
memory_option = click.option(
    "--memory",
    type=click.FloatRange(min=0, min_open=True),
    metavar="GB",
    help="Hold at most so much memory, mapped files included.",
)
force_option = click.option("--force", is_flag=True, help="Replace the run in --out.")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON alone on standard output.")


def _choose_verbosity(ctx: click.Context, parameter: click.Parameter, is_set: bool) -> None:
    if is_set:
        from dcgan_analysis.cli.console import set_verbosity

        set_verbosity(ctx, str(parameter.name))


def verbosity_options(function: F) -> F:
    """Add ``--quiet`` and ``--verbose``, which the command itself does not see."""
    for name, text in (
        ("verbose", "Write a line for each stage on a terminal as well, and details."),
        ("quiet", "Write warnings and errors only, no progress."),
    ):
        function = click.option(
            f"--{name}", is_flag=True, expose_value=False, is_eager=True, callback=_choose_verbosity, help=text
        )(function)
    return function


def settings_options(function: F) -> F:
    """Add ``--set key=value`` (repeatable) and ``--config FILE.toml``."""
    function = click.option(
        "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="Settings from a TOML file."
    )(function)
    return click.option(
        "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One setting; wins over --config. Repeatable."
    )(function)


def gathering_options(function: F) -> F:
    """Add ``--out``, ``--gather-only`` and the options of a run: for commands that gather finished runs."""
    folder = click.Path(path_type=Path, file_okay=False)
    for decorate in (
        verbosity_options,
        json_option,
        device_option,
        limit_option,
        seed_option,
        settings_options,
        data_root_option,
        dataset_option,
        checkpoint_option,
        click.option("--gather-only", is_flag=True, help="Use finished runs in DIR alone; run nothing."),
        click.option("--out", required=True, type=folder, metavar="DIR", help="Folder of what is made, and its runs."),
    ):
        function = decorate(function)
    return function


def run_options(command: click.Command) -> None:
    """Add all options of a run to a command."""
    for decorate in (
        verbosity_options,
        json_option,
        force_option,
        out_option,
        memory_option,
        device_option,
        limit_option,
        seed_option,
        settings_options,
        data_root_option,
        dataset_option,
        checkpoint_option,
    ):
        decorate(command)
    # click applies decorators from the inside out; the first option should be shown first.
    command.params.reverse()


def collect_settings(config_file: Path | None, assignments: tuple[str, ...]) -> dict[str, Any]:
    """Merge the settings of both options; ``--set`` wins."""
    # pydantic comes with it, which --help does not need.
    from dcgan_analysis.core.settings import parse_assignments, read_toml

    settings = read_toml(config_file) if config_file is not None else {}
    return {**settings, **parse_assignments(assignments)}


def nested(settings: dict[str, object]) -> dict[str, object]:
    """Turn ``parameters.width=64`` into ``parameters={"width": 64}``."""
    result: dict[str, object] = {}
    for key, value in settings.items():
        outer, dot, inner = key.partition(".")
        if dot:
            table = result.setdefault(outer, {})
            if isinstance(table, dict):
                table[inner] = value
        else:
            result[key] = value
    return result
