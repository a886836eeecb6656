"""Cutting faces out of photos, as the paper's face data set was made.

arXiv 1511.06434, section 4.2: OpenCV's face detector on photos of people, detections of sufficient resolution kept,
no augmentation. The detector here is OpenCV's frontal cascade (Viola and Jones 2001; Lienhart and Maydt 2002), which
comes inside the package opencv-python-headless.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from dcgan_analysis.core.documents import parse_json, read_document
from dcgan_analysis.core.files import make_folder, sync, write_text, writer_lock
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.data.files.decode import decode_image
from dcgan_analysis.data.files.index import open_images
from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from dcgan_analysis.data.files.containers import Container

    Detector = Callable[[NDArray[np.uint8], int], list[tuple[int, int, int, int]]]

_RECORD = "faces.json"
# How often the record is written: what a kill can lose.
_INTERVAL = 200
_LONGEST_STEM = 200


@dataclass(frozen=True)
class FaceCrops:
    """Faces cut out of photos.

    Attributes:
        folder: Where the faces lie.
        photos: Photos looked at.
        faces: Faces kept.
        small: Detections below the resolution asked for.
        skipped: Photos that could not be read; the record lists them.
    """

    folder: Path
    photos: int
    faces: int
    small: int
    skipped: int


def opencv_detector() -> Detector:
    """Return OpenCV's frontal face detector: gray (H, W) and smallest side -> boxes (x, y, width, height).

    Raises:
        DatasetError: If OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError:
        msg = "Detecting faces needs OpenCV: pip install 'dcgan-analysis[faces]'"
        raise DatasetError(msg) from None
    cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"))

    def detect(gray: NDArray[np.uint8], smallest: int) -> list[tuple[int, int, int, int]]:
        boxes = cascade.detectMultiScale(gray, scaleFactor=1.1, minNeighbors=5, minSize=(smallest, smallest))
        return sorted((int(x), int(y), int(w), int(h)) for x, y, w, h in boxes)

    return detect


def square_around(box: tuple[int, int, int, int], margin: float, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the square (left, top, right, bottom) around a box, moved and cut so that it lies inside the photo.

    Args:
        box: x, y, width, height.
        margin: Share of the side that is added on every edge.
        width: Of the photo.
        height: Of the photo.

    Example:
        >>> square_around((10, 10, 20, 20), 0.25, 100, 100)
        (5, 5, 35, 35)
        >>> square_around((0, 10, 20, 20), 0.25, 100, 100)
        (0, 5, 30, 35)
    """
    x, y, w, h = box
    side = min(round(max(w, h) * (1 + 2 * margin)), width, height)
    left = min(max(round(x + w / 2 - side / 2), 0), width - side)
    top = min(max(round(y + h / 2 - side / 2), 0), height - side)
    return left, top, left + side, top + side


def crop_faces(
    source: Path,
    out: Path,
    *,
    size: int = 64,
    smallest: int | None = None,
    margin: float = 0.0,
    detector: Detector | None = None,
    progress: Progress = silent,
) -> FaceCrops:
    """Cut the faces out of a source of photos into a folder of PNG files.

    Args:
        source: Photos, see ``data.files.index.open_images``.
        out: The folder to make; ``faces.json`` in it says from which photo and box each face comes. Run again after a
            kill it goes on.
        size: Height and width of the faces (bilinear, antialiased).
        smallest: Smallest side of a detection that is kept; ``size`` if None, so that no face is enlarged.
        margin: Share of the side that is added on every edge of a detection.
        detector: Gray (H, W) uint8 and smallest side -> boxes; OpenCV's by default.
        progress: Called with the number of photos done.

    Raises:
        DatasetError: If OpenCV is missing, a setting is out of range, or ``out`` holds something else.
    """
    if size < 1 or margin < 0 or (smallest is not None and smallest < 1):
        msg = f"size and smallest must be >= 1, margin >= 0; got size {size}, smallest {smallest}, margin {margin}."
        raise DatasetError(msg)
    settings = {"source": source.name, "size": size, "smallest": smallest or size, "margin": margin}
    detect = detector or opencv_detector()
    container, index = open_images(source)
    make_folder(out.parent)
    with writer_lock(out, f"The folder of faces '{out}'", DatasetError):
        record = _record(out, settings)
        known = len(record["faces"])
        for name in index.names[record["photos"] :]:
            _crop_one(container, name, out, record, detect)
            record["photos"] += 1
            if record["photos"] % _INTERVAL == 0:
                known = _save_record(out, record, known)
                progress(f"crop faces of {source.name} (photos)", record["photos"], len(index.names))
        _save_record(out, record | {"complete": True}, known)
    return FaceCrops(out, record["photos"], len(record["faces"]), record["small"], len(record["skipped"]))


def _save_record(out: Path, record: dict[str, Any], known: int) -> int:
    """Write the record, after the faces in it that the one before did not know; returns how many it knows."""
    for name in islice(record["faces"], known, None):
        sync(out / name)
    write_text(out / _RECORD, json.dumps(record, indent=1))
    return len(record["faces"])


def _record(out: Path, settings: dict[str, object]) -> dict[str, Any]:
    path = out / _RECORD
    out.mkdir(parents=True, exist_ok=True)
    if not any(out.iterdir()):
        return {"settings": settings, "photos": 0, "small": 0, "faces": {}, "skipped": {}}
    try:
        record = parse_json(read_document(path)) if path.is_file() else {}
    except (OSError, ValueError):
        record = {}
    kinds = {"photos": int, "small": int, "faces": dict, "skipped": dict}
    whole = isinstance(record, dict) and all(isinstance(record.get(name), kind) for name, kind in kinds.items())
    if not whole or record.get("settings") != settings or record.get("complete"):
        msg = f"'{out}' is not empty and holds no unfinished crop with these settings. Choose another folder (out)."
        raise DatasetError(msg)
    return record


def _crop_one(container: Container[Any], photo_name: str, out: Path, record: dict[str, Any], detect: Detector) -> None:
    try:
        pixels = decode_image(container.read(photo_name), f"'{photo_name}'").pixels
    except DatasetError as error:
        record["skipped"][photo_name] = str(error)
        return
    settings = record["settings"]
    photo = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    # Half the size asked for: what lies between is counted, so that a user sees what a lower bound would give.
    boxes = detect(np.asarray(photo.convert("L")), max(settings["smallest"] // 2, 1))
    for number, box in enumerate(boxes):
        if min(box[2:]) < settings["smallest"]:
            record["small"] += 1
            continue
        square = square_around(box, settings["margin"], *photo.size)
        side = settings["size"]
        face = photo.crop(square).resize((side, side), Image.Resampling.BILINEAR)
        name = _face_name(photo_name, number, record["faces"])
        face.save(out / name)
        record["faces"][name] = {"photo": photo_name, "box": list(square)}


def _face_name(photo: str, number: int, taken: Mapping[str, Any]) -> str:
    """Return a file name for a face: that of its photo and a number; photos of the same name get different ones."""
    stem = photo.rpartition(".")[0].replace("/", "-")
    # Folders joined may be longer than a name can be.
    if len(stem.encode()) > _LONGEST_STEM:
        stem = f"{stem[: _LONGEST_STEM // 4]}-{hashlib.sha256(photo.encode()).hexdigest()[:16]}"
    name, again = f"{stem}-{number}.png", 2
    while name in taken:
        name, again = f"{stem}-{number}~{again}.png", again + 1
    return name
