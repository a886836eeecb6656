"""What a training left in the folder of its checkpoint: the history, and states with their generators."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dcgan_analysis.checkpoints.sampling import class_labels
from dcgan_analysis.core.documents import parse_json, read_document
from dcgan_analysis.data.files.pictures import open_picture
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.training.measures import samples_and_maps
from dcgan_analysis.training.monitors import filter_health, map_means
from dcgan_analysis.training.state import OLDER, STATE, read_header, read_weights
from dcgan_analysis_plugins.stability.networks import DRAW

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint

__all__ = ["TrainingRecord", "filters_of_states", "training_record"]

_NEEDED = ("epoch", "step", "generator_loss", "discriminator_loss", "real_probability", "fake_probability")


@dataclass(frozen=True)
class TrainingRecord:
    """What a training left.

    Attributes:
        history: One row an interval, as in ``history.json``; empty without a training.
        states: The states that are there, the oldest first.
        folder: Where both lie.
    """

    history: list[dict[str, Any]]
    states: tuple[Path, ...]
    folder: Path | None = None

    def sheets(self, epochs: Sequence[float]) -> list[tuple[float, np.ndarray]]:
        """Return the sheets of samples of the readings nearest to some epochs, and of the last one that has a sheet.

        Returns:
            Epoch and picture, uint8 (3, H, W), in the order of the training; each reading once.
        """
        rows = [row for row in self.history if self.folder and (self.folder / row.get("samples", "")).is_file()]
        if not rows or self.folder is None:
            return []
        chosen = {min(rows, key=lambda row: abs(row["epoch"] - epoch))["step"] for epoch in epochs} | {rows[-1]["step"]}
        sheets = []
        for row in rows:
            if row["step"] in chosen:
                path = self.folder / row["samples"]
                with open_picture(path, f"'{path}'") as picture:
                    sheets.append((row["epoch"], np.asarray(picture.convert("RGB")).transpose(2, 0, 1).copy()))
        return sheets


def training_record(checkpoint: Checkpoint) -> TrainingRecord:
    """Read what lies beside a checkpoint's file; where ``history.json`` is absent, the newest state holds it too.

    Raises:
        AnalysisError: If the history is there and is none.
        TrainingError: If a state cannot be read.
    """
    if checkpoint.path is None:
        return TrainingRecord([], ())
    folder = checkpoint.path.parent
    path = folder / "history.json"
    states = (*sorted((folder / OLDER).glob("step-*.safetensors")), *folder.glob(STATE))
    if not path.is_file():
        return TrainingRecord(read_header(states[-1])[1]["history"] if states else [], states, folder)
    try:
        history = parse_json(read_document(path), finite=False)
        if not isinstance(history, list) or not all(isinstance(row, dict) for row in history):
            msg = "it is no list of rows"
            raise ValueError(msg)
        absent = sorted({key for row in history for key in _NEEDED if not isinstance(row.get(key), int | float)})
        problem = f"its rows lack {', '.join(absent)}" if absent else ""
    except (OSError, ValueError, TypeError) as error:
        problem = " ".join(str(error).split())
    if problem:
        msg = (
            f"'{path}' is no history of a training: {problem}. Move the file away, and the history is taken from the "
            "state beside it, or the networks are judged as they are."
        )
        raise AnalysisError(msg)
    return TrainingRecord(history, states, folder)


def filters_of_states(record: TrainingRecord, checkpoint: Checkpoint, seed: int) -> list[dict[str, Any]]:
    """Return rows ``step``, ``epoch`` and ``filters``, as those of a history, of the generators in the states.

    Args:
        record: Of the training; where its history holds filters, or is empty, there are no rows.
        checkpoint: Of the same training.
        seed: Of the latent vectors.
    """
    if not record.history or any("filters" in row for row in record.history):
        return []
    z, labels = checkpoint.latents(DRAW, seed), class_labels(checkpoint.architecture, range(DRAW))
    steps_per_epoch = record.history[-1]["step"] / record.history[-1]["epoch"]
    rows: list[dict[str, Any]] = []
    pictures: dict[str, Tensor] = {}
    for path in record.states:
        generator = checkpoint.architecture.generator()
        generator.load_state_dict(read_weights(path, "generator"))
        # As the monitors see it: in training mode.
        _, maps = samples_and_maps(generator.train(), checkpoint.architecture, z, labels)
        maps = {layer: values for layer, values in maps.items() if values.dim() == 4}
        filters = {layer: asdict(filter_health(values, pictures.get(layer))) for layer, values in maps.items()}
        pictures = {layer: map_means(values) for layer, values in maps.items()}
        step = read_header(path)[1]["step"]
        rows.append({"step": step, "epoch": step / steps_per_epoch, "filters": filters})
    return rows
