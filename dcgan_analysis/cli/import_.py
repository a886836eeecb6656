"""``dcgan-analyze import PATH [PATH2]``: turn weights made elsewhere into a checkpoint."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import console, print_json, warn
from dcgan_analysis.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint

_NUMBERS = {
    "samples_mean": "mean of the samples",
    "samples_std": "standard deviation of the samples",
    "samples_variation": "standard deviation of a pixel from sample to sample",
    "share_at_ends": "share of pixels at the ends of the range",
    "batchnorm_generator": "distance of the generator's BatchNorm statistics",
    "batchnorm_discriminator": "distance of the discriminator's, on samples",
    "judged_samples": "mean probability of being real, samples",
    "judged_noise": "mean probability of being real, noise",
}


_LEAST = 12  # characters of the names of arrays in a line


@click.command()
@click.argument("paths", metavar="PATH [PATH2]", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    metavar="NAME_OR_DIR",
    required=True,
    help="A name, to be used after --checkpoint; or, with a slash, a folder.",
)
@click.option("--format", "format_", metavar="FORMAT", help="What PATH is; found out by default (see: list importers).")
@options.json_option
@options.settings_options
@options.verbosity_options
def command(
    paths: tuple[Path, ...],
    out: str,
    format_: str | None,
    as_json: bool,
    config_file: Path | None,
    assignments: tuple[str, ...],
) -> None:
    """Read weights from PATH and save them as a checkpoint.

    PATH is a file or folder of any of these: PyTorch state dicts, whole modules and Lightning files, Keras .h5 and
    .keras, safetensors, .npz and .npy, the authors' arrays, and what plugins read. PATH2 is the other network, where
    each has a file of its own. Nothing that a file contains is executed.

    Prints the layers that were understood, what was assumed with the setting that changes it, and numbers by which a
    wrong assumption shows; writes samples.png beside the checkpoint.

    Settings (--set): image_size, z_prior, image_range, key, network, epoch, batchnorm, reference, ignore, data (as in
    data.name=svhn); of layers, for both networks or as generator.stride=[1,2,2]: operation, stride, padding,
    output_padding, activation, slope, output, upsample, norm, batchnorm_eps, reshape; of conditional networks classes,
    label, label_first; safetensors also architecture, parameters.
    """
    from dcgan_analysis.host.host import default_host
    from dcgan_analysis.runs.library import import_weights

    if len(paths) > 2 or (len(paths) == 2 and not paths[0].exists() and str(paths[0]) in default_host().importers):
        known = str(paths[0]) in default_host().importers
        example = f"{paths[1]} --format {paths[0]}" if known else f"{paths[0]} {paths[1]}"
        msg = f"import takes one path, or two. The form is: dcgan-analyze import {example} --out {out}"
        raise ConfigError(msg)
    settings = options.nested(options.collect_settings(config_file, assignments))
    checkpoint = import_weights(*paths, out=out, format=format_, settings=settings)
    if as_json:
        print_json(json.dumps(_document(checkpoint), indent=2))
    else:
        _print(checkpoint)
    for warning in checkpoint.metadata.provenance["warnings"]:
        warn(warning)
    if not as_json:
        click.echo(checkpoint.path)


def _networks(checkpoint: Checkpoint) -> dict[str, list[dict[str, Any]]]:
    """Return the layer tables with sizes in and out and the arrays that fill each row."""
    from dcgan_analysis.models.shapes import layer_inputs
    from dcgan_analysis.models.summary import layer_rows

    architecture = checkpoint.architecture
    arrays = checkpoint.metadata.provenance.get("arrays", {})
    tables: dict[str, list[dict[str, Any]]] = {}
    for role in checkpoint.weights:
        inputs = [shape for _, shape in layer_inputs(architecture, role)]
        rows = layer_rows(architecture.layers(role), inputs[0], architecture) if inputs else []
        tables[role] = [
            {
                "layer": row.name,
                "operation": row.operation,
                "then": row.after,
                "in": list(shape),
                "out": list(row.shape),
                "parameters": row.parameters,
                "arrays": arrays.get(role, {}).get(row.name, []),
            }
            for row, shape in zip(rows, inputs, strict=True)
        ]
    return tables


def _document(checkpoint: Checkpoint) -> dict[str, Any]:
    provenance = checkpoint.metadata.provenance
    architecture = checkpoint.architecture
    samples = checkpoint.path.with_name("samples.png") if checkpoint.path is not None else None
    return {
        "path": str(checkpoint.path),
        "sha256": checkpoint.sha256(),
        "format": provenance["format"],
        "architecture": architecture.name,
        "image_shape": list(architecture.image_shape),
        "image_range": list(architecture.image_range),
        "z_size": architecture.z_size if checkpoint.has("generator") else None,
        "z_prior": checkpoint.metadata.z_prior if checkpoint.has("generator") else None,
        "networks": _networks(checkpoint),
        "read": provenance.get("read", {}),
        "assumed": provenance.get("assumed", []),
        "batchnorm": provenance["batchnorm"],
        "numbers": provenance["numbers"],
        "warnings": provenance["warnings"],
        "samples": str(samples) if samples is not None and samples.exists() else None,
    }


def _toml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _longest_word(texts: Iterable[str]) -> int:
    return max((len(word) for text in texts for word in text.split()), default=0)


def _print(checkpoint: Checkpoint) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    document = _document(checkpoint)
    for role, rows in document["networks"].items():
        read = document["read"].get(role, "")
        table = Table(title=f"{role.capitalize()} {read}".strip(), title_justify="left", title_style="bold", box=None)
        sizes = {side: ["x".join(map(str, row[side])) for row in rows] for side in ("in", "out")}
        texts = {name: [row[name] for row in rows] for name in ("operation", "then")}
        # Words stay whole; names of arrays, which have no end, are what gives way.
        table.add_column("layer", no_wrap=True)
        for column, words in (texts | sizes).items():
            table.add_column(column, min_width=_longest_word(words))
        table.add_column("array", overflow="fold", min_width=_LEAST)
        for number, row in enumerate(rows):
            cells = (row["layer"], row["operation"], row["then"], sizes["in"][number], sizes["out"][number])
            table.add_row(*cells, Text(", ".join(row["arrays"])))
        out.print(table)
        out.print()
    if document["assumed"]:
        table = Table(title="Assumed", title_justify="left", title_style="bold", box=None, expand=True)
        table.add_column("what the file does not say", ratio=1, overflow="fold")
        table.add_column("to say otherwise", ratio=1, overflow="fold")
        for each in document["assumed"]:
            remedies = [f"--set {shlex.quote(f'{name}={_toml(value)}')}" for name, value in each["settings"].items()]
            table.add_row(Text(each["what"]), Text("\n".join(remedies)))
        out.print(table)
        out.print()
    facts = Table(box=None, show_header=False, pad_edge=False)
    low, high = document["image_range"]
    facts.add_row("format", document["format"])
    facts.add_row("images", f"{'x'.join(map(str, document['image_shape']))}, pixels from {low:g} to {high:g}")
    if document["z_size"]:
        facts.add_row("latent vectors", f"{document['z_size']} numbers, {document['z_prior']}")
    for role, note in document["batchnorm"].items():
        facts.add_row(f"BatchNorm statistics, {role}", note)
    for name, value in document["numbers"].items():
        facts.add_row(_NUMBERS[name], f"{value:.4g}")
    if document["samples"]:
        facts.add_row("look at", document["samples"])
    facts.add_row("sha256", document["sha256"][:16])
    out.print(facts)
