"""A training as one HTML file, made from what lies in its folder: curves, samples over time, warnings, settings."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from dcgan_analysis.api.result import REPORT_FILE
from dcgan_analysis.checkpoints.catalogue import WEIGHTS
from dcgan_analysis.checkpoints.metadata import read_metadata
from dcgan_analysis.core.documents import parse_json, read_document
from dcgan_analysis.core.files import exists, write_text
from dcgan_analysis.core.statistics import wilson_interval
from dcgan_analysis.core.text import count, counted, duration, number, percent
from dcgan_analysis.data.files.pictures import open_picture
from dcgan_analysis.report import format as text
from dcgan_analysis.report.html import make_environment
from dcgan_analysis.report.model_card import CARD_FILE, may_write, write_card
from dcgan_analysis.report.pictures import data_address
from dcgan_analysis.training.watching import Watcher

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

_ROWS_OVER_TIME = 10
_GRID_ROWS = 8  # of a sample grid
_LATEST_WARNINGS = 12
_DPI = 110


class TrainingPage(Watcher):
    """Keeps ``report.html`` and the model card in the folder of a training up to date.

    A page takes a second or two. Where intervals are shorter than twenty times that, it is not written anew at each of
    them, but always at the end.
    """

    _SHARE = 20

    def __init__(self) -> None:
        self._ready = 0.0
        self._stale: Path | None = None

    def interval(self, folder: Path, row: Mapping[str, Any]) -> None:
        """Write the page, if the last one is old enough."""
        self._stale = folder
        started = time.monotonic()
        if started < self._ready:
            return
        self.close()
        ended = time.monotonic()
        self._ready = ended + self._SHARE * (ended - started)

    def close(self) -> None:
        """Write the page, if something happened since the last one."""
        if self._stale is not None:
            write_training_page(self._stale)
        self._stale = None


@dataclass(frozen=True)
class _Picture:
    title: str
    caption: str
    uri: str
    width: int
    wide: bool = False


def write_training_page(folder: Path) -> Path:
    """Write ``report.html`` and the model card into the folder of a training; returns the path of the page.

    A card that somebody else wrote is left alone.

    Args:
        folder: With ``history.json``, ``model.safetensors`` and ``samples/``.
    """
    path = folder / REPORT_FILE
    write_text(path, render_training_page(folder))
    if may_write(folder / CARD_FILE):
        write_card(folder / WEIGHTS)
    return path


def render_training_page(folder: Path) -> str:
    """Return the page of a training; everything shown is escaped."""
    history = parse_json(read_document(folder / "history.json"), finite=False)
    metadata = read_metadata(folder / WEIGHTS)
    environment = make_environment()
    environment.filters.update({function.__name__: function for function in (count, duration, text.cell, text.setting)})
    warned = [(row["epoch"], warning) for row in history for warning in row["warnings"]]
    return environment.get_template("training.html.j2").render(
        name=folder.resolve().name,
        metadata=metadata,
        last=history[-1],
        cards=_cards(history),
        warned=warned[-_LATEST_WARNINGS:][::-1],
        warned_before=max(0, len(warned) - _LATEST_WARNINGS),
        curves=_curves(history),
        samples=_samples(folder, history),
    )


def _cards(history: Sequence[dict[str, Any]]) -> list[tuple[str, str, list[str]]]:
    """Big numbers: title, value, lines below."""
    last = history[-1]
    cards = [
        ("Epochs", number(last["epoch"]), [f"{count(last['step'])} steps", f"{duration(last['seconds'])} of training"]),
        ("Images per second", number(round(last["images_per_second"], 1)), ["in the last interval"]),
        (
            "D(real) / D(fake)",
            f"{last['real_probability']:.2f} / {last['fake_probability']:.2f}",
            ["mean output for real and for generated images", "both 0.50: the discriminator cannot tell them apart"],
        ),
        ("Diversity", f"{last['diversity']:.2f}", ["distance between samples over that between real images"]),
    ]
    measured = [row for row in history if "feature_accuracy" in row]
    if measured:
        best = max(measured, key=lambda row: row["feature_accuracy"])
        n = best["feature_images"]
        low, high = wilson_interval(round(best["feature_accuracy"] * n), n)
        lines = [
            f"best, after {number(best['epoch'])} epochs; now {percent(measured[-1]['feature_accuracy'], 1)}",
            f"{percent(low, 1)} to {percent(high, 1)}, n = {count(n)} held-out training images",
        ]
        cards.insert(0, ("Feature accuracy", percent(best["feature_accuracy"], 1), lines))
    return cards


def _curves(history: Sequence[dict[str, Any]]) -> list[_Picture]:
    from dcgan_analysis import figures

    def series(name: str) -> figures.Series:
        return figures.Series([row["epoch"] for row in history], [row[name] for row in history])

    pictures = []

    def add(title: str, caption: str, figure: Figure) -> None:
        pictures.append(_from_figure(figure, title, caption))

    def draw(names: Mapping[str, str], y_label: str, *, fractions: bool = False) -> Figure:
        lines = {label: series(name) for label, name in names.items()}
        return figures.curve(lines, x_label="epochs", y_label=y_label, log_x=False, fractions=fractions)

    measured = [row for row in history if "feature_accuracy" in row]
    if measured:
        hits = [(round(row["feature_accuracy"] * row["feature_images"]), row["feature_images"]) for row in measured]
        low, high = zip(*(wilson_interval(*counts) for counts in hits), strict=True)
        x = [row["epoch"] for row in measured]
        y = [row["feature_accuracy"] for row in measured]
        line = figures.Series(x, y, low, high, chosen=x[y.index(max(y))])
        add(
            "Feature accuracy",
            "L2-SVM on the discriminator's features, on held-out training images, with 95 % intervals. The ringed "
            "epoch is best.safetensors.",
            figures.curve({"accuracy": line}, x_label="epochs", y_label="accuracy", log_x=False),
        )
    losses = {"generator": "generator_loss", "discriminator": "discriminator_loss"}
    probabilities = {"real images": "real_probability", "generated images": "fake_probability"}
    spread = {"all pairs": "diversity", "nearest other": "nearest_sample"}
    add("Losses", "Means over each interval; 2 ln 2 = 1.39 for a discriminator that cannot tell.", draw(losses, "loss"))
    add(
        "D(real) and D(fake)",
        "The discriminator's mean output, the probability that an image is real.",
        draw(probabilities, "probability", fractions=True),
    )
    add(
        "Diversity of samples",
        "Distances between 64 samples over those between real images; near 0: mode collapse.",
        draw(spread, "ratio"),
    )
    if all("sample_distance" in row for row in history):
        add(
            "Distance of samples to real images",
            "Between patches of 64 samples and of 64 real images; other real images are as near as samples can come.",
            draw({"samples": "sample_distance", "other real images": "real_distance"}, "distance"),
        )
    add(
        "Collapsed filters",
        "Maps of the generator's worst layer that do not depend on the latent vector.",
        draw({"worst layer": "collapsed_filters"}, "share of maps", fractions=True),
    )
    add("Speed", "Real images in a second.", draw({"speed": "images_per_second"}, "images per second"))
    return pictures


def _from_figure(figure: Figure, title: str, caption: str) -> _Picture:
    from dcgan_analysis.figures.style import styled

    drawn = io.BytesIO()
    with styled():
        figure.savefig(drawn, format="png", dpi=_DPI, metadata={"Software": None})
    width = round(figure.get_figwidth() * 100)
    return _Picture(title, caption, data_address(drawn.getvalue(), "image/png"), width)


def _samples(folder: Path, history: Sequence[dict[str, Any]]) -> list[_Picture]:
    """The latest grid, and the first row of grids over time."""
    rows = [row for row in history if exists(folder / row["samples"])]
    if not rows:
        return []
    latest_grid = folder / rows[-1]["samples"]
    with open_picture(latest_grid, f"'{latest_grid}'") as image:
        latest = _encoded(image.convert("RGB"))
        width = image.width
    epoch = rows[-1]["epoch"]
    title = f"Samples after {counted(epoch, 'epoch')}"
    pictures = [_Picture(title, "Of latent vectors that are the same every time, not selected.", latest, width)]
    if len(rows) > 1:
        rows_shown = _spaced(rows, _ROWS_OVER_TIME)
        strip, width = _over_time([folder / row["samples"] for row in rows_shown])
        epochs = ", ".join(number(row["epoch"]) for row in rows_shown)
        caption = f"Each column is one latent vector; rows from above after {epochs} epochs."
        pictures.append(_Picture("The same samples over time", caption, strip, width))
    return pictures


def _spaced(rows: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Return at most so many rows, the first and the last among them, evenly spaced.

    Example:
        >>> [row["epoch"] for row in _spaced([{"epoch": e} for e in range(7)], 3)]
        [0, 3, 6]
    """
    if len(rows) <= most:
        return list(rows)
    return [rows[round(i * (len(rows) - 1) / (most - 1))] for i in range(most)]


def _over_time(paths: Sequence[Path]) -> tuple[str, int]:
    strips = []
    for path in paths:
        with open_picture(path, f"'{path}'") as image:
            strips.append(image.convert("RGB").crop((0, 0, image.width, image.height // _GRID_ROWS)))
    width, height = strips[0].size
    page = Image.new("RGB", (width, (height + 2) * len(strips) - 2), "white")
    for position, strip in enumerate(strips):
        page.paste(strip, (0, position * (height + 2)))
    return _encoded(page), width


def _encoded(image: Image.Image) -> str:
    drawn = io.BytesIO()
    image.save(drawn, format="JPEG", quality=90, subsampling=0)
    return data_address(drawn.getvalue(), "image/jpeg")
