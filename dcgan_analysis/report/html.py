"""A result as one HTML file: pictures, style and script inside, nothing fetched; it reads well without the script."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dcgan_analysis.api.result import REPORT_FILE, Section
from dcgan_analysis.core.files import write_text
from dcgan_analysis.core.text import count, duration, short_hash
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.report import format as text
from dcgan_analysis.report.galleries import tiles_of
from dcgan_analysis.report.pictures import Picture, pictures_of

if TYPE_CHECKING:
    from pathlib import Path

    from dcgan_analysis.api.result import Metric, Result, Table

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
_LONG_TABLE = 24  # rows; longer tables are folded
_WIDE_HEAD = 56  # letters of a table's heading with gaps; wider tables span the page
_URL = re.compile(r"https?://[^\s<>\"']*[^\s<>\"'.,;:)]")


@dataclass(frozen=True)
class Part:
    """A section that a plugin added, ready to stand in the page."""

    section: Section
    paragraphs: list[str]
    pictures: list[Picture]


@dataclass(frozen=True)
class Bar:
    """A share as the length of a little bar, and its interval on it, in percent; the interval's ends may be equal."""

    fill: float
    start: float
    end: float


@dataclass(frozen=True)
class Card:
    """One of the big numbers on top: the headline, its control, the published figure; with a bar if it is a share."""

    kind: str
    label: str
    value: str
    lines: tuple[str, ...]
    bar: Bar | None


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
    script = resources.files(__package__).joinpath("templates", "report.js").read_text(encoding="utf-8")
    # The hash in the page's policy allows this script and no other, whatever a name in the page may hold.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    environment.globals |= {"script": Markup(script), "script_sha256": digest, "long_table": _LONG_TABLE}
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
            pictures=pictures_of(result.figures, folder),
            sections=[_part(section, folder) for section in result.sections],
            reference=_linked(result.reference),
            galleries=[tiles_of(gallery, folder) for gallery in result.galleries],
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
    return Part(section, paragraphs, pictures_of(section.figures, folder))


def _cards(result: Result) -> list[Card]:
    headline = result.metrics[result.headline]
    cards = [headline_card("headline", text.label(result.headline), headline)]
    control = result.metrics.get(f"{_CONTROL_PREFIX}{result.headline}")
    if control is not None:
        gap = f"{text.label(result.headline).lower()} is {text.difference(headline, control.value)}"
        cards.append(_card("control", "Control: random weights", control, gap))
    if headline.published is not None:
        gap = f"this run is {text.difference(headline, headline.published)}"
        source = (headline.source,) if headline.source else ()
        published = bar_of(headline.model_copy(update={"value": headline.published, "low": None, "high": None}))
        cards.append(Card("published", "Published", text.metric_published(headline), (*source, gap), published))
    return cards


def headline_card(kind: str, label: str, metric: Metric) -> Card:
    """Return a card that says which direction is better."""
    directions = {True: "higher is better", False: "lower is better", None: ""}
    return _card(kind, label, metric, directions[metric.higher_is_better])


def _card(kind: str, label: str, metric: Metric, remark: str) -> Card:
    interval = text.metric_interval(metric)
    lines = [f"{interval} {metric.interval or ''}".strip()] if interval else []
    if metric.n is not None:
        lines.append(f"n = {count(metric.n)}")
    lines.append(remark)
    return Card(kind, label, text.metric_value(metric), tuple(lines), bar_of(metric))


def bar_of(metric: Metric) -> Bar | None:
    """Return the bar of a metric; None if it is no share of a whole."""
    if metric.unit != "fraction" or not 0 <= metric.value <= 1:
        return None
    low = metric.value if metric.low is None else metric.low
    high = metric.value if metric.high is None else metric.high
    return Bar(100 * metric.value, max(0.0, 100 * low), min(100.0, 100 * high))


def _linked(reference: str) -> list[tuple[str, bool]]:
    """Split a text into pieces (text, whether it is a web address)."""
    pieces, end = [], 0
    for match in _URL.finditer(reference):
        pieces += [(reference[end : match.start()], False), (match.group(), True)]
        end = match.end()
    return [piece for piece in [*pieces, (reference[end:], False)] if piece[0]]
