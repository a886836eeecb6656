"""Nearest samples of test images while samples stream by: made, compared, dropped.

The running minimum is known after every sample, so one pass answers for all counts. From time to time it is written to
a file whose name is the hash of everything the answer depends on except how many samples are asked for: a stopped
search goes on from there, and a longer one from a shorter one. Several processes (see
``dcgan_analysis.core.distributed``) take groups of blocks in turn and put
their minima together; the answer is the same, and a resume may have another number of processes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis.core.array_files import read_npz
from dcgan_analysis.core.distributed import agreed, gather_interleaved, is_leader, rank, world_size
from dcgan_analysis.core.files import atomic_path
from dcgan_analysis.core.folders import cache_folder
from dcgan_analysis.core.hashing import hash_array, hash_json
from dcgan_analysis.core.parallel import parallel_map
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.neighbours import NearestNeighbours
from dcgan_analysis_plugins.mnist_nn.source import BLOCK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from dcgan_analysis_plugins.mnist_nn.source import SampleSource

SEARCH_VERSION = 1
"""Raise it when a sample of a source, or its distance, comes out differently: older searches are then begun anew."""

# Samples that are compared at a time: products of more rows run nearer to the processor's peak.
_GROUP = 4 * BLOCK
# Samples of each process between two exchanges: seconds of work, so that exchanging and saving cost nothing.
_ROUND = 20 * BLOCK
_SAVE_SECONDS = 120.0


@dataclass(frozen=True)
class Search:
    """What was found.

    Attributes:
        counts: Numbers of samples, ascending (M).
        index: (M, Q) int64: the nearest among the first so many samples.
        distance: (M, Q) float64: its squared distance, in gray levels (0..255) squared.
        resumed: How many samples had been looked at by an earlier, stopped or shorter search.
    """

    counts: tuple[int, ...]
    index: NDArray[np.int64]
    distance: NDArray[np.float64]
    resumed: int = 0


@dataclass
class _State:
    """How far a search is: minima over the first ``done`` samples, and over those of each count passed."""

    done: int
    nearest: NearestNeighbours
    passed: dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]

    def record(self) -> None:
        self.passed[self.done] = (self.nearest.index.numpy().copy(), self.nearest.distance.numpy().copy())


def nearest_samples(
    queries: NDArray[np.uint8],
    source: SampleSource,
    counts: Sequence[int],
    *,
    device: torch.device,
    folder: Path | None = None,
    save_seconds: float = _SAVE_SECONDS,
    progress: Progress = silent,
) -> Search:
    """Find the nearest sample of each query among the first samples of a source, for several counts in one pass.

    Args:
        queries: uint8 (Q, C, H, W).
        source: Where samples come from.
        counts: Numbers of samples, each at least 1 and at most the source's size.
        device: Where distances are computed.
        folder: The cache folder; None: the default one. The state lies in ``neighbours/`` below it.
        save_seconds: Time between two savings of the state.
        progress: Told of samples done.

    Raises:
        AnalysisError: If samples and queries have different shapes, or a count is out of range.
    """
    asked = tuple(sorted(set(counts)))
    _check(queries, source, asked)
    rows = torch.from_numpy(np.ascontiguousarray(queries)).flatten(1)
    parts = {
        "queries": hash_array(queries),
        "source": source.identity,
        "version": SEARCH_VERSION,
        "torch": torch.__version__,
    }
    path = (cache_folder() if folder is None else folder) / "neighbours" / f"{hash_json(parts)[:16]}.npz"
    state = _load(path, NearestNeighbours(rows, device=device), asked)
    resumed, saved = state.done, time.monotonic()
    progress("samples", state.done, asked[-1])
    while state.done < asked[-1]:
        stop = min([state.done + _ROUND * world_size(), *(count for count in asked if count > state.done)])
        _look(state, source, stop, device)
        if stop in asked:
            state.record()
        progress("samples", stop, asked[-1])
        if is_leader() and (time.monotonic() - saved >= save_seconds or stop == asked[-1]):
            _save(path, state)
            saved = time.monotonic()
    found = [state.passed[count] for count in asked]
    return Search(
        asked, np.stack([index for index, _ in found]), np.stack([distance for _, distance in found]), resumed
    )


def _check(queries: NDArray[np.uint8], source: SampleSource, asked: tuple[int, ...]) -> None:
    shape = source.images(0).shape[1:]
    if queries.shape[1:] != shape:
        msg = f"Samples have the shape {shape}, the images to compare them with {queries.shape[1:]}; they must agree."
        raise AnalysisError(msg)
    if not asked or asked[0] < 1 or (source.size is not None and asked[-1] > source.size):
        have = "at least 1" if source.size is None else f"1 to {source.size}"
        msg = f"Numbers of samples must be {have}, got {', '.join(map(str, asked)) or 'none'}."
        raise AnalysisError(msg)


def _look(state: _State, source: SampleSource, stop: int, device: torch.device) -> None:
    """Go on to sample ``stop``: this process's blocks, then the others' minima."""
    for group in range(state.done // _GROUP, -(-stop // _GROUP)):
        if group % world_size() == rank():
            first, last = max(state.done, group * _GROUP), min(stop, (group + 1) * _GROUP)
            blocks = range(first // BLOCK, -(-last // BLOCK))
            images = np.concatenate(list(parallel_map(source.images, blocks, device=device)))
            begin = blocks.start * BLOCK
            rows = torch.from_numpy(images[first - begin : last - begin]).flatten(1)
            state.nearest.update(rows, start=first)
    for distance, index in zip(_everyone(state.nearest.distance), _everyone(state.nearest.index), strict=True):
        state.nearest.merge(distance, index)
    state.done = stop


def _everyone(values: Tensor) -> Tensor:
    """Return what each process found, (W, Q)."""
    return gather_interleaved(values[None], world_size())


def _save(path: Path, state: _State) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            done=state.done,
            index=state.nearest.index.numpy(),
            distance=state.nearest.distance.numpy(),
            counts=np.array(list(state.passed), dtype=np.int64),
            indices=np.array([index for index, _ in state.passed.values()], dtype=np.int64),
            distances=np.array([distance for _, distance in state.passed.values()], dtype=np.float64),
        )


def _load(path: Path, nearest: NearestNeighbours, asked: tuple[int, ...]) -> _State:
    """Return the state of an earlier search where it serves this one, or that of a new one."""
    kept = agreed(_read(path, asked) if is_leader() else None)
    if kept is None:
        return _State(0, nearest, {})
    nearest.merge(torch.from_numpy(kept["distance"]), torch.from_numpy(kept["index"]))
    passed = zip(kept["counts"].tolist(), kept["indices"], kept["distances"], strict=True)
    return _State(int(kept["done"]), nearest, {count: (index, distance) for count, index, distance in passed})


def _read(path: Path, asked: tuple[int, ...]) -> dict[str, NDArray[np.generic]] | None:
    try:
        kept = read_npz(path)
        # A count that was passed without being asked for cannot be answered from here.
        serves = all(count in kept["counts"] for count in asked if count <= int(kept["done"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent or damaged: begin anew
    return kept if serves else None
