"""Tables of measurements as a result document, which pages take their numbers from (docs/measured.py)."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dcgan_analysis.api import Metric, Result, Table
from dcgan_analysis.api.environment import describe_environment
from dcgan_analysis.report.format import table_cells

if TYPE_CHECKING:
    from collections.abc import Mapping


def load() -> float:
    """Return the mean number of running processes over the last minute; NaN where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def document(
    title: str, table: Table, metrics: Mapping[str, Metric], device: str, before: float, started: datetime
) -> Result:
    """Return a result with a table of measurements, and one of the machine that they were made on.

    Args:
        title: What was measured.
        table: The measurements.
        metrics: The numbers that pages may name; the first is the headline.
        device: What was computed on.
        before: Load before the first program.
        started: When that was.
    """
    environment = describe_environment(torch.device(device), "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = [f"Python {environment.python}", f"dcgan-analysis {environment.dcgan_analysis}"]
    versions += [f"{name} {environment.packages[name]}" for name in ("torch", "numpy", "scikit-learn")]
    rows = {
        "device": environment.device_name,
        "cores, threads": f"{cores}, {environment.threads}",
        "versions": ", ".join(versions),
        "load before and after": f"{before:.1f}, {load():.1f}",
        "day": f"{started:%Y-%m-%d}",
    }
    program, *arguments = sys.argv
    if "--out" in arguments:  # where the document lies is no part of it
        del arguments[(place := arguments.index("--out")) : place + 2]
    return Result(
        analysis="benchmarks",
        title=title,
        headline=next(iter(metrics)),
        metrics=dict(metrics),
        tables=[
            table,
            Table(name="machine", title="Machine", columns=["what", "value"], rows=[list(row) for row in rows.items()]),
        ],
        seed=0,
        environment=environment,
        stages=[],
        started=started.isoformat(timespec="seconds"),
        elapsed_seconds=(datetime.now(UTC) - started).total_seconds(),
        command=" ".join(["python", f"benchmarks/{Path(program).name}", *arguments]),
    )


def markdown(result: Result) -> str:
    """Return the tables of a result in Markdown."""
    return "\n\n".join(
        "\n".join(
            f"| {' | '.join(cells)} |" for cells in (table.columns, ["---"] * len(table.columns), *table_cells(table))
        )
        for table in result.tables
    )
