"""Whether a file or folder of this program is damaged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from dcgan_analysis.annotations.boxes import read_boxes
from dcgan_analysis.annotations.documents import read_json
from dcgan_analysis.annotations.exemplars import read_exemplars
from dcgan_analysis.api.result import REPORT_FILE, RESULT_FILE, Result
from dcgan_analysis.checkpoints.checkpoint import listed_checksum
from dcgan_analysis.core.array_files import read_npz
from dcgan_analysis.core.checksums import CHECKSUMS, damaged_text
from dcgan_analysis.core.hashing import hash_file
from dcgan_analysis.core.tensor_files import undamaged_tensors
from dcgan_analysis.core.text import counted
from dcgan_analysis.data.files.prepared import is_prepared, load_prepared, read_metadata
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.features.store import FeatureStore
from dcgan_analysis.runs.inspection import kind_of
from dcgan_analysis.runs.library import load_checkpoint

if TYPE_CHECKING:
    from dcgan_analysis.host.host import PluginHost


class Verified(NamedTuple):
    """What :func:`verify` has read, and found no damage in.

    Attributes:
        what: One line that describes it.
        unchecked: What was read where there are no checksums, so that changed contents cannot be seen; empty where all
            was compared with checksums.
    """

    what: str
    unchecked: str = ""


def verify(name: str, host: PluginHost | None = None) -> Verified:
    """Read everything that a file or folder of this program holds, and compare it with its checksums.

    Args:
        name: A checkpoint, a feature store, a run, prepared images, the state of a training, an outcome in the cache,
            boxes, exemplars, or arrays (``.npz``).
        host: Where architectures are looked up.

    Raises:
        DcganAnalysisError: Names the first thing that is damaged or missing.
    """
    path = Path(name)
    if is_prepared(path):
        return _prepared(path)
    if path.is_file() and path.name != RESULT_FILE and path.suffix in _BY_SUFFIX:
        return _BY_SUFFIX[path.suffix](path)
    kind, path = kind_of(name)
    if kind == "checkpoint" and _texts(path).keys() & _OTHERS.keys():
        return _tensors(path)
    if kind == "checkpoint":
        checkpoint = load_checkpoint(path, host=host)
        what = f"checkpoint, {checkpoint.architecture.name}, sha256 {checkpoint.sha256()}"
        sealed = CHECKSUMS in _texts(path) or listed_checksum(path) is not None
        return Verified(what, "" if sealed else counted(sum(map(len, checkpoint.weights.values())), "tensor"))
    if kind == "store":
        store = FeatureStore(path)
        store.verify()
        return Verified(f"feature store, {len(store)} x {store.shape[1]}, key {store.key.sha256}")
    return _run(path)


def _run(path: Path) -> Verified:
    result = Result.load(path)
    figures = [*result.figures, *(figure for section in result.sections for figure in section.figures)]
    pictures = [*(figure.file for figure in figures), *(gallery.file for gallery in result.galleries)]
    listed = dict.fromkeys([*result.files.values(), *pictures, REPORT_FILE, *result.manifest])
    for name in listed:
        if not (path / name).is_file():
            msg = f"Run '{path}': file '{name}' is missing. Run again: {result.command}"
            raise AnalysisError(msg)
    what = f"run of {result.analysis}, {counted(len(listed), 'file')}, headline {result.headline}"
    if result.checksum:
        return Verified(what)
    for name in listed:
        hash_file(path / name)
    return Verified(what, counted(1 + len(listed), "file"))


def _prepared(path: Path) -> Verified:
    metadata, images = read_metadata(path), load_prepared(path)
    total = 0
    for name in images.split_names:
        split = images.split(name)
        np.asarray(split.images).max()
        total += len(split)
    what = f"prepared images, {total:,} of {'x'.join(map(str, metadata.image_shape))}"
    unchecked = [name for name, record in metadata.splits.items() if not record.crc32]
    return Verified(what, counted(total, "image") if unchecked or not metadata.checksum else "")


def _tensors(path: Path) -> Verified:
    try:
        texts = _texts(path)
        tensors = undamaged_tensors(path, "pt" if _STATE in texts else "numpy")
    except (SafetensorError, OSError, ValueError) as error:
        msg = f"File '{path}' cannot be used: {' '.join(str(error).split())}."
        raise AnalysisError(msg) from None
    if damaged_text(texts):
        msg = f"File '{path}' is damaged: its header is not as it was written."
        raise AnalysisError(msg)
    kind = next(text for key, text in _OTHERS.items() if key in texts)
    tensors_read = counted(len(tensors), "tensor")
    return Verified(f"{kind}, {tensors_read}", "" if CHECKSUMS in texts else tensors_read)


def _arrays(path: Path) -> Verified:
    try:
        return Verified(f"arrays, {', '.join(read_npz(path))}")
    except (OSError, ValueError) as error:
        msg = f"File '{path}' cannot be read as arrays: {error}."
        raise AnalysisError(msg) from None


def _annotation(path: Path) -> Verified:
    document = read_json(path)
    if isinstance(document, dict) and "concepts" in document:
        return Verified("exemplars", counted(len(read_exemplars(path).concepts), "concept"))
    boxes = read_boxes(path)
    return Verified(f"boxes of '{boxes.object}'", counted(len(boxes.boxes), "box"))


# Texts in the headers of files of tensors that are no checkpoints.
_STATE = "progress"
_OTHERS = {_STATE: "state of a training", "dcgan_analysis_key": "outcome of a computation"}
_BY_SUFFIX = {".npz": _arrays, ".json": _annotation}


def _texts(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return {}  # whoever reads it says what is wrong
