"""Exemplars: samples that stand for concepts, by seed and index, for arithmetic on latent vectors.

    {"format": "dcgan-analysis exemplars", "version": 1, "checkpoint_sha256": "...", "seed": 0, "z_prior": "uniform",
     "concepts": {"smiling woman": [12, 88, 301]}, "expression": ["smiling woman", "neutral woman", "neutral man"]}

The expression [a, b, c] means a - b + c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, NonNegativeInt, model_validator

from dcgan_analysis.annotations.documents import Document, read_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Exemplars", "read_exemplars"]


class Exemplars(Document):
    """Concepts and their exemplars.

    Example:
        >>> Exemplars(concepts={"smiling": [3, 1, 4]}).concepts["smiling"]
        [3, 1, 4]
    """

    KIND: ClassVar[str] = "dcgan-analysis exemplars"

    format: Literal["dcgan-analysis exemplars"] = "dcgan-analysis exemplars"
    checkpoint: str | None = Field(default=None, description="name of the checkpoint, for the reader")
    z_prior: Literal["uniform", "normal"] | None = None
    label: int | None = Field(default=None, ge=0, description="class of a conditional generator; null: in turn")
    concepts: dict[str, list[NonNegativeInt | list[float]]] = Field(
        default_factory=dict, description="exemplars: indices of samples, or latent vectors themselves"
    )
    expression: list[str] | None = Field(default=None, description="a, b, c: a - b + c")

    @model_validator(mode="after")
    def _expression_names_concepts(self) -> Exemplars:
        if self.expression is not None and len(self.expression) != 3:
            msg = f"expression takes three concepts a, b, c for a - b + c, got {len(self.expression)}"
            raise ValueError(msg)
        for name in self.expression or ():
            if not self.concepts.get(name):
                msg = f"expression names '{name}', of which there is no exemplar; concepts: {', '.join(self.concepts)}"
                raise ValueError(msg)
        return self


def read_exemplars(path: Path) -> Exemplars:
    """Read exemplars.

    Raises:
        AnnotationError: If the file is absent or damaged.
    """
    return Exemplars.parse(read_json(path), path)
