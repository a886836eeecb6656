"""Several runs on one page: what each found, and a link to its report."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dcgan_analysis.api.result import REPORT_FILE
from dcgan_analysis.data.files.pictures import open_picture
from dcgan_analysis.report.html import make_environment
from dcgan_analysis.report.pictures import data_address

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dcgan_analysis.api.result import Result

_THUMBNAIL = (520, 240)  # dots


class _RunOutcome(Protocol):
    """What the page shows of a run; see ``dcgan_analysis.runs.batch.Outcome``."""

    @property
    def name(self) -> str: ...
    @property
    def result(self) -> Result | None: ...
    @property
    def error(self) -> str: ...
    @property
    def state(self) -> str: ...


@dataclass(frozen=True)
class Entry:
    """One run, ready to stand in the page."""

    outcome: _RunOutcome
    result: Result | None
    subject: str
    link: str
    picture: str


def render_index(title: str, outcomes: Sequence[_RunOutcome], folder: Path) -> str:
    """Render the page.

    Args:
        title: Its heading.
        outcomes: The runs, in order.
        folder: The folder that the page will stand in; run folders lie below it, under the names of the analyses.

    Returns:
        The whole page: pictures, style and script inside, links to the reports of the runs only.
    """
    entries = [_entry(outcome, folder) for outcome in outcomes]
    done = sum(entry.result is not None for entry in entries)
    summary = f"{done} of {len(entries)} done" if done < len(entries) else f"{done} done"
    return make_environment().get_template("index.html.j2").render(title=title, entries=entries, summary=summary)


def _entry(outcome: _RunOutcome, folder: Path) -> Entry:
    result = outcome.result
    if result is None:
        return Entry(outcome, None, "", "", "")
    parts = [part.name for part in (result.checkpoint, result.dataset) if part is not None]
    picture = _thumbnail(folder / outcome.name / result.figures[0].file) if result.figures else ""
    return Entry(outcome, result, " on ".join(parts), f"{outcome.name}/{REPORT_FILE}", picture)


def _thumbnail(path: Path) -> str:
    """Return a small copy of a figure as a data address."""
    with open_picture(path, f"'{path}'") as image:
        small = image.convert("RGB")
        small.thumbnail(_THUMBNAIL)
    stream = io.BytesIO()
    small.save(stream, "PNG", optimize=True)
    return data_address(stream.getvalue(), "image/png")
