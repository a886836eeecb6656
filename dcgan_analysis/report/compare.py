"""Runs side by side: what came out, and what was different going in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dcgan_analysis.api.result import Table
from dcgan_analysis.core.files import write_text
from dcgan_analysis.core.text import Described, short_hash
from dcgan_analysis.errors import ConfigError
from dcgan_analysis.report.format import metric_text, setting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dcgan_analysis.api.result import Result


@dataclass(frozen=True, repr=False)
class Comparison(Described):
    """Runs side by side, as tables that show themselves at a prompt and in a notebook.

    Attributes:
        runs: The results.
        table: Metrics of all runs, then what is not the same in all of them.
        paired: Whether the first run beats each other one on the same test images.
    """

    runs: Sequence[Result]
    table: Table
    paired: Table

    def save_html(self, path: str | Path) -> Path:
        """Write the runs side by side as one HTML file, figures included, whole or not at all.

        Returns:
            The path of the file.

        Raises:
            AnalysisError: If a figure of a run is absent or not a picture.
            FileExistsError: If the path is a folder.

        Example:
            >>> da.compare("runs/wide", "runs/narrow").save_html("wide-and-narrow.html")  # doctest: +SKIP
        """
        from dcgan_analysis.report.comparison_page import render_comparison

        path = Path(path)
        write_text(path, render_comparison(self.runs, self.table.columns[1:], self.paired))
        return path

    def _describe(self) -> tuple[str, dict[str, str]]:
        names = self.table.columns[1:]
        facts = {
            str(row[0]): "; ".join(f"{name} {value}" for name, value in zip(names, row[1:], strict=True) if value)
            for row in self.table.rows
        }
        paired = {"; ".join(map(str, row)): "" for row in self.paired.rows}
        return f"Comparison of {', '.join(names)}", {
            **facts,
            "on the same images": "; ".join(paired) or self.paired.note,
        }


def run_names(folders: Sequence[Path]) -> list[str] | None:
    """Name runs by the ends of their paths, as much of each as tells all apart; None if one is given twice.

    Example:
        >>> from pathlib import Path
        >>> run_names([Path("runs/a"), Path("runs/b")]), run_names([Path("x/seed-0"), Path("y/seed-0")])
        (['a', 'b'], ['x/seed-0', 'y/seed-0'])
    """
    parts = [folder.absolute().parts for folder in folders]
    for length in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return None


def comparison_table(results: Sequence[Result], names: Sequence[str] | None = None) -> Table:
    """Put runs side by side.

    Args:
        results: Two runs or more.
        names: What to call them, one distinct name each; None: ``run 1``, ``run 2``, ...

    Returns:
        A table with one column per run. First the metrics of all runs, then one row for each thing
        that is not the same in all of them: settings (``config.NAME``), seed, limit, checkpoint,
        dataset and its splits (by content), code, packages, device.

    Raises:
        ConfigError: If there are fewer than two runs, or the names do not fit.
    """
    columns = [f"run {position}" for position in range(1, len(results) + 1)] if names is None else list(names)
    if len(results) < 2:
        msg = f"A comparison takes two runs or more, got {len(results)}."
        raise ConfigError(msg)
    if len(set(columns)) != len(results):
        msg = f"A comparison of {len(results)} runs takes as many distinct names, got {columns}."
        raise ConfigError(msg)
    metrics = _rows(results, _metrics, only_different=False)
    differences = differences_table(results, columns)
    named = ", ".join(str(row[0]) for row in differences.rows)
    return Table(
        name="comparison",
        title="Comparison",
        columns=["", *columns],
        rows=[*metrics, *differences.rows],
        note=f"Differences between the runs: {named}." if named else differences.note,
    )


def differences_table(results: Sequence[Result], names: Sequence[str]) -> Table:
    """List what is not the same in all runs: settings, seed, limit, checkpoint, data, code, packages, device."""
    rows = _rows(results, _circumstances, only_different=True)
    same = "Settings, checkpoint, dataset, code and device are the same in all runs."
    return Table(
        name="differences", title="Differences", columns=["what", *names], rows=rows, note="" if rows else same
    )


def _rows(
    results: Sequence[Result], read: Callable[[Result], dict[str, str]], *, only_different: bool
) -> list[list[str | int | float | bool | None]]:
    read_out = [read(result) for result in results]
    keys = dict.fromkeys(key for one in read_out for key in one)
    rows = [(key, [one.get(key) for one in read_out]) for key in keys]
    return [[key, *values] for key, values in rows if not only_different or len(set(values)) > 1]


def _metrics(result: Result) -> dict[str, str]:
    return {name: metric_text(metric) for name, metric in result.metrics.items()}


def _circumstances(result: Result) -> dict[str, str]:
    """List everything that a number can depend on, in words short enough for a column."""
    facts = {"analysis": result.analysis}
    facts |= {f"config.{key}": setting(value) for key, value in result.config.items()}
    facts |= {"seed": str(result.seed), "limit": setting(result.limit)}
    if result.checkpoint is not None:
        facts["checkpoint"] = f"{result.checkpoint.name} ({short_hash(result.checkpoint.sha256)})"
    if result.dataset is not None:
        facts["dataset"] = result.dataset.name
        facts |= {
            f"dataset.{name}": f"{split.n} images ({short_hash(split.sha256)})"
            for name, split in result.dataset.splits.items()
        }
    environment = result.environment
    facts["code"] = f"{environment.dcgan_analysis} ({short_hash(environment.code_sha256)})"
    facts["device"] = f"{environment.device} ({environment.device_name})"
    facts |= {f"package.{name}": version for name, version in environment.packages.items()}
    return facts
