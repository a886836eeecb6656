"""Exemplars for analyses: samples picked for concepts, by seed and index (docs/exemplars.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis.annotations.exemplars import Exemplars, find_exemplars, read_exemplars
from dcgan_analysis.core.folders import expanded
from dcgan_analysis.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint

__all__ = ["Exemplars", "make_exemplars", "read_expression"]


def read_expression(checkpoint: Checkpoint, path: Path | str | None = None) -> tuple[Exemplars, Path] | None:
    """Read the exemplars of an expression a - b + c, and check that they are this checkpoint's.

    Args:
        checkpoint: Whose samples they are.
        path: The file; None: ``exemplars.json`` beside the checkpoint's weights, where there is one.

    Returns:
        The exemplars, and where they were read; None where no file was named and none lies beside the weights.

    Raises:
        AnnotationError: If the file is absent or damaged, belongs to another checkpoint, or holds no expression.
    """
    file = find_exemplars(checkpoint) if path is None else expanded(path)
    if file is None:
        return None
    exemplars = read_exemplars(file)
    exemplars.check(checkpoint, file)
    if exemplars.expression is None:
        msg = f"Exemplars '{file}' have no expression. Add \"expression\": [a, b, c], three names of concepts."
        raise AnnotationError(msg)
    return exemplars, file


def make_exemplars(
    checkpoint: Checkpoint, seed: int, concepts: Mapping[str, Sequence[int]], label: int | None = None
) -> Exemplars:
    """Return three concepts a, b, c, in this order, as exemplars of the expression a - b + c.

    Args:
        checkpoint: Whose samples they are.
        seed: Of its latent vectors.
        concepts: Name -> indices of samples.
        label: Class of all of them, of a conditional generator; None: index modulo classes.
    """
    a, b, c = concepts
    return Exemplars(
        checkpoint=checkpoint.name,
        checkpoint_sha256=checkpoint.sha256("generator"),
        seed=seed,
        z_prior=checkpoint.metadata.z_prior,
        label=label,
        concepts={name: [int(index) for index in sorted(chosen)] for name, chosen in concepts.items()},
        expression=(a, b, c),
    )
