"""Boxes of one object on generated samples, in pixels: our JSON, or COCO.

    {"format": "dcgan-analysis boxes", "version": 1, "checkpoint_sha256": "...", "seed": 0, "n": 150,
     "object": "window", "boxes": [{"sample": 3, "box": [x, y, w, h]}], "done": [0, 1, 2, 3]}

x and y are the left upper corner; pixel (0, 0) spans 0 to 1. ``done`` lists the samples that were looked at, with a
box or without. ``label``, the class of all samples of a conditional generator, may be absent: classes in turn.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from dcgan_analysis.annotations.documents import Document, read_json
from dcgan_analysis.errors import AnnotationError

__all__ = ["Box", "Boxes", "boxes_file", "read_boxes"]

Corner = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Box(BaseModel):
    """One box on one sample: left, top, width, height in pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sample: NonNegativeInt
    box: tuple[Corner, Corner, Length, Length]


class Boxes(Document):
    """All boxes of one object.

    Example:
        >>> Boxes(object="window", n=4, boxes=[Box(sample=1, box=(2, 3, 4, 5))]).by_sample()
        {1: [(2.0, 3.0, 4.0, 5.0)]}
    """

    KIND: ClassVar[str] = "dcgan-analysis boxes"

    format: Literal["dcgan-analysis boxes"] = "dcgan-analysis boxes"
    object: str = Field(min_length=1, description="what the boxes are around")
    n: int = Field(default=150, ge=1, description="samples that were, or are to be, looked at")
    label: int | None = Field(default=None, ge=0, description="class of a conditional generator; null: in turn")
    boxes: list[Box] = Field(default_factory=list)
    done: list[NonNegativeInt] = Field(default_factory=list)

    def by_sample(self) -> dict[int, list[tuple[float, float, float, float]]]:
        """Return the boxes of each sample that has any, in the order of samples."""
        by_sample: dict[int, list[tuple[float, float, float, float]]] = {}
        for box in sorted(self.boxes, key=lambda box: box.sample):
            by_sample.setdefault(box.sample, []).append(box.box)
        return by_sample

    def check(self, height: int, width: int, path: Path | str) -> None:
        """Refuse boxes of samples that there are not, or that leave the image.

        Raises:
            AnnotationError: Naming the first such box.
        """
        for number, box in enumerate(self.boxes):
            x, y, w, h = box.box
            if box.sample >= self.n:
                msg = f"'{path}': box {number} is on sample {box.sample}; there are samples 0 to {self.n - 1}."
                raise AnnotationError(msg)
            # Half a pixel of tolerance: other tools round outwards.
            if x + w > width + 0.5 or y + h > height + 0.5:
                msg = f"'{path}': box {number}, {list(box.box)}, leaves the image of {width} x {height} pixels."
                raise AnnotationError(msg)


def boxes_file(object: str) -> str:
    """Return the name of the file that boxes of an object are kept in; it never leads into another folder.

    Example:
        >>> boxes_file("left window"), boxes_file("../x")
        ('boxes-left-window.json', 'boxes-..-x.json')
    """
    name = re.sub(r"[^\w.-]+", "-", object.strip())
    return f"boxes-{name}.json"


def read_boxes(path: Path, *, object: str | None = None) -> Boxes:
    """Read boxes from our JSON or from COCO.

    Of COCO, each image's number is the last number in its file name, else its id. COCO knows no latent vectors: a
    ``dcgan_analysis`` entry of ``info`` may give ``seed``, ``n``, ``label`` and ``checkpoint_sha256``; the seed is
    otherwise 0 and n one more than the largest image number.

    Args:
        path: The file.
        object: In COCO the category to take; needed where there are several.

    Raises:
        AnnotationError: If the file is absent, damaged, or holds no such object.
    """
    content = read_json(path)
    if isinstance(content, dict) and "format" not in content and {"images", "annotations"} <= content.keys():
        try:
            boxes = _from_coco(content, object, path)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            msg = f"'{path}' looks like COCO but is damaged: {' '.join(str(error).split()) or type(error).__name__}."
            raise AnnotationError(msg) from None
    else:
        boxes = Boxes.parse(content, path)
        if object is not None and boxes.object != object:
            msg = f"'{path}' holds boxes of '{boxes.object}', asked for is '{object}'. Give the file of '{object}'."
            raise AnnotationError(msg)
    return boxes


def _from_coco(content: dict[str, Any], wanted: str | None, path: Path) -> Boxes:
    names = {entry["id"]: str(entry["name"]) for entry in content.get("categories", [])}
    known = ", ".join(names.values()) or "none"
    if wanted is None and len(names) != 1:
        msg = f"'{path}' has the categories {known}. Choose one by the setting object=NAME."
        raise AnnotationError(msg)
    chosen = [number for number, name in names.items() if wanted in (None, name)]
    if not chosen:
        msg = f"'{path}' has no category '{wanted}'; it has: {known}."
        raise AnnotationError(msg)
    samples = {entry["id"]: _sample_number(entry) for entry in content["images"]}
    own = dict(content.get("info", {}).get("dcgan_analysis", {}))
    try:
        return Boxes(
            object=names[chosen[0]],
            n=own.pop("n", max(samples.values(), default=0) + 1),
            boxes=[
                Box(sample=samples[entry["image_id"]], box=tuple(entry["bbox"]))
                for entry in content["annotations"]
                if entry["category_id"] in chosen
            ],
            done=sorted(samples.values()),
            **own,
        )
    except ValidationError as error:
        item = error.errors()[0]
        msg = f"'{path}': {'.'.join(map(str, item['loc']))}: {item['msg']}, got {item['input']!r}."
        raise AnnotationError(msg) from None


def _sample_number(entry: dict[str, Any]) -> int:
    numbers = re.findall(r"\d+", Path(str(entry.get("file_name", ""))).stem)
    return int(numbers[-1] if numbers else entry["id"])
