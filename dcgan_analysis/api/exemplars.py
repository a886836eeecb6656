"""Exemplars: samples picked for concepts, by seed and index, in a JSON file that repeats a figure exactly.

The format is documented in docs/exemplars.md.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dcgan_analysis.atomic import write_text
from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from dcgan_analysis.stores.checkpoint import Checkpoint

__all__ = ["EXEMPLARS_FILE", "FORMAT", "Exemplars", "find_exemplars"]

FORMAT = "dcgan-analysis exemplars"
EXEMPLARS_FILE = "exemplars.json"
"""The name under which a checkpoint's folder may hold its exemplars."""

Index = Annotated[int, Field(ge=0, strict=True)]
Vector = Annotated[list[float], Field(min_length=1)]


class Exemplars(BaseModel):
    """Picked samples and the expression to compute with them.

    An exemplar is an index into ``checkpoint.latents(n, seed)``, whose vector i does not depend on n, or a latent
    vector itself.

    Example:
        >>> document = {"seed": 0, "concepts": {"a": [1], "b": [2], "c": [3]}, "expression": ["a", "b", "c"]}
        >>> Exemplars.model_validate(document).concepts["b"]
        [2]
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, populate_by_name=True)

    format: Literal["dcgan-analysis exemplars"] = "dcgan-analysis exemplars"
    version: Literal[1] = 1
    checkpoint: str | None = Field(default=None, description="name of the checkpoint, for the reader")
    checkpoint_sha256: str | None = Field(default=None, description="the generator they were picked from; none: any")
    seed: int = Field(default=0, ge=0, description="seed of the latent vectors")
    z_prior: Literal["uniform", "normal"] | None = Field(default=None, description="prior the indices are drawn from")
    label: int | None = Field(
        default=None, ge=0, description="class of all samples of a conditional generator; none: index modulo classes"
    )
    concepts: dict[str, list[Index | Vector]] = Field(description="name of a concept -> its exemplars")
    expression: tuple[str, str, str] | None = Field(default=None, description="a, b, c of a - b + c")

    @model_validator(mode="after")
    def _expression_names_concepts(self) -> Exemplars:
        for name in self.expression or ():
            if not self.concepts.get(name):
                known = ", ".join(self.concepts)
                msg = f"the expression names '{name}', of which there is no exemplar; concepts: {known}"
                raise ValueError(msg)
        return self

    @classmethod
    def load(cls, path: Path) -> Exemplars:
        """Read a file.

        Raises:
            AnalysisError: If it is absent, no JSON, or breaks the format.
        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            msg = f"Exemplars '{path}' do not exist. Give a JSON file as described in docs/exemplars.md."
            raise AnalysisError(msg) from None
        except (OSError, ValueError) as error:
            msg = f"Exemplars '{path}' cannot be read: {error}."
            raise AnalysisError(msg) from None
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            item = error.errors()[0]
            where = ".".join(map(str, item["loc"])) or "document"
            msg = f"Exemplars '{path}': {where}: {item['msg'].removeprefix('Value error, ')}. See docs/exemplars.md."
            raise AnalysisError(msg) from None

    def document(self) -> dict[str, Any]:
        """Return it as JSON-able values, without what is not set."""
        return self.model_dump(mode="json", exclude_none=True)

    def save(self, path: Path) -> None:
        """Write it whole or not at all."""
        write_text(path, json.dumps(self.document(), indent=2) + "\n")

    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse another checkpoint than the one they were picked from.

        Raises:
            AnalysisError: If hash or prior differ, or a vector has another length than Z.
        """
        found = checkpoint.sha256()
        if self.checkpoint_sha256 is not None and not found.startswith(self.checkpoint_sha256):
            msg = (
                f"The exemplars were picked from the checkpoint {self.checkpoint_sha256[:12]}, "
                f"'{checkpoint.name}' is {found[:12]}. Use that one, or pick new exemplars."
            )
            raise AnalysisError(msg)
        if self.z_prior is not None and self.z_prior != checkpoint.metadata.z_prior:
            msg = (
                f"The exemplars are of the prior '{self.z_prior}', '{checkpoint.name}' has "
                f"'{checkpoint.metadata.z_prior}'. Pick new exemplars."
            )
            raise AnalysisError(msg)
        size = checkpoint.architecture.z_size
        for name, chosen in self.concepts.items():
            for one in chosen:
                if isinstance(one, list) and len(one) != size:
                    msg = (
                        f"Concept '{name}' has a latent vector of {len(one)} numbers; '{checkpoint.name}' takes {size}."
                    )
                    raise AnalysisError(msg)

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
            AnalysisError: If there is no such class, or a latent vector of a conditional generator has none.
        """
        import torch

        classes = checkpoint.architecture.classes
        if not classes:
            return None
        if self.label is None and any(isinstance(one, list) for one in self.concepts[concept]):
            msg = f"Concept '{concept}' holds latent vectors and '{checkpoint.name}' is conditional: give 'label'."
            raise AnalysisError(msg)
        if self.label is not None and self.label >= classes:
            msg = f"The exemplars' label {self.label} is none of the classes 0 to {classes - 1} of '{checkpoint.name}'."
            raise AnalysisError(msg)
        numbers = [
            self.label if self.label is not None else one % classes if isinstance(one, int) else 0
            for one in self.concepts[concept]
        ]
        return torch.tensor(numbers)


def find_exemplars(checkpoint: Checkpoint) -> Path | None:
    """Return the exemplars that lie beside a checkpoint's weights, or None."""
    if checkpoint.path is None:
        return None
    beside = checkpoint.path.with_name(EXEMPLARS_FILE)
    return beside if beside.is_file() else None
