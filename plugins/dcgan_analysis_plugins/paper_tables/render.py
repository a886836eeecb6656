"""A table as text, Markdown, LaTeX, HTML and JSON."""

from __future__ import annotations

import html
import json
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING

from dcgan_analysis.api.result import Metric, Table
from dcgan_analysis.core.files import write_text
from dcgan_analysis.core.text import percent
from dcgan_analysis.report.format import ABSENT, metric_text

if TYPE_CHECKING:
    from pathlib import Path

    from dcgan_analysis_plugins.paper_tables.gather import PaperTable

_REMARK = 60  # letters of a remark in a line of plain text
_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\N{EN DASH}": "--",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
}
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --dim: #777; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2.5rem auto; max-width: 64rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .7rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; }
td.number { white-space: nowrap; }
tr.own { background: var(--soft); }
tr.apart th { padding-top: 2rem; }
tr.first td { border-top: 2px solid var(--dim); }
td.remark, p { color: var(--dim); font-size: .9rem; }
"""


def cells(table: PaperTable) -> list[list[str]]:
    """Return the rows as words: method, data, numbers, remark."""
    return [[row.method, row.data, *(_cell(metric) for metric in row.metrics), row.remark] for row in table.rows]


def _head(table: PaperTable) -> list[str]:
    return ["method", "data", *table.columns, "remark"]


def _first_own(table: PaperTable) -> int:
    """Return how many rows stand above this program's."""
    return next((position for position, row in enumerate(table.rows) if row.own), len(table.rows))


def _cell(metric: Metric | None) -> str:
    if metric is None:
        return ABSENT
    if metric.interval == "as published" and metric.high is not None:
        half = percent(metric.high - metric.value).removesuffix(" %")
        return f"{percent(metric.value)} \N{PLUS-MINUS SIGN}{half}"
    return metric_text(metric) if metric.low is not None else percent(metric.value)


def _title(table: PaperTable) -> str:
    return f"Table {table.number}: {table.title}"


def as_table(table: PaperTable) -> Table:
    """Return it as a table of the result document, for the terminal."""
    rows, head, first = cells(table), _head(table), _first_own(table)
    if table.apart:
        blank = [""] * len(head)
        rows[first:first] = [blank, [table.apart, *blank[1:]]]
    return Table(
        name=f"table-{table.number}",
        title=_title(table),
        columns=head,
        rows=[list(row) for row in rows],
        note=table.note,
    )


def as_text(table: PaperTable) -> str:
    """Return plain text with aligned columns."""
    grid = [_head(table), *cells(table)]
    *widths, _ = (max(map(len, column)) for column in zip(*grid, strict=True))

    def block(row: list[str]) -> str:
        """Return a row of the table; a long remark goes on below its beginning."""
        *words, remark = row
        first, *more = textwrap.wrap(remark, _REMARK) or [""]
        start = "".join(f"{word:{width}}  " for word, width in zip(words, widths, strict=True))
        return "\n".join([f"{start}{first}".rstrip(), *(" " * len(start) + line for line in more)])

    head, *blocks = map(block, grid)
    rule = "-" * max(len(line) for one in (head, *blocks) for line in one.split("\n"))
    first = _first_own(table)
    apart = [table.apart, rule] if table.apart else []
    return "\n".join(
        [_title(table), "", head, rule, *blocks[:first], rule, *apart, *blocks[first:], "", table.note, ""]
    )


def as_markdown(table: PaperTable) -> str:
    """Return a Markdown table; own methods in bold."""

    def line(words: list[str]) -> str:
        return "| " + " | ".join(word.replace("|", "\\|").replace("\n", " ") for word in words) + " |"

    rows = [
        line([f"**{words[0]}**" if row.own else words[0], *words[1:]])
        for row, words in zip(table.rows, cells(table), strict=True)
    ]
    head = _head(table)
    if table.apart:
        rows.insert(_first_own(table), line([f"*{table.apart}*", *[""] * (len(head) - 1)]))
    return "\n".join([f"**{_title(table)}**", "", line(head), line(["---"] * len(head)), *rows, "", table.note, ""])


def as_latex(table: PaperTable) -> str:
    """Return a LaTeX table, as wide as a page of one column; needs no package. LaTeX numbers it itself."""

    def escaped(text: str) -> str:
        return "".join(_LATEX.get(sign, sign) for sign in text)

    def line(words: list[str]) -> str:
        return " & ".join(map(escaped, words)) + r" \\"

    lines, first = [line(words) for words in cells(table)], _first_own(table)
    if first < len(lines):
        apart = [rf"\multicolumn{{{len(_head(table))}}}{{l}}{{{escaped(table.apart)}}} \\"] if table.apart else []
        lines[first:first] = [r"\hline", *apart]
    columns = "l" * (len(table.columns) + 1)
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(f'{table.title} (Table {table.number} of arXiv 1511.06434). {table.note}')}}}",
            r"\footnotesize",
            rf"\begin{{tabular}}{{p{{0.22\textwidth}}{columns}p{{0.24\textwidth}}}}",
            line(_head(table)),
            r"\hline",
            *lines,
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def as_html(table: PaperTable) -> str:
    """Return a page of its own: no script, nothing fetched."""
    rows, first = [], _first_own(table)
    for position, (row, words) in enumerate(zip(table.rows, cells(table), strict=True)):
        if position == first and table.apart:
            rows.append(f'<tr class="apart"><th colspan="{len(words)}">{html.escape(table.apart)}</th></tr>')
        kind = f"own{' first' if position == first else ''}" if row.own else "published"
        method, data, *numbers, remark = map(html.escape, words)
        inner = "".join(f'<td class="number">{number}</td>' for number in numbers)
        rows.append(f'<tr class="{kind}"><td>{method}</td><td>{data}</td>{inner}<td class="remark">{remark}</td></tr>')
    head = "".join(f"<th>{html.escape(name)}</th>" for name in _head(table))
    title = html.escape(_title(table))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n<table><thead><tr>{head}</tr></thead><tbody>\n"
        + "\n".join(rows)
        + f"\n</tbody></table>\n<p>Shaded: measured here. {html.escape(table.note)}</p></body></html>\n"
    )


def as_json(table: PaperTable) -> str:
    """Return everything as JSON, fractions as numbers."""
    return json.dumps(
        asdict(table), indent=2, default=lambda metric: metric.model_dump(mode="json"), ensure_ascii=False
    )


def write_table(table: PaperTable, folder: Path) -> list[Path]:
    """Write ``table-N`` as .txt, .md, .tex, .html and .json; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    forms = {"txt": as_text, "md": as_markdown, "tex": as_latex, "html": as_html, "json": as_json}
    paths = []
    for ending, render in forms.items():
        paths.append(folder / f"table-{table.number}.{ending}")
        write_text(paths[-1], render(table))
    return paths
