"""``dcgan-analyze show PATH``: describe a checkpoint, a feature store or a run."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import console, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@click.command()
@click.argument("path")
@options.json_option
def command(path: str, as_json: bool) -> None:
    """Describe PATH: a checkpoint (file, folder or name), a feature store, or a run folder."""
    from dcgan_analysis.runs.inspection import kind_of

    kind, where = kind_of(path)
    {"checkpoint": _checkpoint, "store": _store, "run": _run}[kind](where, as_json)


def _checkpoint(path: Path, as_json: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    from dcgan_analysis.models.guidelines import guidelines
    from dcgan_analysis.models.summary import layer_rows, parameters_in_words
    from dcgan_analysis.runs.library import load_checkpoint

    checkpoint = load_checkpoint(path)
    architecture = checkpoint.architecture
    if as_json:
        document = {"sha256": checkpoint.sha256(), **checkpoint.metadata.model_dump(mode="json")}
        print_json(json.dumps(document, indent=2))
        return
    out = console()
    _facts(
        {
            "checkpoint": path,
            "sha256": checkpoint.sha256(),
            "architecture": f"{architecture.name} {parameters_in_words(architecture)}",
            "z": f"{architecture.z_size} numbers, {checkpoint.metadata.z_prior}",
            "images": f"{'x'.join(map(str, architecture.image_shape))} in {list(checkpoint.metadata.image_range)}",
            "data": _pairs(checkpoint.metadata.data),
            "trained": str(checkpoint.metadata.history),
            "training": f"{'the last ' if 'started_from' in checkpoint.metadata.provenance else ''}"
            f"{checkpoint.metadata.epoch:g} epochs, {checkpoint.metadata.step:,} steps; "
            + _pairs(_deviations(checkpoint.metadata.training)),
            "provenance": _pairs(checkpoint.metadata.provenance),
        }
    )
    for title, layers, shape in (
        ("Generator", architecture.generator_layers, (architecture.z_size,)),
        ("Discriminator", architecture.discriminator_layers, architecture.image_shape),
    ):
        rows = layer_rows(layers, shape, architecture)
        if not rows or not checkpoint.has("generator" if title == "Generator" else "discriminator"):
            continue
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for column, justify in (
            ("tap", "left"),
            ("operation", "left"),
            ("output", "right"),
            ("parameters", "right"),
            ("then", "left"),
        ):
            table.add_column(column, justify=justify)  # type: ignore[arg-type]
        for row in rows:
            size = "x".join(map(str, row.shape))
            table.add_row(row.name, row.operation, size, f"{row.parameters:,}", row.after)
        table.add_row("", "", "", Text(f"{sum(row.parameters for row in rows):,}", style="bold"), "")
        out.print(table)
        out.print()
    out.print("Guidelines of the paper (section 3)", style="bold")
    marks = {True: ("  kept      ", "green"), False: ("  not kept  ", "yellow"), None: ("  not clear ", "yellow")}
    for guideline in guidelines(architecture, checkpoint.weights):
        out.print(Text(*marks[guideline.kept]).append(guideline.text, style="default"))


def _store(path: Path, as_json: bool) -> None:
    from dcgan_analysis.features.store import FeatureStore

    store = FeatureStore(path)
    key = store.key.model_dump(mode="json")
    if as_json:
        print_json(json.dumps({"shape": store.shape, "key": key, "sha256": store.key.sha256}, indent=2))
        return
    n, d = store.shape
    _facts(
        {
            "feature store": path,
            "features": f"{n:,} x {d:,}, {key['store_dtype']}, chunks of {store.chunk_rows} rows",
            "taps": ", ".join(f"{tap} {math.prod(shape)}" for tap, shape in store.tap_shapes.items()),
            "labels": "none" if store.labels is None else f"{len(store.classes)} classes",
            "key": store.key.sha256,
            **{f"  {part}": value for part, value in key.items()},
        }
    )


def _run(path: Path, as_json: bool) -> None:
    from dcgan_analysis.api.result import Result
    from dcgan_analysis.report import print_result

    result = Result.load(path)
    if as_json:
        print_json(result.model_dump_json(indent=2))
    else:
        print_result(result, path, console())


def _facts(facts: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, Text(str(value)))
    console().print(table)
    console().print()


def _deviations(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a training that are not the defaults; architecture and data have lines of their own."""
    from dcgan_analysis.training import TrainingConfig

    usual = {name: field.get_default() for name, field in TrainingConfig.model_fields.items()}
    usual = json.loads(json.dumps(usual, default=str))  # as the checkpoint holds them
    own = {"architecture", "parameters", "dataset", "split"}
    return {key: value for key, value in training.items() if key not in own and value != usual.get(key)}


def _pairs(mapping: Mapping[str, Any]) -> str:
    """Name what a mapping holds, mappings within it in brackets."""
    shown = {
        key: f"({_pairs(value)})" if isinstance(value, dict) else value for key, value in mapping.items() if value != {}
    }
    return ", ".join(f"{key} {value}" for key, value in shown.items() if value is not None) or "unknown"
