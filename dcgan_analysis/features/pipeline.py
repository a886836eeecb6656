"""From checkpoint and images to feature stores: a finished store is reused, a half-written one is gone on with."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch

from dcgan_analysis.core.device import PRECISIONS, choose_device
from dcgan_analysis.core.distributed import agreed, gather_interleaved, share
from dcgan_analysis.core.memory import memory_share
from dcgan_analysis.core.parallel import worker_count
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.data.dataset import DatasetSplit
from dcgan_analysis.data.preprocessing import Preprocessing
from dcgan_analysis.errors import DatasetError, StoreError
from dcgan_analysis.features import cache
from dcgan_analysis.features.extractor import EXTRACTION_VERSION, FeatureExtractor, FeatureSpec
from dcgan_analysis.features.store import FeatureKey, FeatureStore, FeatureStoreWriter
from dcgan_analysis.models.batchnorm import REFERENCE_SEED, reference_batches
from dcgan_analysis.models.hooks import has_global_hooks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.features.extractor import PrecisionError

__all__ = ["FORWARD_BATCH", "Extraction", "extract"]

_log = logging.getLogger(__name__)

# Images per forward pass: small enough that a layer's maps stay in the cache (measured: benchmarks/extraction.py).
FORWARD_BATCH = 64
# For each number of an image's largest map, where convolutions are fast ones: four of float32, twelve times over.
_BYTES_OF_A_MAP = 48
_COMPARED_IMAGES = 64
# Bytes of images that are held at a time while they are prepared.
_READ_BYTES = 1 << 27


@dataclass
class Extraction:
    """Features of one checkpoint under one specification, for any number of splits.

    Attributes:
        checkpoint: Whose discriminator.
        spec: Which features.
        reference: Images on which BatchNorm statistics are re-estimated: the training split of the data that is
            classified. May be None in the other modes.
        device: Where to compute.
        folder: Where the stores are kept; the cache by default.
        fit: What to do with images of another shape.
        progress: Told of images done.
        forward_images: How many images went through the network so far; 0 where all stores were warm.
        precision: How far the arithmetic is from float32, once anything was computed.
    """

    checkpoint: Checkpoint
    spec: FeatureSpec
    reference: DatasetSplit | None
    device: torch.device
    folder: Path | None = None
    fit: Literal["exact", "resize"] = "exact"
    progress: Progress = silent
    forward_images: int = field(default=0, init=False)
    precision: PrecisionError | None = field(default=None, init=False)

    def store(self, name: str, split: DatasetSplit) -> FeatureStore:
        """Return the features of a split, from the cache if they are there.

        Where another process is writing the same store, it is waited for.

        Under torchrun every process must call it; each computes its share of the rows, and all return the one store.

        Args:
            name: What the split is called: ``"train"``.
            split: Its images.

        Raises:
            DatasetError: If the images do not fit the network.
            StoreError: If the store cannot be written: a full disk, features not finite.
        """
        self._preprocessing.check(split.image_shape, dataset=split.source or name, checkpoint=self.checkpoint.name)
        _refuse_global_hooks()
        key = self.key(name, split)
        # The leader decides for all: another process may look a moment later.
        cached = cache.find(key, self.folder)
        if agreed(cached is not None):
            return cached or FeatureStore(cache.path_for(key, self.folder))
        nearest = cache.explain(key, self.folder)
        if nearest is not None:
            parts = ", ".join(difference.part for difference in nearest[1])
            _log.debug("no store of this key; the nearest, %s, differs in %s", nearest[0].path.name, parts)
        path = cache.path_for(key, self.folder)
        with cache.turn(path) as complete:
            if not complete:
                self._write(path, key, name, split)
        return FeatureStore(path)

    def _write(self, path: Path, key: FeatureKey, name: str, split: DatasetSplit) -> None:
        with FeatureStoreWriter.open(
            path,
            key,
            len(split),
            taps=self._blank.shapes,
            dtype=PRECISIONS[self.spec.dtype],
            ids=split.ids,
            labels=split.labels,
            groups=split.groups,
            classes=split.classes,
            locked=True,
        ) as writer:
            if writer.note:
                _log.debug(writer.note)
            if writer.missing:
                # All processes estimate the statistics together, those without a chunk of their own as well.
                _ = self._extractor
            self._fill(writer, name, split, share(writer.missing))
        if self.key(name, split) != key:
            path.unlink(missing_ok=True)
            msg = (
                f"The weights of checkpoint '{self.checkpoint.name}' were changed while its features were computed; "
                "the store was removed. Load the checkpoint anew, and leave its weights as they are."
            )
            raise StoreError(msg)

    def summary(self) -> str:
        """Say in one line what was computed and how exactly."""
        if not self.forward_images:
            return "feature stores were there already: no forward pass"
        text = f"{self.forward_images:,} images through the network"
        if self.precision is not None:
            text += f", relative difference to float32 {self.precision.relative:.1e}"
        return text

    def key(self, name: str, split: DatasetSplit) -> FeatureKey:
        """Return the identity of the store of a split."""
        spec = self.spec
        reestimated = spec.batchnorm == "reestimated"
        architecture = self.checkpoint.architecture
        identity = self._preprocessing.identity
        return FeatureKey(
            # Computed anew: weights that were changed in place must not go by the hash that they had.
            weights_sha256=replace(self.checkpoint).sha256("discriminator"),
            architecture=architecture.name,
            architecture_parameters=dict(architecture.parameters),
            taps=tuple(self._blank.taps),
            pooling=f"max-{spec.grid}x{spec.grid}",
            preprocessing=f"{identity['name']} v{identity['version']}, fit {identity['fit']}",
            batchnorm=spec.batchnorm,
            batchnorm_split_sha256=self._reference.sha256 if reestimated else None,
            batchnorm_batch_size=None if spec.batchnorm == "running" else self._batchnorm_batch,
            batchnorm_seed=REFERENCE_SEED if reestimated else None,
            dataset_sha256=split.sha256,
            split=name,
            compute_dtype=f"{str(self._blank.dtype).removeprefix('torch.')} on {self.device.type}",
            store_dtype=spec.dtype,
            code_version=EXTRACTION_VERSION,
        )

    def features(self, images: np.ndarray | Tensor | DatasetSplit) -> Tensor:
        """Return features (N, D) in float32, on the CPU, without any store.

        Args:
            images: Bytes, uint8 (N, C, H, W), as in a dataset split; a split; or floats already in the image range.

        Raises:
            DatasetError: If they are neither bytes nor floats in the image range, or bytes of a shape that does not
                fit.
            ArchitectureError: If floats have a shape that the network does not take.
        """
        if isinstance(images, DatasetSplit):
            images = images.images
        prepared = self._preprocessing.inputs(images, checkpoint=self.checkpoint.name)
        result = torch.empty(len(prepared), self._blank.size)
        spans = list(_spans(len(prepared), self._batch))
        for span, features in zip(spans, self._extractor.stream(spans, lambda s: prepared[slice(*s)]), strict=True):
            result[slice(*span)] = features
        self.forward_images += len(prepared)
        return result

    @property
    def _batchnorm_batch(self) -> int:
        n = len(self._reference) if self.spec.batchnorm == "reestimated" else self.spec.batchnorm_batch
        return min(self.spec.batchnorm_batch, n)

    @property
    def _batch(self) -> int:
        # In mode "batch" the batch is part of the definition, otherwise it is a matter of speed only.
        if self.spec.batchnorm == "batch":
            return self._batchnorm_batch
        each = worker_count(self.device) * _BYTES_OF_A_MAP * self._blank.largest_map
        what = f"A forward pass of '{self.checkpoint.name}'"
        return memory_share(FORWARD_BATCH * each, least=each, what=what) // each

    @property
    def _reference(self) -> DatasetSplit:
        if self.reference is None or len(self.reference) < 2:
            msg = "BatchNorm mode 'reestimated' needs a training split of at least 2 images. Use batchnorm=running."
            raise DatasetError(msg)
        return self.reference

    @cached_property
    def _preprocessing(self) -> Preprocessing:
        architecture = self.checkpoint.architecture
        return Preprocessing.for_range(architecture.image_shape, self.checkpoint.metadata.image_range, self.fit)

    @cached_property
    def _blank(self) -> FeatureExtractor:
        """The extractor with the checkpoint's own statistics: enough to know taps, shapes and dtype."""
        return FeatureExtractor(self.checkpoint.discriminator(), self.checkpoint.architecture, self.spec, self.device)

    @cached_property
    def _extractor(self) -> FeatureExtractor:
        extractor = self._blank
        if self.spec.batchnorm == "reestimated":
            count = len(self._reference) // self._batchnorm_batch
            extractor.reestimate(
                self._reference_batches(),
                lambda chosen: self._read(self._reference.images, chosen),
                lambda rows: gather_interleaved(rows, count),
            )
        return extractor

    def _reference_batches(self) -> Iterator[NDArray[np.int64]]:
        size = self._batchnorm_batch
        batches = share(reference_batches(len(self._reference), size))
        label = f"{self.checkpoint.name}: BatchNorm statistics (images)"
        for done, chosen in enumerate(batches, start=1):
            yield chosen
            self.forward_images += size
            self.progress(label, done * size, len(batches) * size)

    def _read(self, images: np.ndarray, chosen: np.ndarray) -> Tensor:
        """Prepare some images, few at a time: together they may be much larger than what they are resized to."""
        few = max(1, _READ_BYTES // max(1, images[:1].nbytes))
        return torch.cat([self._preprocessing(images[chosen[a:b]]) for a, b in _spans(len(chosen), few)])

    def _fill(self, writer: FeatureStoreWriter, name: str, split: DatasetSplit, missing: Sequence[range]) -> None:
        what = f"{self.checkpoint.name}: features of {name} (images)"
        total = sum(map(len, missing))
        done = 0
        if missing:
            sample = self._preprocessing(split.images[:_COMPARED_IMAGES])
            self.precision = self._extractor.precision_error(sample)
        # Cut within each chunk of the store: in mode "batch" the cuts are part of the definition.
        batches = [rows[a:b] for rows in missing for a, b in _spans(len(rows), self._batch)]
        read = lambda rows: self._preprocessing(split.images[rows.start : rows.stop])  # noqa: E731
        chunk: list[Tensor] = []
        ends = {rows.stop: rows.start for rows in missing}
        for batch, features in zip(batches, self._extractor.stream(batches, read, writer.dtype), strict=True):
            chunk.append(features)
            done += len(batch)
            self.forward_images += len(batch)
            self.progress(what, done, total)
            if batch.stop in ends:
                writer.write(ends[batch.stop], torch.cat(chunk))
                chunk = []


def extract(
    checkpoint: Checkpoint,
    images: np.ndarray | Tensor | DatasetSplit,
    *,
    reference: DatasetSplit | None = None,
    spec: FeatureSpec | None = None,
    device: str = "auto",
) -> Tensor:
    """Return the pooled features of images by a checkpoint's discriminator, without any store.

    Args:
        checkpoint: Whose discriminator.
        images: Bytes, uint8 (N, C, H, W); a float tensor (N, C, H, W) in ``metadata.image_range``; or a split.
        reference: Images on which BatchNorm statistics are re-estimated, as the paper's protocol does with the
            training split. None: the statistics stored in the checkpoint, unless ``spec`` says otherwise.
        spec: Taps, grid, precision; by default all conv layers on a 4x4 grid.
        device: ``auto``, ``cpu`` or ``cuda``.

    Returns:
        Features (N, D) in float32 on the CPU.

    Raises:
        DatasetError: If the images are neither bytes nor floats in the image range, or bytes of a shape that does not
            fit.
        ArchitectureError: If floats have a shape that the network does not take.

    Example:
        >>> import numpy as np
        >>> from dcgan_analysis.checkpoints.checkpoint import Checkpoint
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> extract(Checkpoint.random(dcgan32(width=8), 0), np.zeros((2, 3, 32, 32), np.uint8)).shape
        torch.Size([2, 1792])
    """
    spec = spec or FeatureSpec()
    if reference is None and "batchnorm" not in spec.model_fields_set:
        spec = spec.model_copy(update={"batchnorm": "running"})
    return Extraction(checkpoint, spec, reference, choose_device(device)).features(images)


def _spans(n: int, size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, n, size):
        yield start, min(start + size, n)


def _refuse_global_hooks() -> None:
    if has_global_hooks():
        msg = (
            "A forward hook is registered for all modules of this process (torch.nn.modules.module."
            "register_module_forward_hook): features would be what it makes of them, and a store would keep them for "
            "good. Remove it first."
        )
        raise StoreError(msg)
