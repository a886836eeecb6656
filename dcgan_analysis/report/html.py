"""A result as one HTML file: pictures, style and script inside, nothing fetched; it reads well without the script."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import dataclass, replace
from importlib import resources
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dcgan_analysis.api.result import REPORT_FILE, Section
from dcgan_analysis.core.files import write_text
from dcgan_analysis.core.text import count, duration, short_hash
from dcgan_analysis.data.files.pictures import open_picture
from dcgan_analysis.errors import AnalysisError, DatasetError
from dcgan_analysis.report import format as text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dcgan_analysis.api.result import Figure, Gallery, Metric, Result, Table

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
_SMALL = 400  # dots; narrower pictures are shown twice as large
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
    alone: bool = False

    @property
    def shown_width(self) -> int:
        """The most dots that it takes on the page: small pictures of pixels are enlarged twice."""
        return self.width * (2 if self.width <= _SMALL else 1)


@dataclass(frozen=True)
class Tile:
    """One image of a gallery: its classes by number and name, and its place on the sheet as shares of the whole."""

    id: str
    label: int
    prediction: int
    of: str
    predicted: str
    x: str
    y: str

    @property
    def right(self) -> bool:
        """Whether it is predicted as what it is."""
        return self.label == self.prediction

    @property
    def words(self) -> str:
        """What a screen reader says."""
        return f"{self.of}, predicted {'rightly' if self.right else self.predicted}"


@dataclass(frozen=True)
class Tiles:
    """A gallery, ready to stand in the page."""

    record: Gallery
    uri: str
    rows: int
    ratio: str
    images: list[Tile]

    @property
    def numbers(self) -> list[int]:
        """Class numbers that can be chosen, as what an image is or as what it is predicted."""
        return sorted({number for image in self.images for number in (image.label, image.prediction)})

    @property
    def of(self) -> list[tuple[int, str, int]]:
        """Classes of the images: number, name, images."""
        return self._counted([image.label for image in self.images])

    @property
    def predicted(self) -> list[tuple[int, str, int]]:
        """Predicted classes: number, name, images."""
        return self._counted([image.prediction for image in self.images])

    @property
    def kinds(self) -> list[tuple[str, str, int]]:
        """What can be chosen beside the classes: value, name, images."""
        right = sum(image.right for image in self.images)
        return [
            ("all", "all", len(self.images)),
            ("right", "right", right),
            ("wrong", "wrong", len(self.images) - right),
        ]

    def _counted(self, numbers: list[int]) -> list[tuple[int, str, int]]:
        return [(number, self.record.classes[number], n) for number, n in sorted(Counter(numbers).items())]


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
            pictures=_pictures(result.figures, folder),
            sections=[_part(section, folder) for section in result.sections],
            reference=_linked(result.reference),
            galleries=[_tiles(gallery, folder) for gallery in result.galleries],
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
    return Part(section, paragraphs, _pictures(section.figures, folder))


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


def picture_of(figure: Figure, folder: Path) -> Picture:
    """Return a figure of a run folder, ready to stand in a page.

    Raises:
        AnalysisError: If its file is absent, outside the folder, or not a picture.
    """
    uri, width, height = _embedded(f"Figure '{figure.name}'", figure.file, folder)
    return Picture(figure, uri, width, height, width > _WIDE_FROM)


def _pictures(figures: Sequence[Figure], folder: Path) -> list[Picture]:
    """Return figures in order; a narrow one between wide ones is marked, so that it leaves no hole beside it."""
    pictures = [picture_of(figure, folder) for figure in figures]
    wide = [True, *(picture.wide for picture in pictures), True]
    return [
        replace(picture, alone=not picture.wide and before and after)
        for picture, before, after in zip(pictures, wide, wide[2:], strict=False)
    ]


def _tiles(gallery: Gallery, folder: Path) -> Tiles:
    uri, width, height = _embedded(f"Gallery '{gallery.name}'", gallery.file, folder)
    columns, rows = gallery.columns, -(-len(gallery.ids) // gallery.columns)

    def share(position: int, places: int) -> str:
        return f"{position / max(1, places - 1):.5g}"

    tiles = [
        Tile(
            name,
            label,
            prediction,
            gallery.classes[label],
            gallery.classes[prediction],
            share(position % columns, columns),
            share(position // columns, rows),
        )
        for position, (name, label, prediction) in enumerate(
            zip(gallery.ids, gallery.labels, gallery.predictions, strict=True)
        )
    ]
    return Tiles(gallery, uri, rows, f"{width // columns} / {height // rows}", tiles)


def _embedded(what: str, file: str, folder: Path) -> tuple[str, int, int]:
    """Return a picture of the run folder as a data address, its width and its height."""
    path = (folder / file).resolve()
    named = f"{what} names the file '{file}'"
    if not path.is_relative_to(folder.resolve()):
        msg = f"{named}, which lies outside the run folder '{folder}'. Save figures inside it."
        raise AnalysisError(msg)
    if not path.is_file():
        msg = f"{named}, which is not in the run folder '{folder}'. Save it there first."
        raise AnalysisError(msg)
    try:
        with open_picture(path, f"'{file}'") as image:
            width, height = image.size
            kind = image.get_format_mimetype()
    except DatasetError:
        msg = f"{named}, which is not a picture. Save it as PNG, JPEG, GIF or WebP."
        raise AnalysisError(msg) from None
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f"data:{kind};base64,{data}", width, height


def _linked(reference: str) -> list[tuple[str, bool]]:
    """Split a text into pieces (text, whether it is a web address)."""
    pieces, end = [], 0
    for match in _URL.finditer(reference):
        pieces += [(reference[end : match.start()], False), (match.group(), True)]
        end = match.end()
    return [piece for piece in [*pieces, (reference[end:], False)] if piece[0]]
