"""``dcgan-analyze extract``: write discriminator features of a dataset to HDF5 stores."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import echo, print_json, say
from dcgan_analysis.cli.progress import shown_progress


@click.command()
@options.checkpoint_option
@options.dataset_option
@options.data_root_option
@click.option("--split", "splits", multiple=True, metavar="NAME", help="Split to extract; repeatable.  [default: all]")
@options.settings_options
@click.option(
    "--fit", type=click.Choice(["exact", "resize"]), default="exact", show_default=True, help="Images of another shape."
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder of the stores.  [default: the cache]"
)
@options.device_option
@options.json_option
@options.verbosity_options
def command(
    checkpoint: str | None,
    dataset: str | None,
    data_root: Path | None,
    splits: tuple[str, ...],
    config_file: Path | None,
    assignments: tuple[str, ...],
    fit: str,
    out: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """Write pooled discriminator features to HDF5 stores; killed and run again, it goes on where it was.

    Settings (--set): taps, grid, batchnorm, batchnorm_batch, precision, dtype. In BatchNorm mode reestimated the
    statistics come from the dataset's training split.

    Under torchrun (torchrun --nproc-per-node N -m dcgan_analysis extract ...) each process computes its share.
    """
    from dcgan_analysis.core.device import choose_device
    from dcgan_analysis.core.distributed import process_group
    from dcgan_analysis.data.files.sources import load_dataset
    from dcgan_analysis.features.extractor import FeatureSpec
    from dcgan_analysis.features.pipeline import Extraction
    from dcgan_analysis.host.host import default_host
    from dcgan_analysis.runs.library import load_checkpoint

    if checkpoint is None:
        msg = "Missing option '--checkpoint'. Known ones: dcgan-analyze list checkpoints"
        raise click.UsageError(msg)
    spec = FeatureSpec.build(options.collect_settings(config_file, assignments))
    with process_group() as leader, shown_progress("extracting features", shown=leader) as progress:
        data = load_dataset(
            dataset or "digits", data_root=data_root, registry=default_host().datasets, progress=progress
        )
        reference = data.split("train") if "train" in data.split_names else None
        extraction = Extraction(
            load_checkpoint(checkpoint),
            spec,
            reference,
            choose_device(device),
            folder=out,
            fit=fit,  # type: ignore[arg-type]
            progress=progress,
        )
        stores = {name: extraction.store(name, data.split(name)) for name in splits or data.split_names}
    if not leader:
        return
    if as_json:
        print_json(json.dumps({name: str(store.path) for name, store in stores.items()}, indent=2))
        return
    for name, store in stores.items():
        echo(f"{name}: {store.shape[0]:,} x {store.shape[1]:,} {store.key.store_dtype}  {store.path}")
    say(extraction.summary())
