"""What a path holds, and whether it is damaged: checkpoints, feature stores, run folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dcgan_analysis.api.result import REPORT_FILE, RESULT_FILE, Result
from dcgan_analysis.checkpoints import hub
from dcgan_analysis.checkpoints.catalogue import WEIGHTS, list_checkpoints
from dcgan_analysis.core.checksums import CHECKSUMS
from dcgan_analysis.errors import AnalysisError, unknown_name
from dcgan_analysis.runs.library import load_checkpoint

if TYPE_CHECKING:
    from dcgan_analysis.host.host import PluginHost

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


def verify(name: str, host: PluginHost | None = None) -> str:
    """Read everything that a checkpoint, a store or a run holds.

    Returns:
        One line that describes what was checked.

    Raises:
        DcganAnalysisError: Names the first thing that is damaged or missing.
    """
    kind, path = kind_of(name)
    if kind == "checkpoint":
        checkpoint = load_checkpoint(path, host=host)
        known = "" if _has_checksums(path) else "; its file holds no checksums, so that changed weights cannot be seen"
        return f"checkpoint, {checkpoint.architecture.name}, sha256 {checkpoint.sha256()}{known}"
    if kind == "store":
        from dcgan_analysis.features.store import FeatureStore

        store = FeatureStore(path)
        store.verify()
        return f"feature store, {len(store)} x {store.shape[1]}, key {store.key.sha256}"
    result = Result.load(path)
    listed = [*result.files.values(), *(figure.file for figure in result.figures)]
    known = "" if result.checksum else "; it holds no checksums, so that changed files cannot be seen"
    for name in [*listed, REPORT_FILE]:
        if not (path / name).is_file():
            msg = f"Run '{path}': file '{name}' is missing. Run again: {result.command}"
            raise AnalysisError(msg)
    return f"run of {result.analysis}, {len(listed)} files, headline {result.headline}{known}"


def _has_checksums(path: Path) -> bool:
    from safetensors import safe_open

    from dcgan_analysis.checkpoints.checkpoint import listed_checksum

    with safe_open(path, framework="numpy") as file:
        return CHECKSUMS in file.metadata() or listed_checksum(path) is not None
