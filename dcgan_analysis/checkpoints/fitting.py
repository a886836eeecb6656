"""Whether images can be put into a checkpoint's networks: their size, their channels, their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from dcgan_analysis.data.preprocessing import Preprocessing
from dcgan_analysis.errors import AnalysisError, DatasetError

if TYPE_CHECKING:
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis.errors import DcganAnalysisError

__all__ = ["image_problems"]


def image_problems(
    checkpoint: Checkpoint,
    split: DatasetSplit,
    dataset: str,
    fit: Literal["exact", "resize"],
    *,
    judged: bool = True,
    choice: bool = True,
) -> list[DcganAnalysisError]:
    """Return why images cannot be put into the networks of a checkpoint; empty: they can.

    Args:
        checkpoint: Its networks take images of one shape.
        split: The images, or some of them.
        dataset: Whose they are, for the messages.
        fit: Whether images of another shape are refused or resized.
        judged: Whether the discriminator is to look at them, which takes their labels as well where it is conditional.
        choice: Whether ``fit`` is a setting that the user can change.

    Example:
        >>> from dcgan_analysis.checkpoints.checkpoint import Checkpoint
        >>> from dcgan_analysis.data.digits import load_digits
        >>> from dcgan_analysis.models.tables import dcgan64
        >>> checkpoint = Checkpoint.random(dcgan64(width=2), seed=0, name="wide")
        >>> str(image_problems(checkpoint, load_digits().split("test"), "digits", "exact")[0])[:71]
        "Dataset 'digits' has images of 3x32x32, checkpoint 'wide' takes 3x64x64"
    """
    problems: list[DcganAnalysisError] = []
    architecture = checkpoint.architecture
    prepare = Preprocessing.for_range(architecture.image_shape, checkpoint.metadata.image_range, fit)
    try:
        prepare.check(split.image_shape, dataset=dataset, checkpoint=checkpoint.name, choice=choice)
    except DatasetError as error:
        problems.append(error)
    labelled = split.labels is not None and len(split.classes) <= architecture.classes
    if judged and checkpoint.has("discriminator") and architecture.takes_labels("discriminator") and not labelled:
        have = "have no labels" if split.labels is None else f"are of {len(split.classes)} classes"
        msg = (
            f"The discriminator of '{checkpoint.name}' is conditioned on {architecture.classes} classes; "
            f"the images of '{dataset}' {have}. Use the labelled dataset it was trained on."
        )
        problems.append(AnalysisError(msg))
    return problems
