"""What the page works on: samples of one checkpoint, and the annotations of one folder, saved at every change."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from dcgan_analysis.annotations.boxes import Box, Boxes, boxes_file, read_boxes
from dcgan_analysis.annotations.exemplars import EXEMPLARS_FILE, Exemplars, read_exemplars
from dcgan_analysis.checkpoints.sampling import Sampler
from dcgan_analysis.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint

__all__ = ["Workspace", "png_url"]

_LONGEST_NAME = 60


def png_url(image: np.ndarray) -> str:
    """Return an image, uint8 (C, H, W), as a data URL, so that the page asks nobody for a file."""
    from PIL import Image

    buffer = io.BytesIO()
    picture = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
    picture.save(buffer, format="PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@dataclass
class Workspace:
    """Samples and annotations.

    Attributes:
        checkpoint: Whose samples.
        folder: Where annotation files are; nothing else is read or written.
        seed: Of the latent vectors.
        n: Samples to draw boxes on.
        label: Class of a conditional checkpoint; None: in turn.
    """

    checkpoint: Checkpoint
    folder: Path
    seed: int = 0
    n: int = 150
    label: int | None = None
    _urls: dict[int, str] = field(default_factory=dict)
    _boxes: dict[str, Boxes] = field(default_factory=dict)
    _exemplars: Exemplars | None = None
    _states: dict[Path, tuple[int, ...] | None] = field(default_factory=dict)

    @cached_property
    def sampler(self) -> Sampler:
        """Draws the samples; made once."""
        return Sampler(self.checkpoint, label=self.label)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the samples."""
        _, height, width = self.checkpoint.architecture.image_shape
        return height, width

    def check(self) -> None:
        """Read all annotations of the folder, so that whatever is wrong with them is said at once.

        Raises:
            AnnotationError: If a file is damaged or speaks of other samples.
            CheckpointError: If there is no generator.
        """
        _ = self.sampler
        self.exemplars()
        for object in self.objects():
            self.boxes(object)

    def urls(self, indices: Sequence[int]) -> list[str]:
        """Return samples as data URLs, drawn on first use."""
        missing = [index for index in indices if index not in self._urls]
        if missing:
            z = self.checkpoint.latents(max(missing) + 1, self.seed)[missing]
            images = self.sampler(z, self.sampler.labels(missing))
            self._urls.update(zip(missing, map(png_url, images), strict=True))
        return [self._urls[index] for index in indices]

    def path_of(self, object: str) -> Path:
        """Return the file of an object's boxes."""
        return self._inside(boxes_file(object))

    def objects(self) -> list[str]:
        """Return the objects that the folder has boxes of, in alphabetical order."""
        names = set(self._boxes)
        for path in self.folder.glob("boxes-*.json"):
            names.add(read_boxes(self._inside(path.name)).object)
        return sorted(names)

    def boxes(self, object: str) -> Boxes:
        """Return the boxes of an object: those of the folder, as they are now, or none yet.

        Raises:
            AnnotationError: If the name is unfit, or the file is damaged or speaks of other samples.
        """
        name = _fit(object)
        path = self.path_of(name)
        if self._changed(path) or name not in self._boxes:
            if path.exists():
                boxes = read_boxes(path, object=name)
                boxes.check_checkpoint(self.checkpoint, path)
                boxes.check(*self.size, path)
                self._same_samples(path, boxes.seed, boxes.label)
                boxes.n = max(boxes.n, self.n)
            else:
                sha256 = self.checkpoint.sha256("generator")
                boxes = Boxes(object=name, n=self.n, seed=self.seed, label=self.label, checkpoint_sha256=sha256)
            self._boxes[name] = boxes
            self._note(path)
        return self._boxes[name]

    def set_boxes(self, object: str, sample: int, rectangles: Sequence[Sequence[float]], *, done: bool = True) -> Boxes:
        """Replace the boxes (x, y, width, height) on one sample and save.

        Raises:
            AnnotationError: If a box leaves the image or there is no such sample; nothing is changed then.
        """
        boxes = self.boxes(object)
        others = [box for box in boxes.boxes if box.sample != sample]
        try:
            replaced = [Box(sample=sample, box=(x, y, width, height)) for x, y, width, height in rectangles]
        except ValueError:
            msg = f"A box is x, y, width, height in pixels, of width and height above 0, got {list(rectangles)}."
            raise AnnotationError(msg) from None
        path = self.path_of(boxes.object)
        looked_at = set(boxes.done) | {sample} if done else set(boxes.done) - {sample}
        changed = boxes.model_copy(
            update={"boxes": sorted([*others, *replaced], key=lambda box: box.sample), "done": sorted(looked_at)}
        )
        changed.check(*self.size, path)
        if not 0 <= sample < changed.n:
            msg = f"There are samples 0 to {changed.n - 1}, got {sample}."
            raise AnnotationError(msg)
        changed.save(path)
        self._boxes[boxes.object] = changed
        self._note(path)
        return changed

    def exemplars(self) -> Exemplars:
        """Return the exemplars: those of the folder, as they are now, or none yet.

        Raises:
            AnnotationError: If the file is damaged or speaks of other samples.
        """
        path = self._inside(EXEMPLARS_FILE)
        if self._changed(path) or self._exemplars is None:
            if path.exists():
                exemplars = read_exemplars(path)
                exemplars.check(self.checkpoint, path)
                self._same_samples(path, exemplars.seed, exemplars.label)
                self._exemplars = exemplars
            else:
                self._exemplars = Exemplars(
                    checkpoint=self.checkpoint.name,
                    checkpoint_sha256=self.checkpoint.sha256("generator"),
                    seed=self.seed,
                    z_prior=self.checkpoint.metadata.z_prior,
                    label=self.label,
                )
            self._note(path)
        return self._exemplars

    def set_exemplars(
        self, concepts: dict[str, list[int | list[float]]], expression: Sequence[str] | None
    ) -> Exemplars:
        """Replace concepts and expression and save; an expression with a concept of no exemplar is left out.

        Raises:
            AnnotationError: If a name is unfit.
        """
        named = {_fit(name): members for name, members in concepts.items()}
        whole = expression is not None and all(named.get(name) for name in expression)
        update = {"concepts": named, "expression": tuple(expression) if expression is not None and whole else None}
        changed = self.exemplars().model_copy(update=update)
        path = self._inside(EXEMPLARS_FILE)
        changed.save(path)
        self._exemplars = changed
        self._note(path)
        return changed

    def _changed(self, path: Path) -> bool:
        """Say whether somebody else has written a file since it was read or written here."""
        return path in self._states and self._states[path] != _state(path)

    def _note(self, path: Path) -> None:
        self._states[path] = _state(path)

    def _same_samples(self, path: Path, seed: int, label: int | None) -> None:
        if (seed, label) != (self.seed, self.label):
            wanted = f"--seed {seed}" + ("" if label is None else f" --label {label}")
            msg = f"'{path}' speaks of other samples than those shown. Start with {wanted}, or use another --folder."
            raise AnnotationError(msg)

    def _inside(self, name: str) -> Path:
        """Return the path of a file of the folder; one that leads out of it, by name or by link, is refused."""
        path = self.folder / name
        if path.resolve().parent != self.folder.resolve():
            msg = f"'{name}' leads out of the folder '{self.folder}'. Remove it or choose another --folder."
            raise AnnotationError(msg)
        return path


def _state(path: Path) -> tuple[int, ...] | None:
    """Return what differs as soon as a file is written anew; None: it is not there."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _fit(name: str) -> str:
    text = " ".join(name.split())
    if not text or len(text) > _LONGEST_NAME or not any(letter.isalnum() for letter in text):
        msg = f"A name has letters or digits, at most {_LONGEST_NAME} characters, got '{text[:80]}'."
        raise AnnotationError(msg)
    return text
