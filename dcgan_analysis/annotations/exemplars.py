"""Exemplars: samples that stand for concepts, by seed and index, in a JSON file that repeats a figure exactly.

The format is documented in docs/exemplars.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from dcgan_analysis.annotations.documents import Document, read_json
from dcgan_analysis.errors import AnnotationError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint

__all__ = ["EXEMPLARS_FILE", "Exemplars", "find_exemplars", "read_exemplars"]

EXEMPLARS_FILE = "exemplars.json"
"""The name under which a folder of annotations, and a checkpoint's folder, holds exemplars."""

Index = Annotated[int, Field(ge=0, strict=True)]
Vector = Annotated[list[float], Field(min_length=1)]


class Exemplars(Document):
    """Concepts, their exemplars, and the expression to compute with them.

    An exemplar is an index into ``checkpoint.latents(n, seed)``, whose vector i does not depend on n, or a latent
    vector itself.

    Example:
        >>> Exemplars(concepts={"smiling": [3, 1, 4]}).concepts["smiling"]
        [3, 1, 4]
    """

    model_config = ConfigDict(allow_inf_nan=False)
    KIND: ClassVar[str] = "dcgan-analysis exemplars"

    format: Literal["dcgan-analysis exemplars"] = "dcgan-analysis exemplars"
    checkpoint: str | None = Field(default=None, description="name of the checkpoint, for the reader")
    z_prior: Literal["uniform", "normal"] | None = Field(default=None, description="prior the indices are drawn from")
    label: int | None = Field(
        default=None, ge=0, description="class of all samples of a conditional generator; null: index modulo classes"
    )
    concepts: dict[str, list[Index | Vector]] = Field(
        default_factory=dict, description="name of a concept -> its exemplars"
    )
    expression: tuple[str, str, str] | None = Field(default=None, description="a, b, c of a - b + c")

    @field_validator("expression", mode="before")
    @classmethod
    def _three_concepts(cls, value: object) -> object:
        if isinstance(value, list | tuple) and len(value) != 3:
            msg = f"expression takes three concepts a, b, c for a - b + c, got {len(value)}"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _expression_names_concepts(self) -> Exemplars:
        for name in self.expression or ():
            if not self.concepts.get(name):
                known = ", ".join(self.concepts)
                msg = f"the expression names '{name}', of which there is no exemplar; concepts: {known}"
                raise ValueError(msg)
        return self

    def check(self, checkpoint: Checkpoint, path: Path | str) -> None:
        """Refuse another checkpoint than the one they were picked from.

        Raises:
            AnnotationError: If hash or prior differ, or a vector has another length than Z.
        """
        self.check_checkpoint(checkpoint, path)
        if self.z_prior is not None and self.z_prior != checkpoint.metadata.z_prior:
            msg = (
                f"'{path}': exemplars of the prior '{self.z_prior}', '{checkpoint.name}' has "
                f"'{checkpoint.metadata.z_prior}'. Pick new exemplars: dcgan-analyze annotate."
            )
            raise AnnotationError(msg)
        size = checkpoint.architecture.z_size
        for name, chosen in self.concepts.items():
            for one in chosen:
                if isinstance(one, list) and len(one) != size:
                    msg = (
                        f"'{path}': concept '{name}' has a latent vector of {len(one)} numbers; '{checkpoint.name}' "
                        f"takes {size}."
                    )
                    raise AnnotationError(msg)

    def latents(self, concept: str, checkpoint: Checkpoint) -> Tensor:
        """Return the latent vectors of a concept's exemplars, (E, Z)."""
        import torch

        chosen = self.concepts[concept]
        indices = [one for one in chosen if isinstance(one, int)]
        drawn = checkpoint.latents(max(indices, default=-1) + 1, self.seed)
        return torch.stack([drawn[one] if isinstance(one, int) else torch.tensor(one) for one in chosen])

    def labels(self, concept: str, checkpoint: Checkpoint) -> Tensor | None:
        """Return the classes of a concept's exemplars (E,), None for an unconditional generator.

        Raises:
            AnnotationError: If there is no such class, or a latent vector of a conditional generator has none.
        """
        import torch

        classes = checkpoint.architecture.classes
        if not classes:
            return None
        if self.label is None and any(isinstance(one, list) for one in self.concepts[concept]):
            msg = f"Concept '{concept}' holds latent vectors and '{checkpoint.name}' is conditional: give 'label'."
            raise AnnotationError(msg)
        if self.label is not None and self.label >= classes:
            msg = f"The exemplars' label {self.label} is none of the classes 0 to {classes - 1} of '{checkpoint.name}'."
            raise AnnotationError(msg)
        numbers = [
            self.label if self.label is not None else one % classes if isinstance(one, int) else 0
            for one in self.concepts[concept]
        ]
        return torch.tensor(numbers)


def read_exemplars(path: Path) -> Exemplars:
    """Read exemplars.

    Raises:
        AnnotationError: If the file is absent or damaged.
    """
    return Exemplars.parse(read_json(path), path)


def find_exemplars(checkpoint: Checkpoint) -> Path | None:
    """Return the exemplars that lie beside a checkpoint's weights, or None."""
    if checkpoint.path is None:
        return None
    beside = checkpoint.path.with_name(EXEMPLARS_FILE)
    return beside if beside.is_file() else None
