"""Numbers in the pages come from result documents: ``python docs/measured.py`` writes them where pages ask for them.

A run's ``result.json`` lies as ``docs/measured/NAME.json``. Between ``<!-- measured NAME -->`` and ``<!-- end -->``
stand its command and all its metrics, controls included; between ``<!-- measured NAME: a, b -->`` and
``<!-- end -->``, within a line, the metrics named, the first without its name, which the line itself says; between
``<!-- measured NAME table T -->`` and ``<!-- end -->`` its table T. The tests compare.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from dcgan_analysis.api import Result, Table
from dcgan_analysis.report.format import label, metric_text, table_cells, words

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "checkpoints").glob("*/README.md")))
_PLACE = re.compile(r"(<!-- measured ([\w.-]+)(?: table ([\w-]+))?(?:: ([\w, ]+))? -->)(.*?)(<!-- end -->)", re.DOTALL)


def filled(page: Path) -> str:
    """Return a page's text with every number as its result document has it."""
    return _PLACE.sub(_place, page.read_text(encoding="utf-8"))


def _place(place: re.Match[str]) -> str:
    start, name, table, metrics, _, end = place.groups()
    document = ROOT / "docs" / "measured" / f"{name}.json"
    result = Result.model_validate_json(document.read_text(encoding="utf-8"))
    if table is not None:
        return f"{start}\n\n{_rows(next(known for known in result.tables if known.name == table))}\n\n{end}"
    if metrics is None:
        return f"{start}\n\n{_table(result)}\n\n{end}"
    first, *others = metrics.split(", ")
    return start + "; ".join([metric_text(result.metrics[first]), *map(partial(_named, result), others)]) + end


def _table(result: Result) -> str:
    lines = [f"`{result.command}`", "", "| number | obtained | interval | n |", "|---|---|---|---|"]
    for name, metric in result.metrics.items():
        bold = "**" if name == result.headline else ""
        meaning = metric.description.replace("|", "\\|")
        n = "" if metric.n is None else f"{metric.n:,}"
        lines.append(
            f"| {bold}{label(name)}{bold}: {meaning} | {metric_text(metric)} | {metric.interval or ''} | {n} |"
        )
    return "\n".join(lines)


def _rows(table: Table) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *table_cells(table)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _named(result: Result, name: str) -> str:
    return f"{words(name)} {metric_text(result.metrics[name])}"


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page), encoding="utf-8")
