"""What checksums cost: each kind of file read with and without them, by turns in one run, from a warm page cache.

    OMP_NUM_THREADS=1 python benchmarks/checksums.py                 # all, two minutes
    OMP_NUM_THREADS=1 python benchmarks/checksums.py store --mb 512  # one kind, so many megabytes

Reading is what a program does with the file for the first time in a process: a checkpoint is loaded, a state is put
into networks and optimisers, features and images are copied into memory. Printed is the least processor time of each,
and what checksums add to it. ``stages`` says where the time of loading a checkpoint goes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from arguments import parse
from safetensors import safe_open

from dcgan_analysis.checkpoints import checkpoint as checkpoint_module
from dcgan_analysis.checkpoints import metadata
from dcgan_analysis.checkpoints.checkpoint import Checkpoint, read_checkpoint
from dcgan_analysis.core import checksums, hashing, tensor_files
from dcgan_analysis.data.files import checked, prepared
from dcgan_analysis.data.files.prepared import Metadata, SplitRecord, load_prepared
from dcgan_analysis.data.files.prepared_writer import _CHUNK_BYTES, _sums
from dcgan_analysis.features import outcomes
from dcgan_analysis.features.format import FeatureKey
from dcgan_analysis.features.store import FeatureStore, FeatureStoreWriter
from dcgan_analysis.models.registry import builtin_architectures
from dcgan_analysis.models.tables import dcgan32
from dcgan_analysis.training import TrainingConfig
from dcgan_analysis.training.networks import AdversarialPair
from dcgan_analysis.training.state import load_state, save_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ARCHITECTURES = {entry.name: entry for entry in builtin_architectures()}


def nothing(*_: object, **__: object) -> None:
    """Stand in for a check."""


@contextmanager
def replaced(*changes: tuple[object, str, object]) -> Iterator[None]:
    """Set attributes while the block lasts, and forget which files were found whole."""
    with ExitStack() as stack:
        for holder, name, value in changes:
            stack.callback(setattr, holder, name, getattr(holder, name))
            setattr(holder, name, value)
        checksums._whole.clear()
        yield


def spent(call: Callable[[], object]) -> float:
    """Return the processor time of a call in milliseconds."""
    start = time.process_time()
    call()
    return 1e3 * (time.process_time() - start)


def compare(name: str, path: Path, read: Callable[[], object], changes: list, repeats: int) -> None:
    """Read a file with and without its checksums, by turns, and print both."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats + 1):  # the first is warming up
        with replaced(*changes):
            times[0].append(spent(read))
        with replaced():
            times[1].append(spent(read))
    without, beside = (min(kept[1:]) for kept in times)
    size = sum(file.stat().st_size for file in ([path] if path.is_file() else path.iterdir())) / 1e6
    share = beside / without - 1
    print(f"{name:34} {size:7.0f} MB  {without:8.2f} ms without, {beside:8.2f} ms, {share:+7.1%}", flush=True)


def checkpoint(folder: Path, mb: int, repeats: int) -> None:
    """A checkpoint of the paper's width, in half precision, as it is loaded."""
    path = folder / "a.safetensors"
    Checkpoint.random(dcgan32(width=128), 0).save(path, half=True)
    # The search for values that are not finite is made either way.
    off = [(tensor_files, "crc32", lambda *_: 0)]
    compare("checkpoint, its tensors", path, lambda: tensor_files.read_weights(path), off, repeats)
    check = checkpoint_module._check_contents
    off.append((checkpoint_module, "_check_contents", lambda path, read: check(path, read._replace(damaged=None))))
    off.append((metadata, "damaged_text", lambda _: False))
    compare("checkpoint, loaded", path, lambda: read_checkpoint(path, ARCHITECTURES), off, repeats)


def stages(folder: Path, mb: int, repeats: int) -> None:
    """Where the time of loading a checkpoint goes."""
    path = folder / "a.safetensors"
    Checkpoint.random(dcgan32(width=128), 0).save(path, half=True)

    def read_blocks(sum_up: bool) -> None:
        block, value = bytearray(checksums.BLOCK), 0
        view = memoryview(block)
        with path.open("rb", buffering=0) as stream:
            while n := stream.readinto(block):
                value = checksums.crc32(view[:n], value) if sum_up else value

    def mapped() -> dict:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    half = mapped()
    single = {name: tensor.float() for name, tensor in half.items()}
    ways = {
        "read in blocks": partial(read_blocks, False),
        "read in blocks, CRC of each": partial(read_blocks, True),
        "map": mapped,
        "CRC of mapped tensors": lambda: [checksums._of_tensor(tensor) for tensor in half.values()],
        "half precision to float32": lambda: [tensor.float() for tensor in half.values()],
        "search for what is not finite": lambda: [bool(tensor.isfinite().all()) for tensor in single.values()],
        "all of these in one pass": lambda: tensor_files.read_weights(path),
        "the same, unchecked": lambda: tensor_files.read_weights(path, check=False),
        "load, first in a process": lambda: (checksums._whole.clear(), read_checkpoint(path, ARCHITECTURES)),
        "load again": lambda: read_checkpoint(path, ARCHITECTURES),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, call in ways.items():
            times[name].append(spent(call))
    for name, kept in times.items():
        print(f"  {name:32} {min(kept[1:]):8.2f} ms")


def state(folder: Path, mb: int, repeats: int) -> None:
    """The state of a training of width 64, put into networks and optimisers."""
    path = folder / "state.safetensors"
    config = TrainingConfig.build({"dataset": "noise", "architecture": "dcgan32", "parameters": {"width": 64}})
    pair = AdversarialPair(dcgan32(width=64), config, torch.device("cpu"))
    for _, network, optimizer in pair.trained():
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    save_state(path, pair, config, {"step": 1, "history": []})
    off = [(tensor_files, "damaged_tensor", nothing)]
    compare("state of a training", path, lambda: load_state(path, pair, config), off, repeats)


def outcome(folder: Path, mb: int, repeats: int) -> None:
    """An outcome of the cache."""
    arrays = {"a": np.zeros(mb * 125_000), "b": np.arange(3)}
    path = outcomes.keep_outcome("trials", {"a": 1}, arrays, folder)
    off = [(tensor_files, "damaged_tensor", nothing)]
    compare("outcome", path, lambda: outcomes.find_outcome("trials", {"a": 1}, folder), off, repeats)


def store(folder: Path, mb: int, repeats: int) -> None:
    """A feature store in bfloat16: its rows copied into memory as float32, and its map walked through once."""
    path, columns = folder / "a.h5", 28_672
    n = max(2, mb * 1_000_000 // (2 * columns))
    key = FeatureKey(
        weights_sha256="", architecture="", taps=("a",), pooling="", preprocessing="", batchnorm="", dataset_sha256="",
        split="train", compute_dtype="float32", store_dtype="bfloat16", code_version=1,
    )  # fmt: skip
    shape = {"a": (columns // 16, 4, 4)}
    ids = [str(i) for i in range(n)]
    with FeatureStoreWriter.open(path, key, n, taps=shape, dtype=torch.bfloat16, ids=ids) as writer:
        for rows in writer.missing:
            writer.write(rows.start, torch.rand(len(rows), columns))
    off = [(FeatureStore, "_check", nothing)]
    compare("feature store, as float32", path, lambda: FeatureStore(path).numpy(), off, repeats)

    def copied() -> None:
        for rows in FeatureStore(path).read(0, n).split(512):
            rows.clone()

    compare("feature store, copied", path, copied, off, repeats)


def images(folder: Path, mb: int, repeats: int) -> None:
    """Prepared images (decoded ones in the cache are the same): copied in order, and in minibatches at random."""
    shape = (3, 32, 32)
    n, path = mb * 1_000_000 // 3072, folder / "images"
    path.mkdir()
    (path / "train.u8").write_bytes(np.random.default_rng(0).integers(0, 256, (n, *shape), np.uint8).tobytes())
    (path / "train.ids").write_text("".join(f"{i}\n" for i in range(n)))
    np.savez(path / "train.npz", positions=np.arange(n))
    rows = _CHUNK_BYTES // 3072
    content, chunks = _sums(path / "train.u8", (n, *shape), rows)
    record = SplitRecord(n=n, sha256=content, images_sha256=content, chunk_rows=rows, chunks=chunks)
    (path / "metadata.json").write_text(Metadata(image_shape=shape, splits={"train": record}).model_dump_json())
    order = np.random.default_rng(0).permutation(n)
    off = [(checked.CheckedImages, "_check", nothing)]

    def in_order() -> None:
        values = load_prepared(path).split("train").images
        for start in range(0, n, 1024):
            np.array(values[start : start + 1024])

    def at_random() -> None:
        values = load_prepared(path).split("train").images
        for start in range(0, n, 128):
            values[order[start : start + 128]]

    for large, name in ((1 << 62, "when opened"), (0, "as read")):
        with replaced((prepared, "CHECKED_AT_ONCE", large)):
            compare(f"images in order, checked {name}", path, in_order, off, repeats)
            compare(f"images at random, checked {name}", path, at_random, off, repeats)


def run_files(folder: Path, mb: int, repeats: int) -> None:
    """Files of a run, by SHA-256."""
    path = folder / "predictions.npz"
    path.write_bytes(bytes(mb * 1_000_000))
    off = [(hashing, "hash_file", lambda path: path.read_bytes())]
    compare("files of a run (SHA-256)", path, lambda: hashing.hash_file(path), off, repeats)


KINDS = {kind.__name__: kind for kind in (stages, checkpoint, state, outcome, store, images, run_files)}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", help="what to measure; default: all")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--mb", type=int, default=256, help="size of stores, images and outcomes")
    options = parse(parser, {"mb": 1, "repeats": 1}, gpu=False)
    torch.set_num_threads(1)
    for name in options.kinds or KINDS:
        with tempfile.TemporaryDirectory() as folder:
            KINDS[name](Path(folder), options.mb, options.repeats)


if __name__ == "__main__":
    main()
