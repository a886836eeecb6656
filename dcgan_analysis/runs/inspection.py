"""What a path holds: a checkpoint, a feature store or a run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from dcgan_analysis.api.result import RESULT_FILE
from dcgan_analysis.checkpoints import hub
from dcgan_analysis.checkpoints.catalogue import WEIGHTS, list_checkpoints
from dcgan_analysis.errors import AnalysisError, unknown_name

Kind = Literal["checkpoint", "store", "run"]


def kind_of(name: str) -> tuple[Kind, Path]:
    """Tell what a path, or the name of a checkpoint, refers to.

    Returns:
        The kind, and the path of the weights file, the store, or the run folder.

    Raises:
        DcganAnalysisError: If it is none of them.
    """
    if name.startswith(hub.PREFIX):
        return "checkpoint", hub.download(name, WEIGHTS)[0]
    path = Path(name)
    known = {entry.name: entry.path for entry in list_checkpoints()}
    if path.is_dir():
        return _kind_of_folder(path, known.get(name))
    if path.is_file():
        if path.name == RESULT_FILE:
            return "run", path.parent
        return ("checkpoint" if path.suffix == ".safetensors" else "store"), path
    if name in known:
        return "checkpoint", known[name]
    if len(path.parts) > 1 or path.suffix:
        msg = f"'{name}' does not exist. Give a checkpoint, a feature store (.h5) or a run folder."
        raise AnalysisError(msg)
    error = unknown_name("path or checkpoint", name, known)
    raise error


def _kind_of_folder(path: Path, known: Path | None) -> tuple[Kind, Path]:
    """Tell what a folder holds, or else which checkpoint has its name."""
    if (path / RESULT_FILE).is_file():
        return "run", path
    if (path / WEIGHTS).is_file():
        return "checkpoint", path / WEIGHTS
    if known is not None:
        return "checkpoint", known
    msg = f"Folder '{path}' is neither a run ({RESULT_FILE}) nor a checkpoint ({WEIGHTS})."
    if (path / "state.safetensors").is_file():
        msg = (
            f"Folder '{path}' holds a training that has not finished its first interval and has no checkpoint yet. "
            "Continue it: dcgan-analyze train, or dcgan_analysis.train, told to resume it."
        )
    raise AnalysisError(msg)
