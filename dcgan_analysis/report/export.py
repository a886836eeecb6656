"""The numbers of runs for elsewhere: rows for a spreadsheet, a table for a paper, metadata for a model card."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from dcgan_analysis.errors import ConfigError, unknown_name
from dcgan_analysis.report.format import label, metric_published, metric_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dcgan_analysis.api.result import Metric, Result

__all__ = ["FORMATS", "export"]

_COLUMNS = (
    "run",
    "analysis",
    "checkpoint",
    "dataset",
    "metric",
    "value",
    "low",
    "high",
    "interval",
    "n",
    "unit",
    "higher_is_better",
    "published",
    "source",
    "seed",
    "smoke",
    "description",
)


def rows(results: Sequence[Result], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return one row for each metric of each run, columns as in ``_COLUMNS``; fractions stay fractions."""
    return [
        {
            "run": name,
            "analysis": result.analysis,
            "checkpoint": result.checkpoint.name if result.checkpoint is not None else None,
            "dataset": result.dataset.name if result.dataset is not None else None,
            "metric": metric_name,
            **metric.model_dump(include=set(_COLUMNS)),
            "seed": result.seed,
            "smoke": result.smoke,
        }
        for result, name in zip(results, names, strict=True)
        for metric_name, metric in result.metrics.items()
    ]


def _csv(results: Sequence[Result], names: Sequence[str]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(results, names))
    return stream.getvalue()


def _jsonl(results: Sequence[Result], names: Sequence[str]) -> str:
    lines = [json.dumps({column: row[column] for column in _COLUMNS}) for row in rows(results, names)]
    return "".join(f"{line}\n" for line in lines)


def _by_metric(results: Sequence[Result]) -> dict[str, list[Metric | None]]:
    every = dict.fromkeys(name for result in results for name in result.metrics)
    return {name: [result.metrics.get(name) for result in results] for name in every}


def _published(metrics: Sequence[Metric | None]) -> str:
    return next((metric_published(metric) for metric in metrics if metric and metric.published is not None), "")


def _grid(results: Sequence[Result], names: Sequence[str]) -> list[list[str]]:
    """Return head and rows of a table for people: one line a metric, one column a run."""
    by_metric = _by_metric(results)
    published = {name: _published(metrics) for name, metrics in by_metric.items()}
    with_published = any(published.values())
    head = ["", *names, *(["published"] if with_published else [])]
    lines = [
        [
            label(name),
            *("" if metric is None else metric_text(metric) for metric in metrics),
            *([published[name]] if with_published else []),
        ]
        for name, metrics in by_metric.items()
    ]
    return [head, *lines]


def _markdown(results: Sequence[Result], names: Sequence[str]) -> str:
    head, *lines = [[cell.replace("|", r"\|") for cell in line] for line in _grid(results, names)]
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *lines))


_LATEX = {
    "\\": r"\textbackslash{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _latex(results: Sequence[Result], names: Sequence[str]) -> str:
    head, *lines = [[_escaped(cell) for cell in line] for line in _grid(results, names)]
    body = "".join(f"  {' & '.join(line)} \\\\\n" for line in lines)
    columns = "l" + "r" * (len(head) - 1)
    top = f"% \\usepackage{{booktabs}}\n\\begin{{tabular}}{{{columns}}}\n  \\toprule\n  {' & '.join(head)} \\\\\n"
    return f"{top}  \\midrule\n{body}  \\bottomrule\n\\end{{tabular}}\n"


def model_index(results: Sequence[Result], names: Sequence[str]) -> dict[str, Any]:
    """Return the ``model-index`` of a model card on the Hugging Face hub, which lists results by model."""
    entries: dict[str, list[dict[str, Any]]] = {}
    for result, name in zip(results, names, strict=True):
        dataset = result.dataset.name if result.dataset is not None else "none"
        model = result.checkpoint.name if result.checkpoint is not None else name
        entries.setdefault(model, []).append(
            {
                "task": {"type": "unconditional-image-generation", "name": name},
                "dataset": {"name": dataset, "type": dataset},
                # The hub takes a source only with a URL; what the number rests on stands in its arguments.
                "metrics": [
                    {
                        "type": metric_name,
                        "name": label(metric_name),
                        "value": metric.value,
                        "args": {**metric.model_dump(include={"low", "high", "n"}), "command": result.command},
                        "verified": False,
                    }
                    for metric_name, metric in result.metrics.items()
                ],
            }
        )
    return {"model-index": [{"name": model, "results": evaluated} for model, evaluated in entries.items()]}


def _model_index(results: Sequence[Result], names: Sequence[str]) -> str:
    """Return the model index as text; JSON is YAML, so that it can be pasted into a card."""
    return json.dumps(model_index(results, names), indent=2) + "\n"


FORMATS: dict[str, Callable[[Sequence[Result], Sequence[str]], str]] = {
    "csv": _csv,
    "jsonl": _jsonl,
    "latex": _latex,
    "markdown": _markdown,
    "model-index": _model_index,
}
"""What ``export`` writes, by name."""


def export(results: Sequence[Result], format: str, names: Sequence[str] | None = None) -> str:
    """Return the numbers of runs as text.

    Args:
        results: One run or more.
        format: ``csv`` and ``jsonl``: one row a metric, fractions as fractions. ``markdown`` and ``latex``: a table
            with one column a run, for people. ``model-index``: metadata of a model card on the Hugging Face hub.
        names: What to call the runs, one distinct name each; None: by their analysis.

    Raises:
        ConfigError: If there is no such format, or no run.

    Example:
        >>> print(export([result], "markdown"))  # doctest: +SKIP
    """
    if format not in FORMATS:
        raise ConfigError(unknown_name("format", format, FORMATS))
    if not results:
        msg = "An export takes at least one run."
        raise ConfigError(msg)
    called = [result.analysis for result in results] if names is None else list(names)
    # Numbers of a part of the data are labelled wherever they are shown.
    marked = [f"{name} (smoke run)" if result.smoke else name for result, name in zip(results, called, strict=True)]
    return FORMATS[format](results, marked)
