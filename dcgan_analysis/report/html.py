"""A result as one HTML file: pictures and style inside, no script, nothing fetched."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from dcgan_analysis.api.result import REPORT_FILE, Section
from dcgan_analysis.core.files import write_text
from dcgan_analysis.core.text import count, duration, short_hash
from dcgan_analysis.data.files.pictures import open_picture
from dcgan_analysis.errors import AnalysisError, DatasetError
from dcgan_analysis.report import format as text

if TYPE_CHECKING:
    from pathlib import Path

    from dcgan_analysis.api.result import Figure, Metric, Result, Table

_FILTERS = (
    text.cell,
    count,
    duration,
    text.label,
    text.metric_interval,
    text.metric_published,
    text.metric_text,
    text.metric_value,
    text.setting,
    short_hash,
    text.table_cells,
)
_CONTROL_PREFIX = "twin_"
_WIDE_FROM = 1250  # dots; wider pictures span the page
_LONG_TABLE = 24  # rows; longer tables are folded
_WIDE_HEAD = 56  # letters of a table's heading with gaps; wider tables span the page
_URL = re.compile(r"https?://[^\s<>\"']*[^\s<>\"'.,;:)]")


@dataclass(frozen=True)
class Picture:
    """A figure, ready to stand in the page."""

    figure: Figure
    uri: str
    width: int
    height: int
    wide: bool


@dataclass(frozen=True)
class Part:
    """A section that a plugin added, ready to stand in the page."""

    section: Section
    paragraphs: list[str]
    pictures: list[Picture]


@dataclass(frozen=True)
class Card:
    """One of the big numbers on top: the headline, its control, the published figure.

    ``fill`` is the length of its little bar, ``start`` and ``end`` those of the interval on it, in
    percent; None where there is none.
    """

    kind: str
    label: str
    value: str
    lines: tuple[str, ...]
    fill: float | None = None
    start: float | None = None
    end: float | None = None


def make_environment() -> Environment:
    """Return the environment of the pages: everything is escaped, an unknown name is an error."""
    environment = Environment(
        loader=PackageLoader("dcgan_analysis.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({function.__name__: function for function in _FILTERS})
    environment.tests["number_column"] = text.is_number_column
    environment.tests["wide_table"] = _is_wide
    return environment


def _is_wide(table: Table) -> bool:
    """Whether half of the page is too narrow for a table's heading."""
    return sum(len(column) + 2 for column in table.columns) > _WIDE_HEAD


def render_report(result: Result, folder: Path) -> str:
    """Render the report.

    Args:
        result: What to show.
        folder: The run folder that ``result.figures`` lie in.

    Returns:
        The whole page. Everything that comes from the result is escaped; web addresses become links
        in the reference line only.

    Raises:
        AnalysisError: If a figure's file is absent, outside the folder, or not a picture.
    """
    return (
        make_environment()
        .get_template("report.html.j2")
        .render(
            result=result,
            cards=_cards(result),
            pictures=[_picture(figure, folder) for figure in result.figures],
            sections=[_part(section, folder) for section in result.sections],
            reference=_linked(result.reference),
            long_table=_LONG_TABLE,
            longest_stage=max([stage.seconds for stage in result.stages], default=0) or 1,
        )
    )


def write_report(result: Result, folder: Path) -> Path:
    """Write ``report.html`` into the run folder, whole or not at all.

    Returns:
        The path of the report.

    Raises:
        AnalysisError: As :func:`render_report`.
    """
    path = folder / REPORT_FILE
    write_text(path, render_report(result, folder))
    return path


def check_section(section: object, folder: Path) -> None:
    """Check that a section can be shown in the report of a run folder.

    Raises:
        AnalysisError: If it is no section, or a figure's file is absent, outside the folder, or not a picture.
    """
    if not isinstance(section, Section):
        msg = f"A section of the report must be a dcgan_analysis.api.Section, got {section!r}."
        raise AnalysisError(msg)
    _part(section, folder)


def _part(section: Section, folder: Path) -> Part:
    paragraphs = [text.strip() for text in re.split(r"\n\s*\n", section.text) if text.strip()]
    return Part(section, paragraphs, [_picture(figure, folder) for figure in section.figures])


def _cards(result: Result) -> list[Card]:
    headline = result.metrics[result.headline]
    directions = {True: "higher is better", False: "lower is better", None: ""}
    direction = directions[headline.higher_is_better]
    cards = [_card("headline", text.label(result.headline), headline, direction)]
    control = result.metrics.get(f"{_CONTROL_PREFIX}{result.headline}")
    if control is not None:
        gap = f"{text.label(result.headline).lower()} is {text.difference(headline, control.value)}"
        cards.append(_card("control", "Control: random weights", control, gap))
    if headline.published is not None:
        gap = f"this run is {text.difference(headline, headline.published)}"
        source = (headline.source,) if headline.source else ()
        fill = 100 * headline.published if _is_share(headline) else None
        value = text.metric_published(headline)
        cards.append(Card("published", "Published", value, (*source, gap), fill))
    return cards


def _card(kind: str, label: str, metric: Metric, remark: str) -> Card:
    interval = text.metric_interval(metric)
    lines = [f"{interval} {metric.interval or ''}".strip()] if interval else []
    if metric.n is not None:
        lines.append(f"n = {count(metric.n)}")
    lines.append(remark)
    ends: tuple[float | None, ...] = (None, None, None)
    if _is_share(metric):
        low = metric.value if metric.low is None else metric.low
        high = metric.value if metric.high is None else metric.high
        ends = (100 * metric.value, max(0.0, 100 * low), min(100.0, 100 * high))
    return Card(kind, label, text.metric_value(metric), tuple(lines), *ends)


def _is_share(metric: Metric) -> bool:
    return metric.unit == "fraction" and 0 <= metric.value <= 1


def _picture(figure: Figure, folder: Path) -> Picture:
    path = (folder / figure.file).resolve()
    named = f"Figure '{figure.name}' names the file '{figure.file}'"
    if not path.is_relative_to(folder.resolve()):
        msg = f"{named}, which lies outside the run folder '{folder}'. Save figures inside it."
        raise AnalysisError(msg)
    if not path.is_file():
        msg = f"{named}, which is not in the run folder '{folder}'. Save it there first."
        raise AnalysisError(msg)
    try:
        with open_picture(path, f"'{figure.file}'") as image:
            width, height = image.size
            kind = image.get_format_mimetype()
    except DatasetError:
        msg = f"{named}, which is not a picture. Save it as PNG, JPEG, GIF or WebP."
        raise AnalysisError(msg) from None
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return Picture(figure, f"data:{kind};base64,{data}", width, height, width > _WIDE_FROM)


def _linked(reference: str) -> list[tuple[str, bool]]:
    """Split a text into pieces (text, whether it is a web address)."""
    pieces, end = [], 0
    for match in _URL.finditer(reference):
        pieces += [(reference[end : match.start()], False), (match.group(), True)]
        end = match.end()
    return [piece for piece in [*pieces, (reference[end:], False)] if piece[0]]
