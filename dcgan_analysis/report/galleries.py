"""Galleries of labelled images inside a page: tiles of one sheet, which are filtered by class and by right or wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcgan_analysis.report.pictures import embedded

if TYPE_CHECKING:
    from pathlib import Path

    from dcgan_analysis.api.result import Gallery


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


def tiles_of(gallery: Gallery, folder: Path) -> Tiles:
    """Return a gallery of a run folder, ready to stand in the page.

    Raises:
        AnalysisError: If its sheet is absent, outside the folder, or not a picture.
    """
    uri, width, height = embedded(f"Gallery '{gallery.name}'", gallery.file, folder)
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
