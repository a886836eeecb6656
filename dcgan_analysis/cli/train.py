"""``dcgan-analyze train``: train a DCGAN by the paper's recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import console, say
from dcgan_analysis.core.distributed import launched_first


@click.command()
@click.argument("preset", required=False)
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder of the training.")
@options.dataset_option
@options.data_root_option
@options.settings_options
@click.option("--resume", is_flag=True, help="Go on with the training in --out, with the settings it has.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Use the first N images (--set images=N).")
@options.device_option
@click.option("--settings", "show_settings", is_flag=True, help="Show every setting with its value, and end.")
@options.verbosity_options
def command(
    preset: str | None,
    out: Path | None,
    dataset: str | None,
    data_root: Path | None,
    config_file: Path | None,
    assignments: tuple[str, ...],
    resume: bool,
    limit: int | None,
    device: str,
    show_settings: bool,
) -> None:
    """Train a DCGAN, from a PRESET (see: list presets) or from settings alone.

    Settings are given with --set and --config; what is not given has the preset's value, or else the paper's. All of
    them: dcgan-analyze train PRESET --settings. Several processes: torchrun --nproc-per-node 2 -m
    dcgan_analysis train ...
    """
    settings = options.nested(options.collect_settings(config_file, assignments))
    if dataset is not None:
        settings["dataset"] = dataset
    if show_settings:
        _print_settings(preset, settings)
        return
    if out is None:
        msg = "Give the folder of the training: --out DIR"
        raise click.UsageError(msg)
    _train(preset, settings, out, data_root=data_root, resume=resume, limit=limit, device=device)


def _train(preset: str | None, settings: dict[str, Any], out: Path, **arguments: Any) -> None:
    from dcgan_analysis.cli.watching import training_watcher
    from dcgan_analysis.host.host import default_host
    from dcgan_analysis.runs.library import train

    if not launched_first():
        train(settings, out, preset=preset, host=default_host(), **arguments)
        return
    with training_watcher() as watcher:
        checkpoint = train(
            settings, out, preset=preset, host=default_host(), watchers=[watcher], progress=watcher.loading, **arguments
        )
    metadata = checkpoint.metadata
    say(f"{metadata.epoch:g} epochs, {metadata.step:,} steps, sha256 {checkpoint.sha256()[:16]}")
    click.echo(out / "model.safetensors")


def _print_settings(preset: str | None, settings: dict[str, Any]) -> None:
    from rich.table import Table

    from dcgan_analysis.training.config import TrainingConfig
    from dcgan_analysis.training.presets import load_preset, with_preset

    out = console()
    if preset is not None:
        chosen = load_preset(preset)
        out.print(f"{preset}: {chosen.summary}", style="bold")
        out.print(f"Values: {chosen.paper}")
        out.print(f"Deviations: {' '.join(chosen.deviations.split()) or 'none'}\n")
        settings = with_preset(preset, settings)
    values = TrainingConfig.build(settings).model_dump(mode="json")
    table = Table(box=None, pad_edge=False)
    table.add_column("setting", style="bold", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("meaning", overflow="fold")
    for name, field in TrainingConfig.model_fields.items():
        table.add_row(name, _shown(values[name]), field.description or "")
    out.print(table)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}={inner}" for key, inner in value.items()) or "the architecture's own"
    return str(value).lower() if isinstance(value, bool) else str(value) or '""'
