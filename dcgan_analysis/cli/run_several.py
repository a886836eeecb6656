"""``dcgan-analyze run A B C``: several analyses with one page that links them; ``demo --all`` uses it as well."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import complain, console, print_json, say
from dcgan_analysis.cli.progress import shown_progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dcgan_analysis.runs.batch import Batch, Outcome
    from dcgan_analysis.runs.request import RunRequest


def _callback(
    names: tuple[str, ...],
    *,
    config_file: Path | None,
    assignments: tuple[str, ...],
    as_json: bool,
    **values: Any,
) -> None:
    settings = options.collect_settings(config_file, assignments)
    execute_several(names, settings=settings, title=" · ".join(names), as_json=as_json, **values)


several = click.Command(
    "several",
    callback=_callback,
    help=(
        "Run several analyses one after the other. --out holds one run folder for each, and index.html. "
        "A setting applies to each analysis that has it; --set NAME.KEY=VALUE to one of them."
    ),
)
options.run_options(several)
several.params.insert(0, click.Argument(["names"], nargs=-1, required=True, metavar="NAME..."))


def execute_several(analyses: Sequence[str | RunRequest], *, as_json: bool = False, **values: Any) -> Batch:
    """Run several analyses, print the results, and exit with 1 if one failed."""
    from dcgan_analysis.runs.batch import run_several

    total = len(analyses)
    finished = 0

    def report(outcome: Outcome) -> None:
        nonlocal finished
        finished += 1
        say(f"{finished}/{total} {outcome.name}: {_headline(outcome)}")

    with shown_progress() as progress:
        batch = run_several(analyses, progress=progress, done=report, **values)
    page = batch.folder / "index.html"
    if as_json:
        print_json(json.dumps(_document(batch), indent=2))
    else:
        _print(batch)
        # Never wrapped, so that the path can be copied and clicked.
        console().print(str(page), soft_wrap=True)
    if batch.failed:
        complain(f"{len(batch.failed)} of {total} analyses failed; the results of the others are kept.")
        click.get_current_context().exit(1)
    return batch


def _headline(outcome: Outcome) -> str:
    if outcome.result is None:
        return f"failed: {outcome.error}"
    from dcgan_analysis.report.format import metric_text

    result = outcome.result
    return f"{result.headline} {metric_text(result.metrics[result.headline])}"


def _print(batch: Batch) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from dcgan_analysis.core.text import duration
    from dcgan_analysis.report.format import metric_text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("analysis", "headline", "value", "time"):
        # Names may be broken on a narrow terminal, an interval may not.
        table.add_column(column, overflow="fold", no_wrap=column in ("value", "time"))
    for outcome in batch.outcomes:
        result = outcome.result
        if result is None:
            table.add_row(outcome.name, Text(outcome.state, style="red"), "", "")
        else:
            time = duration(result.elapsed_seconds)
            table.add_row(outcome.name, result.headline, metric_text(result.metrics[result.headline]), time)
    console().print(table)


def _document(batch: Batch) -> dict[str, Any]:
    runs = []
    for outcome in batch.outcomes:
        result = None if outcome.result is None else outcome.result.model_dump(mode="json")
        runs.append({"analysis": outcome.name, "state": outcome.state, "error": outcome.error, "result": result})
    return {"folder": str(batch.folder), "runs": runs}
