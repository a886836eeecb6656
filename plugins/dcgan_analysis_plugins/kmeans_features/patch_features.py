"""Feature stores of images encoded by a dictionary of patches; dictionaries and stores are cached by content."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.features import cache
from dcgan_analysis.features.outcomes import find_outcome, keep_outcome
from dcgan_analysis.features.store import FeatureKey, FeatureStore, FeatureStoreWriter
from dcgan_analysis_plugins.kmeans_features.patches import PATCHES_VERSION, PatchDictionary, PatchSpec, learn_dictionary

if TYPE_CHECKING:
    from pathlib import Path

    from dcgan_analysis.data.dataset import DatasetSplit

_TAP = "kmeans"
_DICTIONARIES = "dictionaries"
# Images between two reports of progress.
_IMAGES = 64


def cached_dictionary(
    train: DatasetSplit, spec: PatchSpec, seed: int, folder: Path | None = None, progress: Progress = silent
) -> tuple[PatchDictionary, bool]:
    """Learn a dictionary, or load the one learned from the same images.

    Args:
        train: Images; their labels take no part.
        spec: What to learn.
        seed: Of patches and K-means.
        folder: The cache folder; None: the default cache.
        progress: Called with the steps of K-means.

    Returns:
        The dictionary, and whether it was cached.

    Raises:
        AnalysisError: If images are too small, or patches too few.
    """
    import sklearn

    key = {
        "images_sha256": train.sha256,
        "spec": spec.identity(),
        "seed": seed,
        "scikit-learn": sklearn.__version__,
    }
    arrays = find_outcome(_DICTIONARIES, key, folder)
    if arrays is not None:
        return PatchDictionary.of(spec, arrays), True
    dictionary = learn_dictionary(train.images, spec, np.random.default_rng(seed), progress)
    keep_outcome(_DICTIONARIES, key, dictionary.arrays(), folder)
    return dictionary, False


@dataclass
class PatchExtraction:
    """Features of one dictionary, for any number of splits.

    Attributes:
        dictionary: The dictionary.
        folder: The cache folder; None: the default cache.
        progress: Called with the number of images encoded.
        encoded_images: Images encoded so far; 0 where all stores were cached.
    """

    dictionary: PatchDictionary
    folder: Path | None = None
    progress: Progress = silent
    encoded_images: int = field(default=0, init=False)

    def store(self, name: str, split: DatasetSplit) -> FeatureStore:
        """Return the features of a split, from the cache if they are there.

        Args:
            name: Name of the split: ``"train"``.
            split: Its images.

        Raises:
            AnalysisError: If the images are too small.
            StoreError: If the store cannot be written.
        """
        self.dictionary.spec.check(split.image_shape)
        key = self.key(name, split)
        cached = cache.find(key, self.folder)
        if cached is not None:
            return cached
        path = cache.path_for(key, self.folder)
        with cache.turn(path) as complete:
            if not complete:
                self._write(path, key, name, split)
        return FeatureStore(path)

    def _write(self, path: Path, key: FeatureKey, name: str, split: DatasetSplit) -> None:
        spec = self.dictionary.spec
        with FeatureStoreWriter.open(
            path,
            key,
            len(split),
            taps={_TAP: (spec.centroids, spec.grid, spec.grid)},
            dtype=torch.float16,
            ids=split.ids,
            labels=split.labels,
            groups=split.groups,
            classes=split.classes,
            locked=True,
        ) as writer:
            missing = writer.missing
            total, encoded = sum(map(len, missing)), 0
            for rows in missing:
                parts = []
                for start in range(rows.start, rows.stop, _IMAGES):
                    parts.append(self.dictionary.encode(split.images[start : min(start + _IMAGES, rows.stop)]))
                    encoded += len(parts[-1])
                    self.progress(f"patches: features of {name} (images)", encoded, total)
                writer.write(rows.start, torch.cat(parts))
            self.encoded_images += encoded

    def key(self, name: str, split: DatasetSplit) -> FeatureKey:
        """Return the identity of the store of a split."""
        spec = self.dictionary.spec
        return FeatureKey(
            weights_sha256=self.dictionary.sha256,
            architecture="patch-dictionary",
            architecture_parameters=spec.identity(),
            taps=(_TAP,),
            pooling=f"sum-{spec.grid}x{spec.grid}",
            preprocessing="contrast-normalised, whitened patches",
            batchnorm="none",
            batchnorm_split_sha256=None,
            batchnorm_batch_size=None,
            batchnorm_seed=None,
            dataset_sha256=split.sha256,
            split=name,
            compute_dtype="float32 on cpu",
            store_dtype="float16",
            code_version=PATCHES_VERSION,
        )

    def summary(self) -> str:
        """Return one line on what was computed."""
        if not self.encoded_images:
            return "feature stores were cached: nothing was encoded"
        return f"{self.encoded_images:,} images encoded"
