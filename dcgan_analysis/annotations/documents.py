"""Annotation files: JSON documents that carry format, version and the checkpoint whose samples they speak of."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import ConfigDict, Field, ValidationError

from dcgan_analysis.core.documents import parse_json, read_document
from dcgan_analysis.core.files import write_text
from dcgan_analysis.core.settings import DeferredModel
from dcgan_analysis.errors import AnnotationError

if TYPE_CHECKING:
    from pathlib import Path

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint

__all__ = ["VERSION", "Document", "read_json"]

VERSION = 1


class Document(DeferredModel):
    """Base of annotation files; samples are named by the seed of their latent vectors and an index from 0."""

    model_config = ConfigDict(validate_assignment=True)
    KIND: ClassVar[str]

    version: int = Field(default=VERSION, ge=1, description="of the format")
    checkpoint_sha256: str = Field(
        default="",
        description="content hash of the checkpoint's generator, or of the whole checkpoint, or a beginning of either; "
        "empty: unknown",
    )
    seed: int = Field(default=0, ge=0, description="of the latent vectors")

    def document(self) -> dict[str, Any]:
        """Return it as JSON-able values, without what is not set."""
        return {"format": self.KIND, **self.model_dump(mode="json", exclude_none=True)}

    def save(self, path: Path) -> None:
        """Write the document whole or not at all."""
        text = json.dumps(self.document(), indent=1, ensure_ascii=False)
        # Lists of plain numbers stay on one line: such files are read and compared by people.
        flat = re.sub(r"\[[^\[\]{}\"]*\]", lambda match: " ".join(match.group().split()), text)
        write_text(path, f"{flat}\n")

    @classmethod
    def parse(cls, content: Any, path: Path) -> Self:
        """Validate what was read.

        Raises:
            AnnotationError: One line that names the file, the field and what is wrong.
        """
        if not isinstance(content, dict) or content.get("format") != cls.KIND:
            kind = content.get("format") if isinstance(content, dict) else type(content).__name__
            msg = f"'{path}' is no file of the format '{cls.KIND}', its format is {kind!r}."
            raise AnnotationError(msg)
        version = content.get("version")
        if isinstance(version, int) and version > VERSION:
            msg = f"'{path}' has format version {version}, this release reads {VERSION}. Update dcgan-analysis."
            raise AnnotationError(msg)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            item = error.errors()[0]
            where = ".".join(map(str, item["loc"])) or "the document"
            msg = f"'{path}': {where}: {item['msg'].removeprefix('Value error, ')}, got {_short(item['input'])}."
            raise AnnotationError(msg) from None

    def check_checkpoint(self, checkpoint: Checkpoint, path: Path | str) -> None:
        """Refuse annotations of another network's samples.

        Samples are the generator's alone, and its hash is what is recorded today; the whole checkpoint's was before.

        Raises:
            AnnotationError: If the hashes differ; the beginning of one is enough, an empty one fits all.
        """
        sha256 = checkpoint.sha256("generator")
        if not (sha256.startswith(self.checkpoint_sha256) or checkpoint.sha256().startswith(self.checkpoint_sha256)):
            msg = (
                f"'{path}' marks samples of checkpoint {self.checkpoint_sha256[:12]}, the generator of "
                f"'{checkpoint.name}' is {sha256[:12]}: its samples are others. Use that checkpoint, or annotate anew: "
                "dcgan-analyze annotate."
            )
            raise AnnotationError(msg)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        AnnotationError: If it is absent, unreadable or not JSON.
    """
    try:
        return parse_json(read_document(path))
    except FileNotFoundError:
        msg = f"Annotation file '{path}' does not exist. Make one: dcgan-analyze annotate."
        raise AnnotationError(msg) from None
    except ValueError as error:
        msg = f"Annotation file '{path}' is not JSON: {error}."
        raise AnnotationError(msg) from None
    except OSError as error:
        msg = f"Annotation file '{path}' cannot be read: {error.strerror}."
        raise AnnotationError(msg) from None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
