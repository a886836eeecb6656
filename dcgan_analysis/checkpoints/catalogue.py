"""Where checkpoints are found by name: folders of the user, and the ones that come with the framework."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from dcgan_analysis.checkpoints.hub import PREFIX, download
from dcgan_analysis.checkpoints.metadata import CheckpointMetadata, read_metadata
from dcgan_analysis.errors import CheckpointError, unknown_name

if TYPE_CHECKING:
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.core.registry import Registry
    from dcgan_analysis.models.registry import ArchitectureEntry

WEIGHTS = "model.safetensors"
_SHORTEST_HASH = 6
_MEASURED = re.compile(r"^\| measured \| (.+) \|$", re.MULTILINE)
_MARKS = re.compile(r"<!--.*?-->|`")
_FOREIGN = {".pth", ".pt", ".ckpt", ".h5", ".hdf5", ".keras", ".npz", ".npy", ".pkl", ".onnx"}


@dataclass(frozen=True)
class CheckpointEntry:
    """A checkpoint that can be loaded by name.

    Attributes:
        name: Its folder's name.
        path: The weights file.
        metadata: What it says of itself, or None where the file cannot be read.
        error: Why it cannot be read, or None.
    """

    name: str
    path: Path
    metadata: CheckpointMetadata | None
    error: str | None = None

    @property
    def measured(self) -> str:
        """What the model card beside it says was measured: the row ``measured`` of its table; empty without one."""
        try:
            card = self.path.with_name("README.md").read_text(encoding="utf-8")
        except (OSError, ValueError):
            return ""
        row = _MEASURED.search(card)
        return "" if row is None else _MARKS.sub("", row[1])


def checkpoint_folders() -> list[Path]:
    """Return the folders searched, first match wins.

    ``DCGAN_ANALYSIS_CHECKPOINTS`` (several joined as in ``PATH``), the user's data folder, then the shipped ones:
    inside the installed package, or beside it in a clone.
    """
    package = Path(__file__).resolve().parents[1]
    named = [Path(p) for p in os.environ.get("DCGAN_ANALYSIS_CHECKPOINTS", "").split(os.pathsep) if p]
    user = Path(platformdirs.user_data_dir("dcgan-analysis", appauthor=False)) / "checkpoints"
    installed, clone = package / "_checkpoints", package.parent / "checkpoints"
    return [*named, user, installed if installed.is_dir() else clone]


def list_checkpoints() -> list[CheckpointEntry]:
    """Return all checkpoints that can be loaded by name, in alphabetical order. Reads headers only."""
    entries: dict[str, CheckpointEntry] = {}
    for folder in checkpoint_folders():
        for path in sorted(folder.glob(f"*/{WEIGHTS}")):
            name = path.parent.name
            if name in entries:
                continue
            try:
                entries[name] = CheckpointEntry(name, path, read_metadata(path))
            except CheckpointError as error:
                entries[name] = CheckpointEntry(name, path, None, str(error))
    return [entries[name] for name in sorted(entries)]


def load_checkpoint(what: str | Path, architectures: Registry[ArchitectureEntry]) -> Checkpoint:
    """Load a checkpoint by path, name, or the beginning of its hash.

    Args:
        what: A file; a folder that holds ``model.safetensors``; a name from ``list_checkpoints``; at least six
            digits of a content hash; or a repository of the Hugging Face hub, ``hf:USER/NAME[@REVISION]``.
        architectures: Where its architecture is looked up.

    Raises:
        CheckpointError: If the file is damaged or does not fit.
        UnknownNameError: If nothing is found by that name.
    """
    from dcgan_analysis.checkpoints.checkpoint import read_checkpoint

    text = str(what)
    if text.startswith(PREFIX):
        return _from_hub(text, architectures)
    path = Path(what)
    if path.is_dir() and (path / WEIGHTS).is_file():
        return read_checkpoint(path / WEIGHTS, architectures, name=path.resolve().name)
    if path.is_file():
        if path.suffix.lower() in _FOREIGN:
            msg = (
                f"'{path}' is no checkpoint of dcgan-analysis but weights made elsewhere. Import it: "
                "dcgan-analyze import, or dcgan_analysis.import_weights."
            )
            raise CheckpointError(msg)
        return read_checkpoint(path, architectures)
    entries = {entry.name: entry for entry in list_checkpoints()}
    if text in entries:
        return read_checkpoint(entries[text].path, architectures, name=text)
    if isinstance(what, Path) or path.suffix or {"/", os.sep} & set(text):
        msg = f"Checkpoint '{text}' does not exist as a file, nor as a folder with {WEIGHTS}."
        raise CheckpointError(msg)
    if len(text) >= _SHORTEST_HASH and set(text) <= set("0123456789abcdef"):
        for entry in entries.values():
            # A damaged checkpoint, or one of an absent plugin's architecture, must not hide the others.
            with suppress(CheckpointError):
                checkpoint = read_checkpoint(entry.path, architectures, name=entry.name)
                if checkpoint.sha256().startswith(text):
                    return checkpoint
    error = unknown_name("checkpoint", text, entries, architectures.failed())
    raise error


def _from_hub(address: str, architectures: Registry[ArchitectureEntry]) -> Checkpoint:
    """Load a checkpoint of the hub; its provenance names the commit."""
    from dcgan_analysis.checkpoints.checkpoint import read_checkpoint

    path, origin = download(address, WEIGHTS)
    checkpoint = read_checkpoint(path, architectures, name=origin.partition("@")[0].rpartition("/")[2])
    provenance = {**checkpoint.metadata.provenance, "downloaded": origin}
    return replace(checkpoint, metadata=checkpoint.metadata.model_copy(update={"provenance": provenance}))
