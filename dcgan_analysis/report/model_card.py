"""A model card of a checkpoint: what it is, how it was made, what was measured; in the form of the Hugging Face hub.

https://huggingface.co/docs/hub/model-cards. ``list checkpoints`` reads its row ``measured``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dcgan_analysis.checkpoints.catalogue import WEIGHTS
from dcgan_analysis.checkpoints.metadata import CheckpointMetadata, read_metadata
from dcgan_analysis.core.documents import parse_json, read_document
from dcgan_analysis.core.files import exists, write_text
from dcgan_analysis.core.text import count
from dcgan_analysis.errors import ConfigError
from dcgan_analysis.report.export import export, model_index
from dcgan_analysis.report.format import label, metric_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dcgan_analysis.api.result import Result

CARD_FILE = "README.md"
MARK = "<!-- Written by dcgan-analysis, and written anew as long as this line stands here. -->"


def write_card(weights: Path, results: Sequence[Result] = (), out: Path | None = None) -> Path:
    """Write the model card of a checkpoint, whole or not at all.

    Args:
        weights: The checkpoint's file.
        results: What was measured of it.
        out: Where; ``README.md`` beside the weights if None.

    Returns:
        The path of the card.

    Raises:
        ConfigError: If a card stands there that somebody else wrote.
    """
    path = weights.with_name(CARD_FILE) if out is None else out
    if not may_write(path):
        msg = f"'{path}' was written by somebody else. Write into another file, or remove it."
        raise ConfigError(msg)
    write_text(path, render_card(weights, results))
    return path


def may_write(path: Path) -> bool:
    """Whether a card can be written without losing what somebody wrote."""
    return not path.exists() or MARK in path.read_text(encoding="utf-8", errors="replace")


def render_card(weights: Path, results: Sequence[Result] = ()) -> str:
    """Render the card: metadata for the hub, a table of facts, the numbers of each run with its command."""
    folder, metadata = weights.resolve().parent, read_metadata(weights)
    name = folder.name if weights.name == WEIGHTS else weights.stem
    front = {
        "library_name": "dcgan-analysis",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["dcgan", "gan", metadata.architecture],
        **(model_index(results, list(map(_named, results))) if results else {}),
    }
    facts = _facts(metadata) | ({"measured": "; ".join(map(_measured, results))} if results else {})
    table = "\n".join(f"| {key} | {_cell(text)} |" for key, text in facts.items())
    parts = [
        # JSON is YAML.
        "\n".join(["---", *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in front.items()), "---"]),
        MARK,
        f"# {name}",
        f"A DCGAN, {metadata.trained}.",
        f"| | |\n|---|---|\n{table}",
        *(["## Measured", *map(_section, results)] if results else []),
    ]
    if (samples := _latest_samples(folder)) is not None:
        parts += [
            "## Samples",
            "Of latent vectors that are the same every time, not selected.",
            f"![Samples]({samples})",
        ]
    return "\n\n".join(parts) + "\n"


def _facts(metadata: CheckpointMetadata) -> dict[str, str]:
    history, data, origin = metadata.history, metadata.data, metadata.provenance
    parameters = ", ".join(f"{key} {value}" for key, value in metadata.parameters.items())
    facts = {
        "architecture": f"`{metadata.architecture}`: {parameters}; z {metadata.z_prior}",
        "data": f"`{data.get('name', 'unknown')}`, {data.get('split', '')} ({count(data.get('n', 0))} images)",
        "recipe": str(origin.get("recipe", "unknown")),
        "length": str(history),
        "date": str(origin.get("date", "")),
        "licence": "not stated: that is for whoever publishes the weights",
    }
    return {key: text for key, text in facts.items() if text}


def _measured(result: Result) -> str:
    data = "" if result.dataset is None else f"{result.dataset.name}, "
    twin = result.metrics.get(f"twin_{result.headline}")
    control = "" if twin is None else f", random twin {metric_text(twin)}"
    headline = metric_text(result.metrics[result.headline])
    return f"{data}{label(result.headline).lower()} {headline}{control} (`{_named(result)}`)"


def _named(result: Result) -> str:
    return f"{result.analysis} (smoke run)" if result.smoke else result.analysis


def _section(result: Result) -> str:
    title = f"### {result.title}"
    return "\n\n".join([title, result.question, export([result], "markdown").strip(), f"Command: `{result.command}`"])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _latest_samples(folder: Path) -> str | None:
    """Return the last sheet of samples of a training, or the one beside a checkpoint, relative to the folder."""
    try:
        rows = parse_json(read_document(folder / "history.json"), finite=False)
        samples: list[str] = [str(row["samples"]) for row in reversed(rows) if "samples" in row]
    except (OSError, ValueError, TypeError, KeyError):
        samples = []
    sheets = [*samples, "samples.png"]
    return next((sheet for sheet in sheets if exists(folder / sheet)), None)
