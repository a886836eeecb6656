"""Figures of a run folder inside a page, as data addresses."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dcgan_analysis.data.files.pictures import open_picture
from dcgan_analysis.errors import AnalysisError, DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dcgan_analysis.api.result import Figure

_WIDE_FROM = 1250  # dots; wider pictures span the page
_SMALL = 400  # dots; narrower pictures are shown twice as large


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


def picture_of(figure: Figure, folder: Path) -> Picture:
    """Return a figure of a run folder, ready to stand in a page.

    Raises:
        AnalysisError: If its file is absent, outside the folder, or not a picture.
    """
    uri, width, height = embedded(f"Figure '{figure.name}'", figure.file, folder)
    return Picture(figure, uri, width, height, width > _WIDE_FROM)


def pictures_of(figures: Sequence[Figure], folder: Path) -> list[Picture]:
    """Return figures in order; a narrow one between wide ones is marked, so that it leaves no hole beside it."""
    pictures = [picture_of(figure, folder) for figure in figures]
    wide = [True, *(picture.wide for picture in pictures), True]
    return [
        replace(picture, alone=not picture.wide and before and after)
        for picture, before, after in zip(pictures, wide, wide[2:], strict=False)
    ]


def embedded(what: str, file: str, folder: Path) -> tuple[str, int, int]:
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
    return data_address(path.read_bytes(), str(kind)), width, height


def data_address(encoded: bytes, kind: str) -> str:
    """Return a file as an address that holds it.

    Example:
        >>> data_address(b"GIF89a", "image/gif")
        'data:image/gif;base64,R0lGODlh'
    """
    return f"data:{kind};base64,{base64.b64encode(encoded).decode('ascii')}"
